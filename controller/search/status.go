package search

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/nasnet-go/nasnet/controller/search/ledger"
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
	Arm      string  `json:"arm"`
	Genotype string  `json:"genotype"`
	Reward   float64 `json:"reward"`
}

// Arm sums up one policy's trials. Failed ones have no reward and are left out
// of the figures.
type Arm struct {
	Arm      string  `json:"arm"`
	Trials   Counts  `json:"trials"`
	Unique   int     `json:"unique"`   // different cells of ended trials
	Trained  int     `json:"trained"`  // ended trials that did not take an equal cell's result
	Rejected int     `json:"rejected"` // samples that the static limits refused
	Stopped  int     `json:"stopped"`  // early
	Updates  int     `json:"updates"`  // of the policy
	Mean     float64 `json:"mean"`     // of the rewards
	SD       float64 `json:"sd"`       // sample standard deviation
	Best     float64 `json:"best"`
	Top25    float64 `json:"top25"`   // mean of the 25 best, or of all
	Last100  float64 `json:"last100"` // mean of the last 100 sampled, or of all
	// Against compares this arm with the random one; nil for that one itself and
	// while either has less than two rewards.
	Against *Comparison `json:"against_random,omitempty"`
}

// Point is a trial of the Pareto front.
type Point struct {
	Trial   int                `json:"trial"`
	Reward  float64            `json:"reward"`
	Metrics map[string]float64 `json:"metrics"`
}

// Status is where a search stands.
type Status struct {
	Policy           string  `json:"policy"`
	Mode             Mode    `json:"mode"`
	Reproducible     bool    `json:"reproducible"` // another run with this seed gives the same digests
	Trials           Counts  `json:"trials"`
	Unique           int     `json:"unique"`
	Best             *Best   `json:"best"`
	Arms             []Arm   `json:"arms"`
	Front            []Point `json:"front,omitempty"`
	Imported         int     `json:"imported"` // outcomes of another run that the policies began with
	Seconds          float64 `json:"child_seconds"`
	ControllerDigest string  `json:"controller_digest"`
	LedgerDigest     string  `json:"ledger_digest"`
	Note             string  `json:"note,omitempty"`    // what the figures cannot show
	Process          string  `json:"process,omitempty"` // that runs the search now; ReadStatus only
}

// armView is what a status needs to know of an arm.
type armView struct {
	name     string
	planned  int
	trials   []*Trial
	rejected int
	updates  int
	digest   string
}

// Status returns where the search stands.
func (e *Experiment) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	var views []armView
	imported := 0
	for _, a := range e.arms {
		views = append(views, armView{a.name, a.planned(), a.trials, a.refused, a.policy.Version(), a.policy.Digest()})
		imported = max(imported, a.imported)
	}
	return statusOf(e.spec, views, imported)
}

// ReadStatus reads a search's status from its run directory, of a live search
// as well as of a dead one. It changes nothing.
func ReadStatus(dir string) (Status, error) {
	l, spec, plan, err := openReader(dir)
	if err != nil {
		return Status{}, err
	}
	defer l.Close()
	views, err := readArms(l, spec, plan)
	if err != nil {
		return Status{}, err
	}
	imports, err := l.Imports()
	if err != nil {
		return Status{}, err
	}
	s := statusOf(spec, views, len(imports))
	s.Process, err = ledger.Holder(dir)
	return s, err
}

// openReader opens the ledger in dir for reading.
func openReader(dir string) (*ledger.Ledger, Spec, []ledger.Segment, error) {
	l, err := ledger.OpenReader(dir)
	if err != nil {
		return nil, Spec{}, nil, fmt.Errorf("search: %w", err)
	}
	var spec Spec
	_, raw, plan, err := l.Search()
	if err == nil {
		err = json.Unmarshal([]byte(raw), &spec)
	}
	if err != nil {
		_ = l.Close() // nothing was written
		return nil, Spec{}, nil, fmt.Errorf("search: specification in %s: %w", dir, err)
	}
	return l, spec, plan, nil
}

