package eval_test

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/eval"
)

// Against sorting, on random logits with ties.
func TestTopKAgainstSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n, k = 500, 12
	var tally eval.Tally
	var logits []float32
	var classes []int64
	top1, top5 := 0, 0
	for range n {
		row := make([]float32, k)
		for j := range row {
			row[j] = float32(r.IntN(20))
		}
		class := r.IntN(k)
		order := make([]int, k)
		for j := range order {
			order[j] = j
		}
		sort.SliceStable(order, func(a, b int) bool { return row[order[a]] > row[order[b]] })
		for place, j := range order {
			if j == class && place == 0 {
				top1++
			}
			if j == class && place < 5 {
				top5++
			}
		}
		logits, classes = append(logits, row...), append(classes, int64(class))
	}
	if err := tally.Add(logits, classes); err != nil {
		t.Fatal(err)
	}
	res := tally.Result()
	if res.Images != n || res.Top1 != float64(top1)/n || res.Top5 != float64(top5)/n {
		t.Errorf("got %+v, want %d and %d of %d", res, top1, top5, n)
	}
}

// Values of statsmodels.stats.proportion.proportion_confint(method="wilson").
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		k, n   int64
		lo, hi float64
	}{{8, 10, 0.4901625071, 0.9433178485}, {0, 20, 0, 0.1611251581}, {7500, 10000, 0.7414187880, 0.7583893000}} {
		got := eval.Wilson(c.k, c.n, 1.959963984540054)
		if math.Abs(got[0]-c.lo) > 2e-6 || math.Abs(got[1]-c.hi) > 2e-6 {
			t.Errorf("%d of %d: %v, want %v %v", c.k, c.n, got, c.lo, c.hi)
		}
	}
}

func TestUniformLogitsHaveTheLossOfAGuess(t *testing.T) {
	var tally eval.Tally
	if err := tally.Add(make([]float32, 30), []int64{0, 5, 9}); err != nil {
		t.Fatal(err)
	}
	if loss := tally.Result().Loss; math.Abs(loss-math.Log(10)) > 1e-12 {
		t.Errorf("loss %g, want ln 10", loss)
	}
	if err := tally.Add(make([]float32, 10), []int64{10}); err == nil {
		t.Error("a class out of range was counted")
	}
}
