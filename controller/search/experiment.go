package search

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gofrs/flock"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller"
)

// RandomArm is the name of the arm beside the chosen policy.
const RandomArm = controller.Random

// ledgerFile is the ledger's name in a run directory.
const ledgerFile = "ledger.db"

// Experiment is a search on disk. One process at a time has it open.
type Experiment struct {
	spec   Spec
	ledger *ledger
	lock   *flock.Flock
	policy controller.Policy
	random controller.Policy

	mu      sync.Mutex
	trials  []Trial // as in the ledger, by number
	changed *sync.Cond
	fatal   error // of the ledger: the run ends
}

// Open starts a search in a run directory, or takes up the one that is there.
// ErrInUse if another process has it, ErrChanged if its specification is
// another one.
func Open(dir string, spec Spec) (*Experiment, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	lock, err := acquire(filepath.Join(dir, "search.lock"))
	if err != nil {
		return nil, err
	}
	e := &Experiment{spec: spec, lock: lock}
	e.changed = sync.NewCond(&e.mu)
	if e.ledger, err = openLedger(filepath.Join(dir, ledgerFile), false); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	if err := e.load(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// acquire takes the lock and leaves this process's number in it.
func acquire(path string) (*flock.Flock, error) {
	lock := flock.New(path)
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("search: lock %s: %w", path, err)
	}
	if !ok {
		holder, _ := os.ReadFile(path)
		return nil, fmt.Errorf("search: %s is held by process %s: %w", path, strings.TrimSpace(string(holder)), ErrInUse)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("search: lock: %w", err), lock.Unlock())
	}
	return lock, nil
}

// Close ends the use of the ledger and lets others have it.
func (e *Experiment) Close() error { return errors.Join(e.ledger.close(), e.lock.Unlock()) }

// load reads the ledger and rebuilds the policies from it.
func (e *Experiment) load() error {
	raw, err := json.Marshal(e.spec)
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	recorded, err := e.ledger.spec()
	if err != nil {
		return err
	}
	if recorded == "" {
		err = e.ledger.setSpec(string(raw))
	} else if !bytes.Equal([]byte(recorded), raw) {
		err = fmt.Errorf("search: %w; choose another run directory, or the first one's configuration", ErrChanged)
	}
	if err != nil {
		return err
	}
	if err := e.ledger.reclaim(); err != nil {
		return err
	}
	if e.trials, err = e.ledger.trials(); err != nil {
		return err
	}
	if err := e.newPolicies(); err != nil {
		return err
	}
	return e.replay()
}

func (e *Experiment) newPolicies() error {
	var err error
	sizes := e.spec.Space.Sizes()
	if e.policy, err = controller.New(e.spec.Policy, sizes, e.spec.Trials, e.spec.Seed); err != nil {
		return err
	}
	e.random, err = controller.New(controller.Config{Policy: controller.Random}, sizes, max(1, e.spec.RandomTrials), e.spec.Seed+1)
	return err
}

// replay brings the policy to where the ledger is, and checks each sample and
// each update on the way.
func (e *Experiment) replay() error {
	digests, err := e.ledger.updates()
	if err != nil {
		return err
	}
	for _, t := range e.trials {
		if t.Arm == RandomArm && t.ID >= e.spec.Trials {
			if err := e.checkSample(e.random, t); err != nil {
				return err
			}
			continue
		}
		for e.policy.Version() < t.Index/e.policy.BatchSize() {
			if ok, err := e.advance(digests); err != nil || !ok {
				return errors.Join(err, fmt.Errorf("search: trial %d was sampled before the batch ahead of it was finished: %w", t.ID, ErrReplay))
			}
		}
		if err := e.checkSample(e.policy, t); err != nil {
			return err
		}
	}
	for {
		if ok, err := e.advance(digests); err != nil || !ok {
			return err
		}
	}
}

func (e *Experiment) checkSample(p controller.Policy, t Trial) error {
	if got := p.Sample(t.Index); fmt.Sprint(got) != fmt.Sprint(t.Choices) {
		return fmt.Errorf("search: trial %d: the ledger has choices %v, this program samples %v: %w", t.ID, t.Choices, got, ErrReplay)
	}
	return nil
}

