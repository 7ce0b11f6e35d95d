package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nasnet-go/nasnet/controller/search/ledger"
)

// Source hands out work and takes results: an Experiment, or one far away. Its
// methods may be called from many goroutines.
type Source interface {
	// Lease waits for a trial. ErrFinished if there will be none, ErrPaused if
	// there is none for now, else ctx's error or a broken search's.
	Lease(ctx context.Context, worker string) (Lease, error)
	// Heartbeat keeps the trial, and tells how it goes. ErrLost: stop.
	Heartbeat(ctx context.Context, r Ref, p Progress) error
	// Finish hands in a result. ErrLost: it came too late and does not count.
	Finish(ctx context.Context, r Ref, report Report) error
	// Release gives a trial back that was not evaluated; AllTrials: whatever the
	// worker has or waits for, because it leaves.
	Release(ctx context.Context, r Ref) error
}

// AllTrials is the trial of a Ref that means all of the worker's.
const AllTrials = -1

// Ref names an attempt at a trial: the fence.
type Ref struct {
	Trial   int    `json:"trial"`
	Attempt int    `json:"attempt"`
	Worker  string `json:"worker"`
}

// Lease is a trial and how long it is the worker's without a sign of life.
type Lease struct {
	Task Task          `json:"task"`
	Term time.Duration `json:"term"` // ns
}

// Progress is the last value that a child reported; Step 0: none yet.
type Progress struct {
	Step  int     `json:"step"`
	Value float64 `json:"value"`
}

// Report is how an attempt ended.
type Report struct {
	Result  Result         `json:"result"`
	Curve   []ledger.Point `json:"curve,omitempty"`
	Stopped bool           `json:"stopped,omitempty"` // early
	Cause   string         `json:"cause,omitempty"`   // not empty: it failed
	Log     string         `json:"log,omitempty"`
	Seconds float64        `json:"seconds"`
}

// LocalPrefix begins the names of a search process's own workers. What they have
// in hand dies with it. No other worker may have such a name.
const LocalPrefix = "local/"

// lease is a running trial. Deadlines are on the monotonic clock.
type lease struct {
	attempt int
	worker  string
	until   time.Time
}

// waiter is a worker that waits for a trial.
type waiter struct {
	worker string
	got    chan grant
}

type grant struct {
	lease Lease
	err   error
}

// Lease implements Source. A worker that has a trial and asks again, because
// the answer did not reach it, gets the same one.
func (e *Experiment) Lease(ctx context.Context, worker string) (Lease, error) {
	w := &waiter{worker: worker, got: make(chan grant, 1)}
	e.mu.Lock()
	if l, ok := e.held(worker); ok {
		e.mu.Unlock()
		return l, nil
	}
	e.supersede(worker)
	e.waiters = append(e.waiters, w)
	e.dispatch()
	e.mu.Unlock()
	select {
	case g := <-w.got:
		return g.lease, g.err
	case <-ctx.Done():
		return Lease{}, errors.Join(ctx.Err(), e.abandon(w))
	}
}

// held is the trial that a worker has.
func (e *Experiment) held(worker string) (Lease, bool) {
	for id, l := range e.leases {
		if l.worker == worker && e.state() == nil {
			l.until = e.now().Add(e.o.Lease)
			return e.grant(e.byID[id]), true
		}
	}
	return Lease{}, false
}

// supersede ends an older request of the same worker: nobody listens to its
// answer any more, and a trial granted to it would be lost.
func (e *Experiment) supersede(worker string) {
	for i, w := range e.waiters {
		if w.worker == worker {
			w.got <- grant{err: fmt.Errorf("search: worker %s has asked again", worker)}
			e.waiters = slices.Delete(e.waiters, i, i+1)
			return
		}
	}
}

// abandon takes back what was, or was about to be, granted to a waiter that
// has gone.
func (e *Experiment) abandon(w *waiter) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.Index(e.waiters, w); i >= 0 {
		e.waiters = slices.Delete(e.waiters, i, i+1)
		return nil
	}
	g := <-w.got // dispatched: the answer is there
	if g.err != nil {
		return nil
	}
	return e.release(Ref{g.lease.Task.Trial, g.lease.Task.Attempt, w.worker})
}

