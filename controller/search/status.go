package search

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
)

// Counts of trials by state.
type Counts struct {
	Planned int `json:"planned"`
	Done    int `json:"done"`
	Failed  int `json:"failed"`
	Running int `json:"running"`
}

// Best is the trial with the highest reward.
type Best struct {
	Trial    int     `json:"trial"`
	Genotype string  `json:"genotype"`
	Reward   float64 `json:"reward"`
}

// Arm sums up one policy's trials.
type Arm struct {
	Arm    string  `json:"arm"`
	Trials Counts  `json:"trials"`
	Unique int     `json:"unique"`
	Mean   float64 `json:"mean"` // of the rewards
	SD     float64 `json:"sd"`   // sample standard deviation
	Best   float64 `json:"best"`
}

// Comparison is the difference of the arms' mean rewards, policy minus random,
// with Welch's 95 % interval.
type Comparison struct {
	Difference float64    `json:"difference"`
	CI95       [2]float64 `json:"ci95"`
	Verdict    string     `json:"verdict"`
}

// Status is where a search stands.
type Status struct {
	Policy           string      `json:"policy"`
	Trials           Counts      `json:"trials"`
	Unique           int         `json:"unique"`
	Best             *Best       `json:"best"`
	Arms             []Arm       `json:"arms"`
	Comparison       *Comparison `json:"comparison"`
	ControllerDigest string      `json:"controller_digest"`
	LedgerDigest     string      `json:"ledger_digest"`
}

// Status returns where the search stands.
func (e *Experiment) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return statusOf(e.spec, e.trials, e.policy.Digest())
}

// ReadStatus reads a search's status from its run directory, also while it
// runs elsewhere. The controller is rebuilt for its digest.
func ReadStatus(dir string) (Status, error) {
	path := filepath.Join(dir, ledgerFile)
	if _, err := os.Stat(path); err != nil {
		return Status{}, fmt.Errorf("search: %s holds no search: %w", dir, err)
	}
	l, err := openLedger(path, true)
	if err != nil {
		return Status{}, err
	}
	defer l.close()
	raw, err := l.spec()
	if err != nil {
		return Status{}, err
	}
	e := &Experiment{ledger: l}
	if err := json.Unmarshal([]byte(raw), &e.spec); err != nil {
		return Status{}, fmt.Errorf("search: specification in %s: %w", path, err)
	}
	if e.trials, err = l.trials(); err != nil {
		return Status{}, err
	}
	if err := e.newPolicies(); err != nil {
		return Status{}, err
	}
	digests, err := l.updates()
	if err != nil {
		return Status{}, err
	}
	for e.policy.Version() < len(digests) {
		if ok, err := e.advance(digests); err != nil || !ok {
			return Status{}, fmt.Errorf("search: rebuild the controller: %w", errOr(err, ErrReplay))
		}
	}
	return statusOf(e.spec, e.trials, e.policy.Digest()), nil
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func statusOf(spec Spec, trials []Trial, controllerDigest string) Status {
	s := Status{Policy: spec.Policy.Policy, ControllerDigest: controllerDigest, LedgerDigest: ledgerDigest(trials)}
	s.Trials, s.Unique = count(trials, spec.Trials+spec.RandomTrials)
	arms := map[string][]Trial{}
	for _, t := range trials {
		arms[armOf(spec, t)] = append(arms[armOf(spec, t)], t)
		if t.State == Done && (s.Best == nil || t.Reward > s.Best.Reward) {
			s.Best = &Best{t.ID, t.Genotype, t.Reward}
		}
	}
	s.Arms = append(s.Arms, armStatus(spec.Policy.Policy, arms["policy"], spec.Trials))
	if spec.RandomTrials > 0 {
		s.Arms = append(s.Arms, armStatus(RandomArm, arms["random"], spec.RandomTrials))
		s.Comparison = compare(rewards(arms["policy"]), rewards(arms["random"]), spec.Policy.Policy)
	}
	return s
}

func count(trials []Trial, planned int) (Counts, int) {
	c := Counts{Planned: planned}
	unique := map[string]bool{}
	for _, t := range trials {
		switch t.State {
		case Done:
			c.Done++
		case Failed:
			c.Failed++
		case Running:
			c.Running++
		}
		if t.State == Done || t.State == Failed {
			unique[t.Hash] = true
		}
	}
	return c, len(unique)
}

func rewards(trials []Trial) []float64 {
	var out []float64
	for _, t := range trials {
		if t.State == Done {
			out = append(out, t.Reward)
		}
	}
	return out
}

func armStatus(name string, trials []Trial, planned int) Arm {
	a := Arm{Arm: name}
	a.Trials, a.Unique = count(trials, planned)
	r := rewards(trials)
	a.Mean, a.SD = moments(r)
	for _, x := range r {
		a.Best = math.Max(a.Best, x)
	}
	return a
}

// moments are mean and sample standard deviation, 0 where there is none.
func moments(x []float64) (mean, sd float64) {
	if len(x) == 0 {
		return 0, 0
	}
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
func compare(policy, random []float64, name string) *Comparison {
	if len(policy) < 2 || len(random) < 2 {
		return nil
	}
	m1, s1 := moments(policy)
	m2, s2 := moments(random)
	v1, v2 := s1*s1/float64(len(policy)), s2*s2/float64(len(random))
	df := (v1 + v2) * (v1 + v2) / math.Max(1e-300, v1*v1/float64(len(policy)-1)+v2*v2/float64(len(random)-1))
	half := studentT975(df) * math.Sqrt(v1+v2)
	c := &Comparison{Difference: m1 - m2, CI95: [2]float64{m1 - m2 - half, m1 - m2 + half}}
	switch {
	case c.CI95[0] > 0:
		c.Verdict = name + " samples better cells than random"
	case c.CI95[1] < 0:
		c.Verdict = name + " samples worse cells than random"
	default:
		c.Verdict = name + " and random are not distinguishable"
	}
	return c
}

// studentT975 is the 97.5 % point of Student's t, by the Cornish-Fisher
// expansion (Abramowitz and Stegun 26.7.5); within 1 % from 3 degrees up.
func studentT975(df float64) float64 {
	const z = 1.959963984540054
	if df < 1 {
		df = 1
	}
	z3, z5, z7 := z*z*z, z*z*z*z*z, z*z*z*z*z*z*z
	return z + (z3+z)/(4*df) + (5*z5+16*z3+3*z)/(96*df*df) + (3*z7+19*z5+17*z3-15*z)/(384*df*df*df)
}

// Top returns the k best trials, one a cell, best first.
func (e *Experiment) Top(k int) []Trial {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []Trial
	seen := map[string]bool{}
	for _, t := range e.trials {
		if t.State == Done && !seen[t.Hash] {
			seen[t.Hash] = true
			list = append(list, t)
		}
	}
	sort.SliceStable(list, func(a, b int) bool { return list[a].Reward > list[b].Reward })
	return list[:min(k, len(list))]
}
