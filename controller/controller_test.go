package controller

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var kinds = []string{PPO, REINFORCE, Random, Evolution}

func newPolicy(t testing.TB, c Config, sizes []int, trials int, seed uint64) Policy {
	t.Helper()
	p, err := New(c, sizes, trials, seed)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// play runs a policy for a number of trials and returns the rewards.
func play(t testing.TB, p Policy, trials int, reward func([]int) float64) []float64 {
	t.Helper()
	var rewards []float64
	for len(rewards) < trials {
		var batch []Outcome
		for range p.BatchSize() {
			n := len(rewards)
			choices := p.Sample(n)
			batch = append(batch, Outcome{Trial: n, Choices: choices, Reward: reward(choices)})
			rewards = append(rewards, batch[len(batch)-1].Reward)
		}
		if err := p.Update(batch); err != nil {
			t.Fatal(err)
		}
	}
	return rewards
}

func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}

// The back-propagated gradient of random weightings of the log probabilities,
// against central differences in every kind of weight.
func TestGradientAgainstDifferences(t *testing.T) {
	sizes := []int{3, 2, 4, 3}
	n := newNetwork(sizes, 5, 7)
	s := newStream(1)
	for i := range n.params { // larger than at the start, to see the curvature
		n.params[i] = 2*s.float() - 1
	}
	n.refresh()
	choices := [][]int{{0, 1, 3, 2}, {2, 0, 1, 1}, {1, 1, 0, 0}}
	force := func(i, t int, _ []float64) int { return choices[i][t] }
	loss := func() float64 {
		tp := n.newTape(3)
		n.forward(tp, force)
		sum := 0.0
		for i, row := range taken(tp, sizes, choices) {
			for step, p := range row {
				sum += float64(i+1) * float64(step+2) * math.Log(p)
			}
		}
		return sum
	}
	tp := n.newTape(3)
	n.forward(tp, force)
	dlogits := make([][]float64, len(sizes))
	for step, size := range sizes {
		dlogits[step] = make([]float64, 3*size)
		for i := range 3 {
			for k := range size {
				g := -tp.probs[step][i*size+k]
				if k == choices[i][step] {
					g++
				}
				dlogits[step][i*size+k] = float64(i+1) * float64(step+2) * g
			}
		}
	}
	grad := make([]float64, len(n.params))
	n.backward(tp, choices, dlogits, grad)
	const h = 1e-6
	for i := range n.params {
		x := n.params[i]
		at := func(x float64) float64 {
			n.params[i] = x
			n.refresh()
			return loss()
		}
		up, down := at(x+h), at(x-h)
		n.params[i] = x
		if want := (up - down) / (2 * h); math.Abs(want-grad[i]) > 1e-5*(1+math.Abs(want)) {
			t.Fatalf("weight %d of %d: gradient %g, by differences %g", i, len(n.params), grad[i], want)
		}
	}
}

// Products are those of the definition, to the bit, with vectors and without.
func TestProductsEqualTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, n, k := rapid.IntRange(1, 9).Draw(t, "m"), rapid.IntRange(1, 30).Draw(t, "n"), rapid.IntRange(1, 9).Draw(t, "k")
		s := newStream(uint64(m), uint64(n), uint64(k))
		a, b, c := make([]float64, m*k), make([]float64, k*n), make([]float64, m*n)
		for _, x := range [][]float64{a, b, c} {
			for i := range x {
				x[i] = s.float() - 0.5
			}
		}
		want := slices.Clone(c)
		for i := range m {
			for j := range n {
				for l := range k {
					want[i*n+j] += float64(a[i*k+l] * b[l*n+j])
				}
			}
		}
		aT := make([]float64, m*k)
		transpose(aT, a, m, k)
		got, left := slices.Clone(c), slices.Clone(c)
		mul(got, a, b, m, n, k)
		mulLeft(left, aT, b, m, n, k)
		if !slices.Equal(got, want) || !slices.Equal(left, want) {
			t.Fatalf("%dx%dx%d differ", m, n, k)
		}
		plain := slices.Clone(c)
		for i := range m {
			for l := 0; l+4 <= k; l += 4 {
				add4Go(plain[i*n:i*n+n], b[l*n:(l+4)*n], [4]float64(a[i*k+l:i*k+l+4]))
			}
			for l := k &^ 3; l < k; l++ {
				add(plain[i*n:i*n+n], b[l*n:l*n+n], a[i*k+l])
			}
		}
		if !slices.Equal(plain, want) {
			t.Fatalf("%dx%dx%d differ without vectors", m, n, k)
		}
	})
}