// advance updates the policy with its next batch, if that is finished. A digest
// that is not recorded yet is; one that is must be equal.
func (e *Experiment) advance(digests map[int]string) (bool, error) {
	size := e.policy.BatchSize()
	from := e.policy.Version() * size
	to := min(from+size, e.spec.Trials)
	if from >= e.spec.Trials || len(e.trials) < to || e.trials[to-1].ID != to-1 { // not sampled yet
		return false, nil
	}
	batch := make([]controller.Outcome, 0, size)
	for _, t := range e.trials[from:to] {
		if t.State != Done && t.State != Failed {
			return false, nil
		}
		batch = append(batch, controller.Outcome{Trial: t.Index, Choices: t.Choices, Reward: t.Reward, Failed: t.State == Failed})
	}
	if err := e.policy.Update(batch); err != nil {
		return false, err
	}
	version, digest := e.policy.Version(), e.policy.Digest()
	if recorded, ok := digests[version]; ok {
		if recorded != digest {
			return false, fmt.Errorf("search: update %d: the ledger has the controller's digest %.12s, this program computes %.12s: %w", version, recorded, digest, ErrReplay)
		}
		return true, nil
	}
	return true, e.ledger.update(version, digest)
}

// sampleDue records all trials that can be sampled now: the policy's current
// batch and, from the start, the whole random arm. Trials are numbered with the
// policy's arm first, so the random arm's rows follow once they are due.
func (e *Experiment) sampleDue() error {
	var fresh []Trial
	size := e.policy.BatchSize()
	have := map[string]int{}
	for _, t := range e.trials {
		have[armOf(e.spec, t)]++
	}
	until := min((e.policy.Version()+1)*size, e.spec.Trials)
	for i := have["policy"]; i < until; i++ {
		t, err := e.sample(e.policy, e.spec.Policy.Policy, i, i)
		if err != nil {
			return err
		}
		fresh = append(fresh, t)
	}
	for i := have["random"]; i < e.spec.RandomTrials; i++ {
		t, err := e.sample(e.random, RandomArm, i, e.spec.Trials+i)
		if err != nil {
			return err
		}
		fresh = append(fresh, t)
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := e.ledger.add(fresh); err != nil {
		return err
	}
	crashPoint("after-sample")
	all, err := e.ledger.trials()
	e.trials = all
	return err
}

// armOf tells the policy's trials from the random arm's, also where the policy
// is random itself.
func armOf(s Spec, t Trial) string {
	if t.ID < s.Trials {
		return "policy"
	}
	return "random"
}

func (e *Experiment) sample(p controller.Policy, arm string, index, id int) (Trial, error) {
	choices := p.Sample(index)
	g, err := e.spec.Space.Decode(choices)
	if err != nil {
		return Trial{}, err
	}
	g.Name = fmt.Sprintf("trial-%d", id)
	return Trial{ID: id, Arm: arm, Index: index, Choices: choices, Genotype: g.String(), Hash: g.Hash(), State: Pending}, nil
}

// taskOf makes the task of a trial. The child's seed is that of its cell, so
// equal cells have equal rewards and an attempt repeats the one before.
func (e *Experiment) taskOf(t Trial) (Task, error) {
	g, err := cells.Parse([]byte(t.Genotype))
	if err != nil {
		return Task{}, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d|%s", e.spec.Seed, t.Hash))
	seed := int64(binary.LittleEndian.Uint64(sum[:8]) >> 2)
	return Task{Trial: t.ID, Arm: t.Arm, Attempt: t.Attempt, Seed: seed, Genotype: g, Child: e.spec.Child}, nil
}

// finished reports whether every trial has ended.
func (e *Experiment) finished() bool {
	if len(e.trials) < e.spec.Trials+e.spec.RandomTrials {
		return false
	}
	for _, t := range e.trials {
		if t.State != Done && t.State != Failed {
			return false
		}
	}
	return true
}

// Run evaluates trials with so many workers at once until all are finished, or
// ctx ends: then the trials under way go back and ctx's error is returned.
func (e *Experiment) Run(ctx context.Context, ev Evaluator, workers int, onEvent func(Event)) (Status, error) {
	if onEvent == nil {
		onEvent = func(Event) {}
	}
	stop := context.AfterFunc(ctx, func() { e.mu.Lock(); e.changed.Broadcast(); e.mu.Unlock() })
	defer stop()
	var wg sync.WaitGroup
	for range max(1, workers) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			e.work(ctx, ev, onEvent)
		}()
	}
	wg.Wait()
	if e.fatal != nil {
		return Status{}, e.fatal
	}
	if err := ctx.Err(); err != nil && !e.finished() {
		return e.Status(), err
	}
	return e.Status(), nil
}
