package search

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/nasnet-go/nasnet/controller/search/ledger"
)

// How a policy is rebuilt.
const (
	fromSnapshots = false // the last snapshot, if its digest is right, and what follows
	fromNothing   = true  // every update and every sample
)

// restore fills the arms from the ledger and brings the policies to where the
// recorded updates end, checking digests on the way.
func (e *Experiment) restore(ctx context.Context, plan []ledger.Segment, thorough bool) error {
	for _, n := range e.spec.arms() {
		a, err := e.newArm(n)
		if err != nil {
			return err
		}
		e.arms = append(e.arms, a)
	}
	for _, s := range plan {
		e.extendArm(s)
	}
	trials, err := e.ledger.Trials()
	if err != nil {
		return err
	}
	for _, t := range trials {
		if err := e.place(t); err != nil {
			return err
		}
	}
	imports, err := e.ledger.Imports()
	if err != nil {
		return err
	}
	for _, a := range e.arms {
		if err := e.rebuild(ctx, a, imports, thorough); err != nil {
			return err
		}
	}
	return nil
}

func (e *Experiment) extendArm(s ledger.Segment) {
	for _, a := range e.arms {
		if a.name == s.Arm {
			a.extend(s)
			a.ids = append(a.ids, s)
			e.planned += s.Trials
		}
	}
}

// idOf is the number of a trial: that of its segment's first one, and on.
func (e *Experiment) idOf(a *arm, index int) int {
	for _, s := range a.ids {
		if index < s.First+s.Trials {
			return s.ID + index - s.First
		}
	}
	return -1
}

// place puts a recorded trial into its arm.
func (e *Experiment) place(t *Trial) error {
	at := slices.IndexFunc(e.arms, func(a *arm) bool { return a.name == t.Arm })
	if at < 0 || len(e.arms[at].trials) != t.Index {
		return fmt.Errorf("search: trial %d, %s %d, is not where it belongs: %w", t.ID, t.Arm, t.Index, ErrReplay)
	}
	a := e.arms[at]
	e.byID[t.ID] = t
	a.trials = append(a.trials, t)
	if t.Ended() {
		e.ended++
		if key := e.shareKey(t); e.donors[key] == nil && t.Reused < 0 {
			e.donors[key] = t
		}
	}
	return nil
}

// rebuild replays an arm's recorded updates.
func (e *Experiment) rebuild(ctx context.Context, a *arm, imports []ledger.Import, thorough bool) error {
	updates, err := e.ledger.Updates(a.name)
	if err != nil {
		return err
	}
	lessons := e.importLessons(a, imports)
	check, err := e.newSampleCheck(a)
	if err != nil {
		return err
	}
	if len(updates) == 0 { // a new search, or one that died before this row
		if e.lock != nil {
			if err := e.recordUpdate(a, nil); err != nil {
				return err
			}
		}
		updates = []ledger.Update{{Arm: a.name, Digest: a.policy.Digest()}}
	}
	if err := checkDigest(a, updates[0]); err != nil {
		return err
	}
	if !thorough {
		if err := e.useSnapshot(a, updates); err != nil {
			return err
		}
	}
	for a.policy.Version()+1 < len(updates) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if thorough {
			if err := check.version(a.policy.Version()); err != nil {
				return err
			}
		}
		u := updates[a.policy.Version()+1]
		if err := e.relearn(a, u, lessons); err != nil {
			return err
		}
	}
	if err := e.settle(a, updates, lessons); err != nil {
		return err
	}
	if err := check.version(a.policy.Version()); err != nil || !thorough || check.from == len(a.trials) {
		return err
	}
	t := a.trials[check.from]
	return fmt.Errorf("search: trial %d was sampled after update %d of %s, which the ledger does not have: %w", t.ID, t.Version, a.name, ErrReplay)
}

func checkDigest(a *arm, u ledger.Update) error {
	if got := a.policy.Digest(); got != u.Digest || a.policy.Version() != u.Version {
		return &ReplayError{
			Record: fmt.Sprintf("update %d of %s", u.Version, a.name),
			Ledger: "policy " + short(u.Digest), Here: "policy " + short(got),
		}
	}
	return nil
}

func short(digest string) string { return digest[:min(16, len(digest))] }

// useSnapshot puts the policy where its snapshot is, if that is what the ledger
// says of this version.
func (e *Experiment) useSnapshot(a *arm, updates []ledger.Update) error {
	version, state, err := e.ledger.Snapshot(a.name)
	s, ok := a.policy.(snapshotter)
	if err != nil || !ok || version < 1 || version >= len(updates) {
		return err
	}
	if err := s.Restore(state); err == nil && checkDigest(a, updates[version]) == nil {
		return nil
	}
	e.o.Log.Warn().Str("arm", a.name).Int("version", version).Msg("the snapshot of the policy does not fit the ledger: it is rebuilt from the trials")
	a.policy, err = e.newPolicy(a.namedArm)
	return err
}