// state is why no trial will be handed out: nil while there may be one.
func (e *Experiment) state() error {
	switch {
	case e.fatal != nil:
		return e.fatal
	case e.ended == e.planned:
		return ErrFinished
	case e.paused:
		return ErrPaused
	}
	return nil
}

// dispatch gives waiting workers what there is. It is called after each change.
func (e *Experiment) dispatch() {
	for len(e.waiters) > 0 && e.state() == nil {
		t, err := e.next(e.waiters[0].worker)
		if err != nil {
			e.fail(err)
			break
		}
		if t == nil {
			break
		}
		e.answer(grant{lease: e.grant(t)})
	}
	if err := e.state(); err != nil {
		for len(e.waiters) > 0 {
			e.answer(grant{err: err})
		}
		if !errors.Is(err, ErrPaused) || len(e.leases) == 0 {
			e.finish()
		}
	}
}

// finish lets Run return.
func (e *Experiment) finish() {
	select {
	case <-e.over:
	default:
		close(e.over)
	}
}

func (e *Experiment) answer(g grant) {
	e.waiters[0].got <- g
	e.waiters = e.waiters[1:]
}

// stop ends the run for a reason outside: the search itself is whole.
func (e *Experiment) stop(err error) {
	if e.fatal == nil {
		e.fatal = err
	}
}

// fail ends the run because the ledger cannot be written or a policy cannot go
// on. What is in memory may now differ from the ledger, so nothing more is
// written: the search must be opened anew.
func (e *Experiment) fail(err error) {
	if errors.Is(err, ErrRejected) { // found before anything was changed
		e.stop(err)
		return
	}
	err = fmt.Errorf("search: %w; what the ledger has is safe: run again when it can be written, and the search goes on", err)
	e.stop(err)
	if e.broken == nil {
		e.broken = err
	}
}

// next leases the next trial that is worth evaluating; nil if there is none
// now. Arms are served in order: the random arm fills the others' waits.
func (e *Experiment) next(worker string) (*Trial, error) {
	for _, a := range e.arms {
		for {
			t := a.pop()
			if t == nil {
				if err := e.sample(a); err != nil {
					return nil, err
				}
				if t = a.pop(); t == nil {
					break
				}
			}
			taken, err := e.shared(a, t)
			if err != nil {
				return nil, err
			}
			if !taken {
				return t, e.hand(t, worker)
			}
		}
	}
	return nil, nil
}

// shareKey is equal for trials that share one result: those of equal cells. A
// result that depends on what its arm has completed stays in the arm.
func (e *Experiment) shareKey(t *Trial) string {
	if e.spec.Stopping.on() {
		return t.Arm + "/" + t.Hash
	}
	return t.Hash
}

// shared gives t the result of an equal cell, or lets it wait for one.
func (e *Experiment) shared(a *arm, t *Trial) (bool, error) {
	key := e.shareKey(t)
	if donor := e.donors[key]; donor != nil {
		row := copyResult(t, donor)
		if err := e.ledger.End(row); err != nil {
			return true, err
		}
		e.crash.point("after-reuse")
		return true, e.close(a, t, row)
	}
	if owner := e.owners[key]; owner != nil && owner != t {
		e.twins[key] = append(e.twins[key], t)
		return true, nil
	}
	return false, nil
}

// copyResult is t ended as its donor has. The costs are the same, for they are
// the cell's.
func copyResult(t, donor *Trial) *Trial {
	row := *t
	row.State, row.Reward, row.Value, row.Metrics, row.Curve = donor.State, donor.Reward, donor.Value, donor.Metrics, donor.Curve
	row.Stopped, row.Cause, row.Reused, row.EndedAt = donor.Stopped, donor.Cause, donor.ID, time.Now().UnixMilli()
	return &row
}

// hand leases t to a worker.
func (e *Experiment) hand(t *Trial, worker string) error {
	attempt, err := e.ledger.Lease(t.ID, worker)
	if err != nil {
		return err
	}
	e.crash.point("after-lease")
	t.State, t.Attempt, t.Worker = Running, attempt, worker
	e.leases[t.ID] = &lease{attempt: attempt, worker: worker, until: e.now().Add(e.o.Lease)}
	e.owners[e.shareKey(t)] = t
	e.emit(Event{Kind: "started", Trial: t.ID, Arm: t.Arm, Attempt: attempt, Worker: worker})
	return nil
}

