package eval

import "math"

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

// meanInterval is the 95 % interval of the unweighted mean of shares right[i] of
// images[i], those of no images left out: each share's Wilson limits, put
// together by the method of variance estimates recovery (Zou and Donner 2008).
// Unlike the normal interval it keeps its width where every share is 1.
func meanInterval(right, images []int64) (mean float64, interval [2]float64) {
	var groups, below, above float64
	for i, n := range images {
		if n == 0 {
			continue
		}
		p, limits := share(right[i], n), Wilson(right[i], n, z95)
		groups++
		mean += p
		below += (p - limits[0]) * (p - limits[0])
		above += (limits[1] - p) * (limits[1] - p)
	}
	if groups == 0 {
		return 0, [2]float64{0, 1}
	}
	mean /= groups
	return mean, [2]float64{math.Max(0, mean-math.Sqrt(below)/groups), math.Min(1, mean+math.Sqrt(above)/groups)}
}
