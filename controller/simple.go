package controller

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
)

// random proposes uniformly: the paper's random search (section 4.4).
type random struct {
	sizes   []int
	seed    uint64
	batch   int
	version int
}

func (r *random) Name() string              { return Random }
func (r *random) BatchSize() int            { return r.batch }
func (r *random) Version() int              { return r.version }
func (r *random) Update([]Outcome) error    { r.version++; return nil }
func (r *random) Stats() map[string]float64 { return map[string]float64{} }

func (r *random) Sample(trial int) []int {
	return uniform(r.sizes, newStream(r.seed, purposeSample, 0, uint64(trial)))
}

func (r *random) Digest() string {
	h := newDigest(Random, r.seed)
	h.int(r.version)
	return h.sum()
}

func uniform(sizes []int, s *stream) []int {
	choices := make([]int, len(sizes))
	for i, n := range sizes {
		choices[i] = s.intn(n)
	}
	return choices
}

// evolution is regularised evolution (Real et al. 2019): of the population, the
// Population youngest, a tournament picks a parent; one decision of it changes.
type evolution struct {
	c       Config
	sizes   []int
	seed    uint64
	history []Outcome // the youngest, oldest first
	version int
}

func (e *evolution) Name() string   { return Evolution }
func (e *evolution) BatchSize() int { return e.c.Batch }
func (e *evolution) Version() int   { return e.version }

func (e *evolution) Sample(trial int) []int {
	s := newStream(e.seed, purposeMutate, uint64(e.version), uint64(trial))
	if len(e.history) < e.c.Population {
		return uniform(e.sizes, s)
	}
	parent := e.history[s.intn(len(e.history))]
	for range e.c.Tournament - 1 {
		if o := e.history[s.intn(len(e.history))]; o.Reward > parent.Reward {
			parent = o
		}
	}
	child := append([]int(nil), parent.Choices...)
	for { // a decision with one choice only cannot change
		i := s.intn(len(child))
		if n := e.sizes[i]; n > 1 {
			child[i] = (child[i] + 1 + s.intn(n-1)) % n
			return child
		}
		if allOne(e.sizes) {
			return child
		}
	}
}

func allOne(sizes []int) bool {
	for _, n := range sizes {
		if n > 1 {
			return false
		}
	}
	return true
}

func (e *evolution) Update(batch []Outcome) error {
	for _, o := range batch {
		if usable(o) {
			e.history = append(e.history, o)
		}
	}
	if over := len(e.history) - e.c.Population; over > 0 {
		e.history = append([]Outcome(nil), e.history[over:]...)
	}
	e.version++
	return nil
}

func (e *evolution) Stats() map[string]float64 {
	return map[string]float64{"population": float64(len(e.history))}
}

func (e *evolution) Digest() string {
	h := newDigest(Evolution, e.seed)
	h.int(e.version)
	for _, o := range e.history {
		h.float(o.Reward)
		for _, c := range o.Choices {
			h.int(c)
		}
	}
	return h.sum()
}

// digest hashes numbers by their bits.
type digest struct{ h hash.Hash }

func newDigest(kind string, seed uint64) digest {
	d := digest{sha256.New()}
	d.h.Write([]byte(kind))
	d.bits(seed)
	return d
}

func (d digest) bits(x uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], x)
	d.h.Write(b[:])
}

func (d digest) int(x int)       { d.bits(uint64(x)) }
func (d digest) float(x float64) { d.bits(math.Float64bits(x)) }
func (d digest) sum() string     { return hex.EncodeToString(d.h.Sum(nil)) }
