package controller

import "math"

// stream is a counter-based generator: a keyed hash of a counter (SplitMix64's
// finalizer), so that any stream can be opened anywhere without drawing what
// comes before.
type stream struct{ key, counter uint64 }

// newStream opens the stream of a key, such as (seed, purpose, version, trial).
func newStream(key ...uint64) *stream {
	k := uint64(0x9e3779b97f4a7c15)
	for _, x := range key {
		k = mix(k ^ mix(x+0x9e3779b97f4a7c15))
	}
	return &stream{key: k}
}

func mix(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func (s *stream) next() uint64 {
	s.counter++
	return mix(s.key + s.counter*0x9e3779b97f4a7c15)
}

// float is uniform in [0,1).
func (s *stream) float() float64 { return float64(s.next()>>11) / (1 << 53) }

// intn is uniform in [0,n): the bias for the small n of decisions is below 1e-15.
func (s *stream) intn(n int) int { return int(math.Floor(s.float() * float64(n))) }

// Purposes of streams.
const (
	purposeInit = iota + 1
	purposeSample
	purposeMutate
)