func (e *Experiment) grant(t *Trial) Lease {
	return Lease{Term: e.o.Lease, Task: Task{
		Trial: t.ID, Arm: t.Arm, Attempt: t.Attempt, Seed: childSeed(e.spec.Seed, t.Hash), Genotype: t.Genotype, Choices: t.Choices,
		Child: e.spec.Child, Rungs: e.armOf(t).rungs,
	}}
}

func (e *Experiment) armOf(t *Trial) *arm {
	return e.arms[slices.IndexFunc(e.arms, func(a *arm) bool { return a.name == t.Arm })]
}

// holds returns the trial if the attempt is the one that has it.
func (e *Experiment) holds(r Ref) (*Trial, error) {
	t, l := e.byID[r.Trial], e.leases[r.Trial]
	if t == nil || l == nil || l.attempt != r.Attempt {
		return nil, fmt.Errorf("search: trial %d, attempt %d: %w", r.Trial, r.Attempt, ErrLost)
	}
	return t, nil
}

// Heartbeat implements Source.
func (e *Experiment) Heartbeat(_ context.Context, r Ref, p Progress) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	t, err := e.holds(r)
	if err != nil {
		return err
	}
	e.leases[t.ID].until = e.now().Add(e.o.Lease)
	if p.Step > 0 {
		e.emit(Event{Kind: "progress", Trial: t.ID, Arm: t.Arm, Attempt: r.Attempt, Worker: r.Worker, Step: p.Step, Value: p.Value})
	}
	return nil
}

// Release implements Source.
func (e *Experiment) Release(_ context.Context, r Ref) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.Trial != AllTrials {
		return e.release(r)
	}
	e.supersede(r.Worker)
	for id, l := range e.leases {
		if l.worker == r.Worker {
			return e.release(Ref{id, l.attempt, r.Worker})
		}
	}
	return nil
}

func (e *Experiment) release(r Ref) error {
	t, err := e.holds(r)
	if err = errors.Join(err, e.broken); err != nil {
		return err
	}
	if err := e.ledger.Release(t.ID, t.Attempt); err != nil {
		e.fail(err)
		e.dispatch()
		return err
	}
	e.putBack(t)
	return nil
}

// putBack makes a trial pending again. It stays the owner of its cell: equal
// ones go on waiting for it.
func (e *Experiment) putBack(t *Trial) {
	delete(e.leases, t.ID)
	t.State, t.Worker = Pending, ""
	e.armOf(t).push(t)
	e.dispatch()
}

// expire takes trials from workers that went silent. If this process itself
// was stopped or starved, nobody could reach it: that time is given to all.
func (e *Experiment) expire(period time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	if late := now.Sub(e.ticked) - period; late > e.o.Lease/3 {
		for _, l := range e.leases {
			l.until = l.until.Add(late)
		}
	}
	e.ticked = now
	var silent []int
	for id, l := range e.leases {
		if l.until.Before(now) {
			silent = append(silent, id)
		}
	}
	slices.Sort(silent)
	for _, id := range silent {
		if err := e.lose(e.byID[id]); err != nil {
			e.fail(err)
			e.dispatch()
			return
		}
	}
}

// lose takes a trial from a silent worker: back into the queue, or aside if it
// has silenced too many.
func (e *Experiment) lose(t *Trial) error {
	worker := t.Worker
	if err := e.ledger.Note(ledger.Event{Kind: "lost", Trial: t.ID, Attempt: t.Attempt, Worker: worker, Text: "no sign of life for " + e.o.Lease.String()}); err != nil {
		return err
	}
	e.emit(Event{Kind: "lost", Trial: t.ID, Arm: t.Arm, Attempt: t.Attempt, Worker: worker})
	if t.Losses+1 >= e.spec.maxAttempts() {
		log := fmt.Sprintf("%d workers went silent while they evaluated this trial; the last one was %s", t.Losses+1, worker)
		return e.end(t, Report{Cause: CausePoisoned, Log: log})
	}
	if err := e.ledger.Lose(t.ID, t.Attempt); err != nil {
		return err
	}
	t.Losses++
	e.putBack(t)
	return nil
}
