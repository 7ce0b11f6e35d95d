package search

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Objective makes one reward of what was measured, and says which metrics span
// the Pareto front of a report.
type Objective struct {
	// Penalties are taken off the measured reward.
	Penalties []Penalty `json:"penalties,omitempty"`
	// Front are metrics to be small, beside the reward to be large: Status lists
	// the trials that no other one beats in all of them. Empty: no front.
	Front []string `json:"front,omitempty"`
}

// Penalty takes Weight·max(0, metric/Target − 1) off the reward: nothing up to
// the target, Weight for twice the target.
type Penalty struct {
	Metric string  `json:"metric"` // of the gate or of the evaluator, such as params, macs, latency_ms
	Target float64 `json:"target"` // in the metric's unit; more than 0
	Weight float64 `json:"weight"` // in the reward's unit; more than 0
}

func (o Objective) validate() error {
	var faults []error
	for i, p := range o.Penalties {
		if p.Metric == "" || !(p.Target > 0) || !(p.Weight > 0) {
			faults = append(faults, fmt.Errorf("search: objective.penalties[%d]: metric %q, target %g, weight %g: want a name and two numbers above 0", i, p.Metric, p.Target, p.Weight))
		}
	}
	if slices.Contains(o.Front, "") {
		faults = append(faults, errors.New("search: objective.front: want names of metrics"))
	}
	return errors.Join(faults...)
}

// reward is the objective's value. A penalty without its metric is an error:
// such a cell must not win by what was not measured.
func (o Objective) reward(value float64, metrics map[string]float64) (float64, error) {
	for _, p := range o.Penalties {
		m, ok := metrics[p.Metric]
		if !ok {
			return 0, fmt.Errorf("metric %q, which the objective penalises, was not measured", p.Metric)
		}
		value -= float64(p.Weight * math.Max(0, m/p.Target-1)) // rounded: no fused multiply-add, on any machine
	}
	return value + 0, nil // no -0, which SQLite would not keep
}

// front returns the done trials that no other one dominates: at least as good
// in reward and every metric, and better in one. Best reward first.
func (o Objective) front(trials []*Trial) []*Trial {
	if len(o.Front) == 0 {
		return nil
	}
	var front []*Trial
	for _, t := range byReward(trials) {
		if !slices.ContainsFunc(front, func(f *Trial) bool { return o.covers(f, t) }) {
			front = append(front, t)
		}
	}
	all := slices.Clone(front) // of equal rewards the better in the metrics may have come later
	return slices.DeleteFunc(front, func(t *Trial) bool {
		return slices.ContainsFunc(all, func(f *Trial) bool { return f.Reward == t.Reward && o.covers(f, t) && !o.covers(t, f) })
	})
}

// covers reports whether a, whose reward is at least b's, makes b superfluous.
func (o Objective) covers(a, b *Trial) bool {
	for _, name := range o.Front {
		if metric(a, name) > metric(b, name) {
			return false
		}
	}
	return true
}

// metric that was not measured counts as infinite.
func metric(t *Trial, name string) float64 {
	if v, ok := t.Metrics[name]; ok {
		return v
	}
	return math.Inf(1)
}

// byReward are the done trials, one a cell, best first; of equals the smaller
// number first.
func byReward(trials []*Trial) []*Trial {
	seen := map[string]bool{}
	var list []*Trial
	for _, t := range trials {
		if t.State == Done && !seen[t.Hash] {
			seen[t.Hash] = true
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b *Trial) int {
		switch {
		case a.Reward > b.Reward:
			return -1
		case a.Reward < b.Reward:
			return 1
		}
		return a.ID - b.ID
	})
	return list
}
