package search

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Comparison is the difference of two arms' mean rewards with Welch's 95 %
// interval. It takes an arm's rewards for independent; a learning policy's are
// not quite, so the interval is rather too narrow.
type Comparison struct {
	Difference float64    `json:"difference"` // of the means, arm minus random
	CI95       [2]float64 `json:"ci95"`
	CohensD    float64    `json:"cohens_d"` // difference in pooled standard deviations; 0 where these are 0
	Verdict    string     `json:"verdict"`
}

// moments are mean and sample standard deviation, 0 where there is none.
func moments(x []float64) (mean, sd float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	if len(x) < 2 {
		return mean, 0
	}
	for _, v := range x {
		sd += (v - mean) * (v - mean) / float64(len(x)-1)
	}
	return mean, math.Sqrt(sd)
}

// compare is nil until both arms have two rewards.
func compare(arm, random []float64, name string) *Comparison {
	if len(arm) < 2 || len(random) < 2 {
		return nil
	}
	m1, s1 := moments(arm)
	m2, s2 := moments(random)
	n1, n2 := float64(len(arm)), float64(len(random))
	v1, v2 := s1*s1/n1, s2*s2/n2
	half := 0.0
	if v1+v2 > 0 { // Welch 1947, with Satterthwaite's degrees of freedom
		df := (v1 + v2) * (v1 + v2) / (v1*v1/(n1-1) + v2*v2/(n2-1))
		half = distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(0.975) * math.Sqrt(v1+v2)
	}
	c := &Comparison{Difference: m1 - m2, CI95: [2]float64{m1 - m2 - half, m1 - m2 + half}}
	if pooled := math.Sqrt(((n1-1)*s1*s1 + (n2-1)*s2*s2) / (n1 + n2 - 2)); pooled > 0 {
		c.CohensD = (m1 - m2) / pooled
	}
	c.Verdict = fmt.Sprintf("%s and random are not distinguishable", name)
	if c.CI95[0] > 0 {
		c.Verdict = name + " sampled better cells than random in this run"
	} else if c.CI95[1] < 0 {
		c.Verdict = name + " sampled worse cells than random in this run"
	}
	return c
}
