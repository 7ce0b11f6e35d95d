package eval

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Comparison sets two models beside each other on the same images.
type Comparison struct {
	Images     int64 `json:"images"`
	BothRight  int64 `json:"both_right"`
	OnlyFirst  int64 `json:"only_first_right"`
	OnlySecond int64 `json:"only_second_right"`
	BothWrong  int64 `json:"both_wrong"`

	First      float64    `json:"first_top1"`
	Second     float64    `json:"second_top1"`
	Difference float64    `json:"difference"`      // first minus second
	CI95       [2]float64 `json:"difference_ci95"` // of paired shares, normal (Wald)
	McNemar    McNemar    `json:"mcnemar"`
	Verdict    string     `json:"verdict"`
}

// McNemar is the test that both models are right equally often (McNemar 1947):
// only images on which one is right and the other wrong count.
type McNemar struct {
	// PExact is the two-sided p value of the binomial distribution, the one that
	// the verdict goes by: it holds for any number of images.
	PExact float64 `json:"p_exact"`
	// ChiSquare has one degree of freedom, with Edwards' continuity correction:
	// (|b-c|-1)^2/(b+c). It is an approximation for b+c of 25 and more.
	ChiSquare  float64 `json:"chi_square"`
	PChiSquare float64 `json:"p_chi_square"`
}

// NewMcNemar tests b images that only the first, c that only the second model
// has right. Where there are none, nothing speaks against equality: p is 1.
func NewMcNemar(b, c int64) McNemar {
	n := float64(b + c)
	if n == 0 {
		return McNemar{PExact: 1, PChiSquare: 1}
	}
	corrected := math.Abs(float64(b-c)) - 1
	m := McNemar{
		PExact:    math.Min(1, 2*distuv.Binomial{N: n, P: 0.5}.CDF(float64(min(b, c)))),
		ChiSquare: corrected * corrected / n,
	}
	m.PChiSquare = math.Erfc(math.Sqrt(m.ChiSquare / 2)) // chi-square with one degree is a squared normal
	return m
}

// significance is the level of the verdict.
const significance = 0.05

// Compare matches predictions by image. Both must be of the same images with
// the same labels; what is not is named.
func Compare(first, second []Prediction) (Comparison, error) {
	other := make(map[string]Prediction, len(second))
	for _, p := range second {
		if _, twice := other[p.Image]; twice {
			return Comparison{}, fmt.Errorf("eval: compare: image %s stands twice in the second predictions", p.Image)
		}
		other[p.Image] = p
	}
	var c Comparison
	for _, a := range first {
		b, ok := other[a.Image]
		switch {
		case !ok:
			return c, fmt.Errorf("eval: compare: image %s stands once in the first predictions and not, or less often, in the second; both must be of the same images", a.Image)
		case a.Label != b.Label:
			return c, fmt.Errorf("eval: compare: image %s has label %d in the first and %d in the second predictions", a.Image, a.Label, b.Label)
		}
		delete(other, a.Image)
		c.count(a.Right(), b.Right())
	}
	for image := range other {
		return c, fmt.Errorf("eval: compare: %d images of the second predictions are not among the first, such as %s", len(other), image)
	}
	if c.Images == 0 {
		return c, fmt.Errorf("eval: compare: there are no predictions")
	}
	c.conclude()
	return c, nil
}

func (c *Comparison) count(first, second bool) {
	c.Images++
	switch {
	case first && second:
		c.BothRight++
	case first:
		c.OnlyFirst++
	case second:
		c.OnlySecond++
	default:
		c.BothWrong++
	}
}

func (c *Comparison) conclude() {
	n, b, d := float64(c.Images), float64(c.OnlyFirst), float64(c.OnlySecond)
	c.First, c.Second = share(c.BothRight+c.OnlyFirst, c.Images), share(c.BothRight+c.OnlySecond, c.Images)
	c.Difference = (b - d) / n
	half := z95 * math.Sqrt(b+d-(b-d)*(b-d)/n) / n
	c.CI95 = [2]float64{c.Difference - half, c.Difference + half}
	c.McNemar = NewMcNemar(c.OnlyFirst, c.OnlySecond)
	better := "first"
	if c.OnlySecond > c.OnlyFirst {
		better = "second"
	}
	c.Verdict = fmt.Sprintf("the two are not distinguishable on these %d images (McNemar's exact p = %.3g)", c.Images, c.McNemar.PExact)
	if c.McNemar.PExact < significance {
		c.Verdict = fmt.Sprintf("the %s is better on these %d images (McNemar's exact p = %.3g)", better, c.Images, c.McNemar.PExact)
	}
}
