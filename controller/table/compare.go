package table

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Figure is a policy's result over all seeds, and its difference to another's.
type Figure struct {
	Mean float64    `json:"mean"`
	SD   float64    `json:"sd"`   // over seeds
	CI95 [2]float64 `json:"ci95"` // of the mean, by bootstrap

	*Difference // to random; nil for random itself
}

// Difference compares the seeds of two policies.
type Difference struct {
	Difference float64    `json:"difference"` // of the means
	CI95       [2]float64 `json:"difference_ci95"`
	CohensD    float64    `json:"cohens_d"` // difference in pooled standard deviations
	WinRate    float64    `json:"win_rate"` // share of pairs of seeds in which the first is better; a tie is half a win
}

// bootstraps is the number of resamples of an interval.
const bootstraps = 2000

// Summarize is the figure of the values, one a seed.
func Summarize(x []float64) Figure {
	f := Figure{Mean: stat.Mean(x, nil)}
	if len(x) > 1 {
		f.SD = stat.StdDev(x, nil)
	}
	r := rand.New(rand.NewPCG(1, 0))
	f.CI95 = interval(func() float64 { return resampled(r, x) })
	return f
}

// Compare is the difference of x to y.
func Compare(x, y []float64) Difference {
	d := Difference{Difference: stat.Mean(x, nil) - stat.Mean(y, nil)}
	r := rand.New(rand.NewPCG(2, 0))
	d.CI95 = interval(func() float64 { return resampled(r, x) - resampled(r, y) })
	if len(x) > 1 && len(y) > 1 {
		nx, ny := float64(len(x)-1), float64(len(y)-1)
		if pooled := math.Sqrt((nx*stat.Variance(x, nil) + ny*stat.Variance(y, nil)) / (nx + ny)); pooled > 0 {
			d.CohensD = d.Difference / pooled
		}
	}
	for _, a := range x {
		for _, b := range y {
			switch {
			case a > b:
				d.WinRate++
			case a == b:
				d.WinRate += 0.5
			}
		}
	}
	d.WinRate /= float64(len(x) * len(y))
	return d
}

func resampled(r *rand.Rand, x []float64) float64 {
	sum := 0.0
	for range x {
		sum += x[r.IntN(len(x))]
	}
	return sum / float64(len(x))
}

// interval holds the middle 95 % of what draw returns.
func interval(draw func() float64) [2]float64 {
	means := make([]float64, bootstraps)
	for i := range means {
		means[i] = draw()
	}
	slices.Sort(means)
	return [2]float64{means[bootstraps/40], means[bootstraps-1-bootstraps/40]}
}
