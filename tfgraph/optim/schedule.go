package optim

import "math"

// Schedule gives the learning rate of a step, counted from 0.
type Schedule func(step int64) float64

// Constant keeps the rate.
func Constant(rate float64) Schedule { return func(int64) float64 { return rate } }

// Cosine falls from rate to alpha*rate over total steps and stays there:
// rate * (alpha + (1-alpha) * 0.5 * (1 + cos(pi * step/total))) (TF1
// cosine_decay; one period without restart is the paper's, appendix A.6).
func Cosine(rate float64, total int64, alpha float64) Schedule {
	return func(step int64) float64 {
		t := float64(min(step, total)) / float64(total)
		return rate * (alpha + (1-alpha)*0.5*(1+math.Cos(math.Pi*t)))
	}
}

// Exponential is rate * decay^(step/every), by whole intervals if staircase
// (TF1 exponential_decay).
func Exponential(rate float64, every int64, decay float64, staircase bool) Schedule {
	return func(step int64) float64 {
		t := float64(step) / float64(every)
		if staircase {
			t = math.Floor(t)
		}
		return rate * math.Pow(decay, t)
	}
}

// Steps multiplies the rate by factor at each boundary.
func Steps(rate float64, boundaries []int64, factor float64) Schedule {
	return func(step int64) float64 {
		r := rate
		for _, b := range boundaries {
			if step >= b {
				r *= factor
			}
		}
		return r
	}
}

// Warmup rises linearly to what follows over the first steps.
func Warmup(steps int64, then Schedule) Schedule {
	return func(step int64) float64 {
		if step >= steps {
			return then(step)
		}
		return then(step) * float64(step+1) / float64(steps)
	}
}
