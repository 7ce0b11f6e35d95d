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
		t.count(Rank(row, int(class)), crossEntropy(row, int(class)))
	}
	return nil
}

func (t *Tally) count(rank int, loss float64) {
	t.images++
	if rank == 0 {
		t.top1++
	}
	if rank < 5 {
		t.top5++
	}
	t.loss += loss
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
	return logSumExp(logits) - float64(logits[class])
}

// logSumExp is the logarithm of the sum of exponentials, without overflow.
func logSumExp(logits []float32) float64 {
	largest := float64(logits[0])
	for _, x := range logits {
		largest = math.Max(largest, float64(x))
	}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x) - largest)
	}
	return math.Log(sum) + largest
}

// Result is a measurement; shares are 0..1.
type Result struct {
	Images int64      `json:"images"`
	Top1   float64    `json:"top1"`
	Top5   float64    `json:"top5"`
	Top1CI [2]float64 `json:"top1_ci95"` // Wilson, 95 %
	Top5CI [2]float64 `json:"top5_ci95"`
	Loss   float64    `json:"loss"` // mean cross entropy, nats
}

// Result returns what was counted so far.
func (t *Tally) Result() Result {
	n := max(1, t.images)
	return Result{
		Images: t.images, Top1: share(t.top1, t.images), Top5: share(t.top5, t.images),
		Top1CI: Wilson(t.top1, t.images, z95), Top5CI: Wilson(t.top5, t.images, z95), Loss: t.loss / float64(n),
	}
}

// share is k of n, 0 where there is nothing.
func share(k, n int64) float64 { return float64(k) / float64(max(1, n)) }