// A reward that counts the decisions that are right: every learner must beat
// random clearly, which has a third right.
func TestLearnersLearn(t *testing.T) {
	sizes := make([]int, 20)
	for i := range sizes {
		sizes[i] = 3
	}
	reward := func(c []int) float64 {
		right := 0.0
		for i, x := range c {
			if x == i%3 {
				right++
			}
		}
		return right / 20
	}
	for _, kind := range kinds {
		got := play(t, newPolicy(t, Defaults(kind, 600), sizes, 600, 5), 600, reward)
		last := mean(got[500:])
		if kind == Random && (last < 0.28 || last > 0.39) {
			t.Errorf("random has %g right, want a third", last)
		}
		if kind != Random && last < 0.6 {
			t.Errorf("%s has %g right at the end, want at least 0.6", kind, last)
		}
	}
}

// The same seed gives the same search; samples do not depend on the order in
// which they are asked for.
func TestSearchesAreFunctionsOfTheSeed(t *testing.T) {
	sizes := []int{2, 5, 13, 3, 1}
	reward := func(c []int) float64 { return float64(c[1]*c[2]) / 48 }
	for _, kind := range kinds {
		a, b := newPolicy(t, Defaults(kind, 200), sizes, 200, 9), newPolicy(t, Defaults(kind, 200), sizes, 200, 9)
		play(t, a, 100, reward)
		play(t, b, 100, reward)
		if a.Digest() != b.Digest() || a.Version() != b.Version() {
			t.Errorf("%s: two equal searches end with other digests", kind)
		}
		first := a.Sample(7)
		a.Sample(3)
		if !slices.Equal(a.Sample(7), first) {
			t.Errorf("%s: a sample depends on those before", kind)
		}
		if other := newPolicy(t, Defaults(kind, 200), sizes, 200, 10); other.Digest() == newPolicy(t, Defaults(kind, 200), sizes, 200, 9).Digest() {
			t.Errorf("%s: the seed does not show in the digest", kind)
		}
	}
}

// Digests fixed on purpose: a change here means that recorded searches can no
// longer be replayed by this build.
func TestArithmeticIsWhatItWas(t *testing.T) {
	reward := func(c []int) float64 { return float64(c[0]+2*c[1]) / 8 }
	for kind, want := range goldenDigests {
		p := newPolicy(t, Config{Policy: kind, Batch: 5, Units: 12, LearningRate: 0.01, Entropy: 0.01, Baseline: 0.9, Epochs: 2, Clip: 0.2, Population: 5, Tournament: 2},
			[]int{3, 4, 2}, 50, 42)
		play(t, p, 25, reward)
		if got := p.Digest(); got != want {
			t.Errorf("%s: digest %s, want %s", kind, got, want)
		}
	}
}

func TestFailedTrialsTeachNothing(t *testing.T) {
	for _, kind := range kinds {
		p := newPolicy(t, Defaults(kind, 100), []int{3, 3}, 100, 1)
		for range 5 {
			err := p.Update([]Outcome{
				{Choices: []int{0, 1}, Failed: true},
				{Choices: []int{1, 1}, Reward: math.NaN()},
				{Choices: []int{2, 1}, Reward: math.Inf(1)},
				{Choices: []int{0, 0}, Reward: 0.5},
				{Choices: []int{1, 2}, Reward: 0.7},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for name, x := range p.Stats() {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Errorf("%s: %s is %g", kind, name, x)
			}
		}
		for i := range 10 {
			for j, c := range p.Sample(i) {
				if c < 0 || c > 2 {
					t.Errorf("%s: choice %d of decision %d", kind, c, j)
				}
			}
		}
	}
}

func TestUniformSamplesAreUniform(t *testing.T) {
	p := newPolicy(t, Config{Policy: Random}, []int{4}, 100, 3)
	count := make([]int, 4)
	for i := range 40000 {
		count[p.Sample(i)[0]]++
	}
	for c, n := range count {
		if n < 9600 || n > 10400 {
			t.Errorf("choice %d was drawn %d times of 40000", c, n)
		}
	}
}

func TestFaultsAreAllNamed(t *testing.T) {
	if _, err := New(Config{Policy: "nosuch", Clip: 2, Baseline: 3}, []int{2}, 1, 1); err == nil {
		t.Error("accepted")
	}
	if _, err := New(Config{Policy: PPO}, nil, 1, 1); err == nil {
		t.Error("nothing to decide was accepted")
	}
}

// The 50 decisions of the NASNet space, batch 20, 100 units, 4 epochs.
func BenchmarkNASNetController(b *testing.B) {
	var sizes []int
	for range 2 {
		for block := range 5 {
			sizes = append(sizes, block+2, block+2, 13, 13, 2)
		}
	}
	p := newPolicy(b, Paper(), sizes, 20000, 1)
	for range b.N {
		play(b, p, 20, func(c []int) float64 { return float64(c[0]) })
	}
	b.ReportMetric(float64(20*b.N)/b.Elapsed().Seconds(), "architectures/s")
}
