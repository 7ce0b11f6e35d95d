package controller

import (
	"fmt"
	"math"
	"slices"
)

// reinforced is a policy-gradient controller: PPO (Schulman et al. 2017), or
// REINFORCE, which is one unclipped step.
type reinforced struct {
	c        Config
	net      *network
	adam     adam
	seed     uint64
	version  int
	baseline float64
	started  bool // the baseline holds something
	entropy  float64
	kl       float64

	ahead                    [][]int // samples drawn already, from aheadFirst on, by aheadVersion
	aheadFirst, aheadVersion int
}

func newReinforced(c Config, sizes []int, seed uint64) *reinforced {
	net := newNetwork(sizes, c.Units, seed)
	return &reinforced{c: c, net: net, seed: seed, adam: newAdam(c.LearningRate, len(net.params))}
}

func (r *reinforced) Name() string   { return r.c.Policy }
func (r *reinforced) BatchSize() int { return r.c.Batch }
func (r *reinforced) Version() int   { return r.version }

// Sample draws the trials that are likely to be asked for next along with the
// one that is: a batch is several times as fast as its trials one by one, and
// the same numbers.
func (r *reinforced) Sample(trial int) []int {
	if r.ahead == nil || r.aheadVersion != r.version || trial < r.aheadFirst || trial >= r.aheadFirst+len(r.ahead) {
		r.drawAhead(trial)
	}
	return slices.Clone(r.ahead[trial-r.aheadFirst])
}

func (r *reinforced) drawAhead(first int) {
	r.ahead, r.aheadFirst, r.aheadVersion = make([][]int, r.c.Batch), first, r.version
	streams := make([]*stream, r.c.Batch)
	for i := range streams {
		streams[i] = newStream(r.seed, purposeSample, uint64(r.version), uint64(first+i))
		r.ahead[i] = make([]int, len(r.net.sizes))
	}
	r.net.forward(r.net.newTape(r.c.Batch), func(i, t int, probs []float64) int {
		r.ahead[i][t] = draw(probs, streams[i].float())
		return r.ahead[i][t]
	})
}

// draw picks the index at which the running sum passes u.
func draw(probs []float64, u float64) int {
	for i, p := range probs {
		if u -= p; u < 0 {
			return i
		}
	}
	return len(probs) - 1
}

// Update runs the epochs over the batch. Failed outcomes teach nothing.
func (r *reinforced) Update(batch []Outcome) error {
	var good []Outcome
	for _, o := range batch {
		if len(o.Choices) != len(r.net.sizes) {
			return fmt.Errorf("controller: trial %d has %d choices, want %d", o.Trial, len(o.Choices), len(r.net.sizes))
		}
		if usable(o) {
			good = append(good, o)
		}
	}
	r.version++
	if len(good) == 0 {
		return nil
	}
	advantages := r.advantages(good)
	choices := make([][]int, len(good))
	for i, o := range good {
		choices[i] = o.Choices
	}
	tp := r.net.newTape(len(good))
	grad := make([]float64, len(r.net.params))
	var old [][]float64
	for epoch := range r.c.Epochs {
		r.net.forward(tp, func(i, t int, _ []float64) int { return choices[i][t] })
		if epoch == 0 {
			old = taken(tp, r.net.sizes, choices)
		}
		clear(grad)
		r.net.backward(tp, choices, r.logitGradients(tp, choices, old, advantages), grad)
		r.adam.step(r.net.params, grad)
		r.net.refresh()
	}
	return nil
}

