package search

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/nasnet-go/nasnet/controller"
	"github.com/nasnet-go/nasnet/controller/search/ledger"
)

// Options say how a search is run. Only Dir and Spec are needed.
type Options struct {
	Dir  string // run directory; made if it is not there
	Spec Spec
	Log  zerolog.Logger
	// Gate rejects cells by their static cost; nil: none is rejected.
	Gate Gate
	// Lease is how long a worker may be silent before its trial is given to
	// another; 0: 30 s. Workers give a sign of life at a third of it.
	Lease time.Duration
	// MaxFailures is after how many failed trials in a row a run ends with
	// ErrFailing: then it is not the cells; 0: 20, below 0: never.
	MaxFailures int
	// policies makes policies; tests replace it.
	policies func(c controller.Config, sizes []int, budget int, seed uint64) (controller.Policy, error)
}

// Experiment is a search on disk. One process at a time has it open.
//
// Everything below mu changes together with the ledger: a change is written
// first, and an error of the ledger ends all writing (broken).
type Experiment struct {
	o      Options
	spec   Spec
	run    string
	ledger *ledger.Ledger
	lock   *ledger.Lock
	crash  *crasher
	now    func() time.Time // monotonic; tests replace it

	mu      sync.Mutex
	arms    []*arm
	byID    map[int]*Trial
	donors  map[string]*Trial   // by share key: ended trial whose result equal cells take
	owners  map[string]*Trial   // by share key: trial that is, or was and will be, evaluated
	twins   map[string][]*Trial // by share key: pending trials that wait for the owner
	leases  map[int]*lease      // by trial
	waiters []*waiter
	ended   int
	planned int
	fails   int // failed trials in a row in this run
	paused  bool
	fatal   error     // why the run ends before the search
	broken  error     // why nothing may be written any more: then fatal, too
	changes int       // of the ledger by others
	ticked  time.Time // of the keeper
	over    chan struct{}
	events  feed
}

// Open begins a search in a run directory, or takes up the one that is there,
// rebuilding its policies from the ledger. Errors: *ledger.InUseError
// (errors.Is ErrInUse) if another process has it, ErrChanged if its
// specification is another one, ErrReplay if this program does not come to the
// recorded policy.
func Open(ctx context.Context, o Options) (*Experiment, error) {
	if err := o.Spec.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	lock, err := ledger.Acquire(o.Dir)
	if err != nil {
		return nil, inUse(err)
	}
	e := newExperiment(o)
	e.lock = lock
	if e.ledger, err = ledger.Open(o.Dir); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	if err := e.load(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func newExperiment(o Options) *Experiment {
	if o.Lease == 0 {
		o.Lease = 30 * time.Second
	}
	if o.MaxFailures == 0 {
		o.MaxFailures = 20
	}
	if o.policies == nil {
		o.policies = controller.New
	}
	return &Experiment{
		o: o, spec: o.Spec, crash: newCrasher(), now: time.Now, byID: map[int]*Trial{}, over: make(chan struct{}), leases: map[int]*lease{},
		donors: map[string]*Trial{}, owners: map[string]*Trial{}, twins: map[string][]*Trial{}, events: newFeed(),
	}
}

// inUse lets errors.Is find ErrInUse and errors.As the exit code.
func inUse(err error) error {
	var busy *ledger.InUseError
	if errors.As(err, &busy) {
		return fmt.Errorf("search: %w (%w)", err, ErrInUse)
	}
	return err
}

// Close ends the use of the ledger and lets others have it.
func (e *Experiment) Close() error {
	err := e.ledger.Close()
	if e.lock != nil {
		err = errors.Join(err, e.lock.Release())
	}
	return err
}

// Name is the search's random name, by which workers on a shared queue find it.
func (e *Experiment) Name() string { return e.run }

// load reads the ledger, or begins it, and rebuilds the policies.
func (e *Experiment) load(ctx context.Context) error {
	plan, err := e.begin()
	if err != nil {
		return err
	}
	if plan, err = e.takeRequests(plan); err != nil {
		return err
	}
	if err := e.restore(ctx, plan, fromSnapshots); err != nil {
		return err
	}
	if err := e.reclaim(); err != nil {
		return err
	}
	for _, a := range e.arms {
		if err := e.advance(a); err != nil {
			return err
		}
	}
	e.changes, err = e.ledger.Changes()
	return err
}

// begin returns the plan of the search that is there, or records this one.
func (e *Experiment) begin() ([]ledger.Segment, error) {
	raw, err := json.Marshal(e.spec)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	run, recorded, plan, err := e.ledger.Search()
	switch {
	case errors.Is(err, ledger.ErrNone):
		var name [8]byte
		_, _ = rand.Read(name[:]) // never fails
		e.run = hex.EncodeToString(name[:])
		plan = e.spec.plan()
		err = e.ledger.Create(e.run, string(raw), plan)
		e.crash.point("after-create")
		return plan, err
	case err != nil:
		return nil, err
	}
	e.run = run
	if diff := changedKeys([]byte(recorded), raw); len(diff) > 0 {
		return nil, fmt.Errorf("search: %w: %s differ; choose another run directory, or the configuration it began with", ErrChanged, strings.Join(diff, ", "))
	}
	return plan, nil
}

// changedKeys are the top keys in which two JSON objects differ.
func changedKeys(a, b []byte) []string {
	var x, y map[string]json.RawMessage
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return []string{"specification"}
	}
	var diff []string
	for _, k := range sortedKeys(x, y) {
		if string(x[k]) != string(y[k]) {
			diff = append(diff, k)
		}
	}
	return diff
}

// plan is the one a search begins with: the arms one after another.
func (s Spec) plan() []ledger.Segment {
	var plan []ledger.Segment
	id := 0
	for _, a := range s.arms() {
		plan = append(plan, ledger.Segment{Arm: a.name, Trials: a.trials, ID: id})
		id += a.trials
	}
	return plan
}

// takeRequests applies what other processes asked for while none ran: a pause
// is over, since this one runs; an extension counts.
func (e *Experiment) takeRequests(plan []ledger.Segment) ([]ledger.Segment, error) {
	requests, err := e.ledger.Requests()
	for _, r := range requests {
		if r.Kind != requestExtend || err != nil {
			continue
		}
		more, extendErr := e.spec.extension(plan, r.Value)
		if extendErr != nil {
			e.o.Log.Warn().Err(extendErr).Msg("a request to extend the search was dropped")
			continue
		}
		err = e.ledger.Extend(more)
		plan = append(plan, more...)
	}
	return plan, err
}

// reclaim settles trials that were running when the last process ended. Those
// of its own loops go back without blame, for nobody knows of them any more;
// workers elsewhere may still be at it and get a full lease to say so.
func (e *Experiment) reclaim() error {
	for _, a := range e.arms {
		for _, t := range a.trials {
			switch {
			case t.State == Running && strings.HasPrefix(t.Worker, LocalPrefix):
				if err := e.ledger.Release(t.ID, t.Attempt); err != nil {
					return err
				}
				t.State, t.Worker = Pending, ""
				a.push(t)
			case t.State == Running:
				e.leases[t.ID] = &lease{attempt: t.Attempt, worker: t.Worker, until: e.now().Add(e.o.Lease)}
				e.owners[e.shareKey(t)] = t
			case t.State == Pending:
				a.push(t)
			}
		}
	}
	return nil
}
