// Package eval measures trained networks: top-1 and top-5 with confidence
// intervals, loss.
//
// Caveat: an interval says what another draw of as many images from the same
// source would give, nothing of another training or another source.
package eval

import (
	"fmt"
	"math"
)

// Tally counts predictions. The zero value is ready.
type Tally struct {
	images, top1, top5 int64
	loss               float64
}

// Add counts a batch: logits [N,K] row-major, classes [N]. A class is among the
// top k if fewer than k others have a larger logit, or an equal one and a
// smaller index.
func (t *Tally) Add(logits []float32, classes []int64) error {
	if len(classes) == 0 || len(logits)%len(classes) != 0 {
		return fmt.Errorf("eval: %d logits for %d images", len(logits), len(classes))
	}
	k := len(logits) / len(classes)
	for i, class := range classes {
		row := logits[i*k : (i+1)*k]
		if class < 0 || class >= int64(k) {
			return fmt.Errorf("eval: class %d of an image is not in 0..%d", class, k-1)
		}
		rank := Rank(row, int(class))
		t.images++
		if rank == 0 {
			t.top1++
		}
		if rank < 5 {
			t.top5++
		}
		t.loss += crossEntropy(row, int(class))
	}
	return nil
}

// Rank is how many classes come before the given one.
func Rank(logits []float32, class int) int {
	rank := 0
	for j, x := range logits {
		if x > logits[class] || x == logits[class] && j < class || math.IsNaN(float64(x)) {
			rank++
		}
	}
	return rank
}

func crossEntropy(logits []float32, class int) float64 {
	largest := float64(logits[0])
	for _, x := range logits {
		largest = math.Max(largest, float64(x))
	}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x) - largest)
	}
	return math.Log(sum) + largest - float64(logits[class])
}

// Result is a measurement; shares are 0..1.
type Result struct {
	Images         int64
	Top1, Top5     float64
	Top1CI, Top5CI [2]float64 // Wilson, 95 %
	Loss           float64    // mean cross entropy, nats
}

// Result returns what was counted so far.
func (t *Tally) Result() Result {
	n := max(1, t.images)
	return Result{
		Images: t.images, Top1: float64(t.top1) / float64(n), Top5: float64(t.top5) / float64(n),
		Top1CI: Wilson(t.top1, t.images, z95), Top5CI: Wilson(t.top5, t.images, z95), Loss: t.loss / float64(n),
	}
}

// z95 is the normal distribution's 97.5 % point.
const z95 = 1.959963984540054

// Wilson is the score interval of a share of k in n, z deviations wide (Wilson
// 1927).
func Wilson(k, n int64, z float64) [2]float64 {
	if n == 0 {
		return [2]float64{0, 1}
	}
	p, m := float64(k)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return [2]float64{math.Max(0, centre-half), math.Min(1, centre+half)}
}