// advantages are the rewards over the moving baseline, divided by the batch's
// deviation; then the baseline moves (paper: decay 0.95).
func (r *reinforced) advantages(good []Outcome) []float64 {
	mean := 0.0
	for _, o := range good {
		mean += o.Reward
	}
	mean /= float64(len(good))
	variance := 0.0
	for _, o := range good {
		d := o.Reward - mean
		variance += float64(d * d)
	}
	deviation := math.Sqrt(variance/float64(len(good))) + 1e-8
	if !r.started {
		r.baseline, r.started = mean, true
	}
	adv := make([]float64, len(good))
	for i, o := range good {
		adv[i] = (o.Reward - r.baseline) / deviation
		adv[i] = math.Max(-5, math.Min(5, adv[i])) // one outlier must not decide a batch
	}
	r.baseline = float64(r.c.Baseline*r.baseline) + float64((1-r.c.Baseline)*mean)
	return adv
}

// taken are the probabilities of the choices made, [sequence][step].
func taken(tp *tape, sizes []int, choices [][]int) [][]float64 {
	out := make([][]float64, tp.b)
	for i := range out {
		out[i] = make([]float64, len(sizes))
		for t, size := range sizes {
			out[i][t] = tp.probs[t][i*size+choices[i][t]]
		}
	}
	return out
}

// logitGradients is the gradient, by every logit, of
//
//	-mean over sequences of sum over steps of min(ρA, clip(ρ)A) + entropy·H
//
// with ρ the ratio of a choice's probability to that before the batch, clipped
// to 1±Clip. REINFORCE has ρ = 1 throughout.
func (r *reinforced) logitGradients(tp *tape, choices [][]int, old [][]float64, adv []float64) [][]float64 {
	out := make([][]float64, len(r.net.sizes))
	inv := 1 / float64(tp.b)
	r.entropy, r.kl = 0, 0
	for t, size := range r.net.sizes {
		out[t] = make([]float64, tp.b*size)
		for i := range tp.b {
			p, g := tp.probs[t][i*size:(i+1)*size], out[t][i*size:(i+1)*size]
			ratio := p[choices[i][t]] / math.Max(old[i][t], 1e-300)
			weight := float64(adv[i] * ratio)
			if adv[i] > 0 && ratio > 1+r.c.Clip || adv[i] < 0 && ratio < 1-r.c.Clip {
				weight = 0
			}
			h := 0.0
			for _, x := range p {
				h -= float64(x * logp(x))
			}
			r.entropy += h * inv
			r.kl -= math.Log(math.Max(ratio, 1e-300)) * inv
			for k, x := range p {
				up := float64(weight * -x)
				if k == choices[i][t] {
					up += weight
				}
				up -= float64(r.c.Entropy * float64(x*(logp(x)+h)))
				g[k] = -up * inv
			}
		}
	}
	return out
}

func logp(x float64) float64 { return math.Log(math.Max(x, 1e-300)) }

func (r *reinforced) Stats() map[string]float64 {
	return map[string]float64{"entropy": r.entropy, "kl": r.kl, "baseline": r.baseline}
}

func (r *reinforced) Digest() string {
	h := newDigest(r.c.Policy, r.seed)
	h.int(r.version)
	h.float(r.baseline)
	for _, list := range [][]float64{r.net.params, r.adam.m, r.adam.v} {
		for _, x := range list {
			h.float(x)
		}
	}
	return h.sum()
}

// adam is Kingma and Ba's optimizer.
type adam struct {
	rate float64
	n    int
	m, v []float64
}

func newAdam(rate float64, size int) adam {
	return adam{rate: rate, m: make([]float64, size), v: make([]float64, size)}
}

func (a *adam) step(params, grad []float64) {
	const b1, b2, epsilon = 0.9, 0.999, 1e-8
	a.n++
	c1, c2 := 1-math.Pow(b1, float64(a.n)), 1-math.Pow(b2, float64(a.n))
	for i, g := range grad {
		a.m[i] = float64(b1*a.m[i]) + float64((1-b1)*g)
		a.v[i] = float64(b2*a.v[i]) + float64((1-b2)*float64(g*g))
		params[i] -= float64(a.rate * (a.m[i] / c1) / (math.Sqrt(a.v[i]/c2) + epsilon))
	}
}