func readArms(l *ledger.Ledger, spec Spec, plan []ledger.Segment) ([]armView, error) {
	trials, err := l.Trials()
	if err != nil {
		return nil, err
	}
	var views []armView
	for _, n := range spec.arms() {
		v := armView{name: n.name}
		for _, s := range plan {
			if s.Arm == n.name {
				v.planned += s.Trials
			}
		}
		for _, t := range trials {
			if t.Arm == n.name {
				v.trials = append(v.trials, t)
			}
		}
		if v.rejected, err = l.Rejected(n.name); err != nil {
			return nil, err
		}
		if v.updates, v.digest, err = l.LastUpdate(n.name); err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

func statusOf(spec Spec, arms []armView, imported int) Status {
	var all []*Trial
	s := Status{Policy: spec.Policy.Policy, Mode: spec.mode(), Reproducible: spec.mode() == Sync, Imported: imported, ControllerDigest: arms[0].digest}
	planned := 0
	for _, a := range arms {
		all = append(all, a.trials...)
		planned += a.planned
	}
	s.LedgerDigest = ledger.Digest(all)
	s.Trials, s.Unique = count(all, planned)
	for _, t := range all {
		if t.State == Done && (s.Best == nil || t.Reward > s.Best.Reward) {
			s.Best = &Best{t.ID, t.Arm, t.Genotype, t.Reward}
		}
		if t.Reused < 0 {
			s.Seconds += t.Seconds
		}
	}
	var random []float64
	for _, a := range arms {
		if a.name == RandomArm {
			random = rewards(a.trials)
		}
	}
	smallest := planned
	for _, a := range arms {
		sum := sumUp(a)
		if a.name != RandomArm {
			sum.Against = compare(rewards(a.trials), random, a.name)
		}
		s.Arms = append(s.Arms, sum)
		smallest = min(smallest, a.planned)
	}
	for _, t := range spec.Objective.front(all) {
		s.Front = append(s.Front, Point{t.ID, t.Reward, t.Metrics})
	}
	s.Note = note(smallest, s.Mode)
	return s
}

func (s Spec) mode() Mode {
	if s.Mode == "" {
		return Sync
	}
	return s.Mode
}

// few trials cannot tell searchers apart: on public tables a difference in the
// best cell is not to be seen at 200 trials (reference field.md section 5).
const few = 200

func note(smallest int, mode Mode) string {
	text := ""
	if smallest < few {
		text = fmt.Sprintf("%d trials an arm prove nothing about the policy: the interval is of this one run, and another seed may reverse the order. ", smallest)
	}
	if mode == Async {
		text += "Asynchronous: another run with this seed is another search; this one can be replayed from its ledger. "
	}
	if text == "" {
		return ""
	}
	return text[:len(text)-1]
}

func count(trials []*Trial, planned int) (Counts, int) {
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
		if t.Ended() {
			unique[t.Hash] = true
		}
	}
	return c, len(unique)
}

// rewards are those of the done trials, in the order of sampling.
func rewards(trials []*Trial) []float64 {
	var out []float64
	for _, t := range trials {
		if t.State == Done {
			out = append(out, t.Reward)
		}
	}
	return out
}

func sumUp(v armView) Arm {
	a := Arm{Arm: v.name, Rejected: v.rejected, Updates: v.updates}
	a.Trials, a.Unique = count(v.trials, v.planned)
	for _, t := range v.trials {
		if t.Ended() && t.Reused < 0 {
			a.Trained++
		}
		if t.Stopped {
			a.Stopped++
		}
	}
	r := rewards(v.trials)
	if len(r) == 0 {
		return a
	}
	a.Mean, a.SD = moments(r)
	a.Last100, _ = moments(r[max(0, len(r)-100):])
	sorted := slices.Sorted(slices.Values(r))
	a.Best = sorted[len(sorted)-1]
	a.Top25, _ = moments(sorted[max(0, len(sorted)-25):])
	return a
}

// sortedKeys are the keys of both maps.
func sortedKeys[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
