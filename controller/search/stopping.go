package search

import (
	"fmt"
	"slices"
)

// Stopping ends children early that do badly by the values they report. The
// thresholds of a trial come from completed batches of its own arm alone, so
// that they do not depend on who is faster; they travel with its task. With
// stopping on, the random arm has barriers too, and equal cells share a result
// within an arm only.
type Stopping struct {
	Rule   string `json:"rule,omitempty"`   // "" (off) | median | halving
	After  int    `json:"after,omitempty"`  // step of the first decision; 0: 1
	Trials int    `json:"trials,omitempty"` // completed trials needed before any is stopped; 0: 10
	Factor int    `json:"factor,omitempty"` // halving: rungs at After, After·Factor, …; the best 1/Factor go on; 0: 3
}

// Rules of early stopping.
const (
	// Median stops a child whose best value so far is below the median of the
	// others' best at the same step (Golovin et al. 2017, Vizier, section 3.1).
	Median = "median"
	// Halving is successive halving (Jamieson, Talwalkar 2016) over batches.
	Halving = "halving"
)

// Rung is a step at which a child goes on only if its best value so far is at
// least so much.
type Rung struct {
	Step    int     `json:"step"`
	AtLeast float64 `json:"at_least"`
}

func (s Stopping) on() bool { return s.Rule != "" }

func (s Stopping) validate(mode Mode) error {
	switch {
	case s.Rule != "" && s.Rule != Median && s.Rule != Halving:
		return fmt.Errorf("search: stopping.rule %q: want median, halving or nothing", s.Rule)
	case s.After < 0 || s.Trials < 0 || s.Factor < 0 || s.Factor == 1:
		return fmt.Errorf("search: stopping: after %d, trials %d, factor %d: want 0 (default) or more, a factor of at least 2", s.After, s.Trials, s.Factor)
	}
	return nil
}

func (s Stopping) fill() Stopping {
	pick := func(x *int, d int) {
		if *x == 0 {
			*x = d
		}
	}
	pick(&s.After, 1)
	pick(&s.Trials, 10)
	pick(&s.Factor, 3)
	return s
}

// rungs are the thresholds that the given completed trials set.
func (s Stopping) rungs(completed []*Trial) []Rung {
	if !s.on() {
		return nil
	}
	s = s.fill()
	at := map[int][]float64{} // step -> best values so far
	enough := 0
	for _, t := range completed {
		if t.State != Done || t.Reused >= 0 || len(t.Curve) == 0 {
			continue
		}
		enough++
		best := t.Curve[0].Value
		for _, p := range t.Curve {
			best = max(best, p.Value)
			at[p.Step] = append(at[p.Step], best)
		}
	}
	if enough < s.Trials {
		return nil
	}
	var out []Rung
	for step, values := range at {
		if s.decides(step) {
			slices.Sort(values)
			out = append(out, Rung{step, s.threshold(values)})
		}
	}
	slices.SortFunc(out, func(a, b Rung) int { return a.Step - b.Step })
	return out
}

// decides reports whether step is one at which children are stopped.
func (s Stopping) decides(step int) bool {
	if s.Rule == Median {
		return step >= s.After
	}
	rung := s.After
	for rung < step {
		rung *= s.Factor
	}
	return rung == step
}

// threshold is what a value must reach among sorted ones.
func (s Stopping) threshold(sorted []float64) float64 {
	n := len(sorted)
	if s.Rule == Halving {
		return sorted[n-(n+s.Factor-1)/s.Factor]
	}
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// judge decides about one child as it reports.
type judge struct {
	rungs []Rung
	best  float64
	any   bool
}

func (j *judge) stop(step int, value float64) bool {
	if !j.any || value > j.best {
		j.best, j.any = value, true
	}
	for _, r := range j.rungs {
		if r.Step == step && j.best < r.AtLeast {
			return true
		}
	}
	return false
}
