package search

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"time"
)

// work evaluates trials until there is none left or ctx ends.
func (e *Experiment) work(ctx context.Context, ev Evaluator, onEvent func(Event)) {
	for {
		t, ok := e.next(ctx, onEvent)
		if !ok {
			return
		}
		done := e.attempt(ctx, ev, t, onEvent)
		if done == nil { // ctx ended: the trial goes back
			e.fail(e.ledger.release(t.ID, t.Attempt))
			return
		}
		crashPoint("before-commit")
		if e.fail(e.ledger.finish(*done)) {
			return
		}
		crashPoint("after-commit")
		e.record(*done, onEvent)
	}
}

// fail records an error of the ledger, which ends the run.
func (e *Experiment) fail(err error) bool {
	if err == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fatal = errors.Join(e.fatal, err)
	e.changed.Broadcast()
	return true
}

// next waits for a trial that can be evaluated and leases it. The policy's come
// first; the random arm fills the wait at its barriers.
func (e *Experiment) next(ctx context.Context, onEvent func(Event)) (Trial, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		if ctx.Err() != nil || e.fatal != nil || e.finished() {
			return Trial{}, false
		}
		if err := e.sampleDue(); err != nil {
			e.fatal = err
			e.changed.Broadcast()
			return Trial{}, false
		}
		for i := range e.trials {
			t := &e.trials[i]
			if t.State != Pending || e.twinRuns(t.Hash) {
				continue
			}
			attempt, err := e.ledger.lease(t.ID)
			if err != nil {
				e.fatal = err
				e.changed.Broadcast()
				return Trial{}, false
			}
			t.State, t.Attempt = Running, attempt
			onEvent(Event{Kind: "started", Trial: t.ID, Arm: t.Arm, Done: e.ended(), Planned: e.spec.Trials + e.spec.RandomTrials})
			return *t, true
		}
		e.changed.Wait()
	}
}

// twinRuns reports whether an equal cell is being evaluated: its reward will do
// for both.
func (e *Experiment) twinRuns(hash string) bool {
	for _, t := range e.trials {
		if t.Hash == hash && t.State == Running {
			return true
		}
	}
	return false
}

func (e *Experiment) ended() int {
	n := 0
	for _, t := range e.trials {
		if t.State == Done || t.State == Failed {
			n++
		}
	}
	return n
}

// twin returns a finished trial of an equal cell.
func (e *Experiment) twin(t Trial) (Trial, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, other := range e.trials {
		if other.Hash == t.Hash && (other.State == Done || other.State == Failed) {
			return other, true
		}
	}
	return Trial{}, false
}

// attempt evaluates a leased trial, or takes the result of an equal one. nil
// means that ctx ended first.
func (e *Experiment) attempt(ctx context.Context, ev Evaluator, t Trial, onEvent func(Event)) *Trial {
	if other, ok := e.twin(t); ok {
		t.State, t.Reward, t.Metrics, t.Cause, t.Log, t.Reused = other.State, other.Reward, other.Metrics, other.Cause, other.Log, other.ID
		return &t
	}
	t.Reused = -1
	begin := time.Now()
	task, err := e.taskOf(t)
	var r Result
	if err == nil {
		r, err = ev.Evaluate(ctx, task, func(share float64) {
			onEvent(Event{Kind: "progress", Trial: t.ID, Arm: t.Arm, Share: share})
		})
	}
	if err != nil && ctx.Err() != nil {
		return nil
	}
	t.Seconds = time.Since(begin).Seconds()
	t.State, t.Reward, t.Metrics = Done, r.Reward, r.Metrics
	if err == nil && (math.IsNaN(r.Reward) || math.IsInf(r.Reward, 0)) {
		err = errors.New("the reward is not a finite number")
	}
	if err != nil {
		t.State, t.Reward, t.Cause, t.Log = Failed, 0, "error", err.Error()
		var f Failure
		if errors.As(err, &f) {
			t.Cause, t.Log = f.Class(), err.Error()+"\n"+strings.Join(f.LogTail(), "\n")
		}
	}
	return &t
}

// record takes a committed result over and updates the policy if a batch is full.
func (e *Experiment) record(t Trial, onEvent func(Event)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.changed.Broadcast()
	for i := range e.trials {
		if e.trials[i].ID == t.ID {
			e.trials[i] = t
		}
	}
	ev := Event{Kind: t.State, Trial: t.ID, Arm: t.Arm, Reward: t.Reward, Cause: t.Cause, Done: e.ended(), Planned: e.spec.Trials + e.spec.RandomTrials}
	if t.Reused >= 0 && t.State == Done {
		ev.Kind = "reused"
	}
	onEvent(ev)
	for {
		ok, err := e.advance(nil)
		if err != nil {
			e.fatal = err
		}
		if !ok || err != nil {
			return
		}
		crashPoint("after-update")
		onEvent(Event{Kind: "updated", Done: ev.Done, Planned: ev.Planned})
	}
}

// crashVariable names a point at which the process kills itself, for tests of
// what a crash leaves behind: NAME or NAME:K, the K-th time it passes there.
const crashVariable = "NASNET_CRASH_AT"

var crash = newCrash(os.Getenv(crashVariable))