// relearn repeats a recorded update.
func (e *Experiment) relearn(a *arm, u ledger.Update, lessons [][]*Trial) error {
	var lesson []*Trial
	if u.Version <= len(lessons) {
		lesson = lessons[u.Version-1]
	} else {
		for _, id := range u.Trials {
			t := e.byID[id]
			if t == nil || !t.Ended() {
				return fmt.Errorf("search: update %d of %s learned from trial %d, which has not ended: %w", u.Version, a.name, id, ErrReplay)
			}
			lesson = append(lesson, t)
		}
		if b := u.Version - 1 - len(lessons); a.barrier && !slices.Equal(lesson, a.trials[a.starts[b]:a.starts[b+1]]) {
			return fmt.Errorf("search: update %d of %s did not learn from its batch: %w", u.Version, a.name, ErrReplay)
		}
	}
	if err := e.tell(a, lesson); err != nil {
		return err
	}
	return checkDigest(a, u)
}

// settle sets the counters of an arm whose policy is up to date, and teaches
// imports that are not yet learned.
func (e *Experiment) settle(a *arm, updates []ledger.Update, lessons [][]*Trial) error {
	a.imports = len(lessons)
	for _, lesson := range lessons {
		a.imported += len(lesson)
	}
	for a.learns && e.lock != nil && a.policy.Version() < len(lessons) {
		if err := e.learnImport(a, lessons[a.policy.Version()]); err != nil {
			return err
		}
	}
	learned := map[int]bool{}
	for _, u := range updates {
		for _, id := range u.Trials {
			learned[id] = true
		}
	}
	if a.barrier && a.learns {
		a.batch = a.policy.Version() - a.imports
	} else if a.barrier {
		for a.batch+1 < len(a.starts) && ended(a.trials, a.starts[a.batch+1]) {
			a.batch++
		}
	}
	a.open = 0
	for _, t := range a.trials {
		switch {
		case !t.Ended():
			a.open++
		case !a.barrier && a.learns && !learned[t.ID]:
			a.fresh = append(a.fresh, t)
		}
	}
	slices.SortStableFunc(a.fresh, func(x, y *Trial) int { return int(x.EndedAt - y.EndedAt) })
	a.rungs = e.spec.Stopping.rungs(a.before())
	return nil
}

// ended reports whether the first n trials are there and have ended.
func ended(trials []*Trial, n int) bool {
	return len(trials) >= n && !slices.ContainsFunc(trials[:n], func(t *Trial) bool { return !t.Ended() })
}

// importLessons cuts imported outcomes into batches; only policies that learn
// have any.
func (e *Experiment) importLessons(a *arm, imports []ledger.Import) [][]*Trial {
	if !a.learns {
		return nil
	}
	var lessons [][]*Trial
	for chunk := range slices.Chunk(imports, a.policy.BatchSize()) {
		var lesson []*Trial
		for _, m := range chunk {
			lesson = append(lesson, &Trial{ID: -1, Index: m.Trial, Choices: m.Choices, Reward: m.Reward, State: Done})
		}
		lessons = append(lessons, lesson)
	}
	return lessons
}

// learnImport teaches imported outcomes and records the update.
func (e *Experiment) learnImport(a *arm, lesson []*Trial) error {
	if err := e.tell(a, lesson); err != nil {
		return err
	}
	return e.recordUpdate(a, nil)
}

// sampleCheck compares recorded samples with those of the rebuilt policy.
type sampleCheck struct {
	e        *Experiment
	a        *arm
	rejected map[int][]ledger.Rejection // by index
	from     int                        // first trial not yet looked at
}

func (e *Experiment) newSampleCheck(a *arm) (*sampleCheck, error) {
	list, err := e.ledger.Rejections(a.name)
	if err != nil {
		return nil, err
	}
	a.refused = len(list)
	c := &sampleCheck{e: e, a: a, rejected: map[int][]ledger.Rejection{}}
	for _, r := range list {
		c.rejected[r.Index] = append(c.rejected[r.Index], r)
	}
	return c, nil
}

// version checks the trials sampled at a version of the policy, which must be
// the policy's now.
func (c *sampleCheck) version(version int) error {
	for c.from < len(c.a.trials) && c.a.trials[c.from].Version < version {
		c.from++
	}
	for ; c.from < len(c.a.trials) && c.a.trials[c.from].Version == version; c.from++ {
		if err := c.trial(c.a.trials[c.from]); err != nil {
			return err
		}
	}
	return nil
}

func (c *sampleCheck) trial(t *Trial) error {
	for _, r := range c.rejected[t.Index] {
		if got := c.a.choose(t.Index, r.Try); !slices.Equal(got, r.Choices) {
			return &ReplayError{fmt.Sprintf("rejection %d of trial %d", r.Try, t.ID), fmt.Sprint(r.Choices), fmt.Sprint(got)}
		}
	}
	got := c.a.choose(t.Index, len(c.rejected[t.Index]))
	if !slices.Equal(got, t.Choices) {
		return &ReplayError{fmt.Sprintf("trial %d (%s %d)", t.ID, t.Arm, t.Index), fmt.Sprint(t.Choices), fmt.Sprint(got)}
	}
	g, err := c.e.spec.Space.Decode(got)
	if err != nil {
		return fmt.Errorf("search: trial %d: %w", t.ID, err)
	}
	if hash := g.Hash(); hash != t.Hash {
		return &ReplayError{fmt.Sprintf("cell of trial %d (%s %d)", t.ID, t.Arm, t.Index), short(t.Hash), short(hash)}
	}
	return nil
}

// finite leaves out what JSON and the ledger cannot hold.
func finite(m map[string]float64) map[string]float64 {
	out := maps.Clone(m)
	maps.DeleteFunc(out, func(_ string, v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	return out
}
