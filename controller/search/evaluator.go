package search

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller/search/ledger"
)

// Task is one trial to be evaluated.
type Task struct {
	Trial    int             `json:"trial"`
	Arm      string          `json:"arm"`
	Attempt  int             `json:"attempt"`  // 1 for the first; results carry it
	Seed     int64           `json:"seed"`     // of the child: a function of the search's seed and of the cell; not negative
	Genotype string          `json:"genotype"` // the cell's text, see cells.Parse
	Choices  []int           `json:"choices"`
	Child    json.RawMessage `json:"child,omitempty"` // Spec.Child
	Rungs    []Rung          `json:"rungs,omitempty"` // where a bad child is stopped
}

// Result is what evaluating a task gave.
type Result struct {
	Reward  float64            `json:"reward"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
}

// Evaluator trains a child and measures it. It must give equal results for
// equal cells and seeds, and should report a value at the same steps in each:
// after report has returned true it should stop and return what it has.
// Several goroutines call it at once.
//
// An error that wraps ErrUnavailable says nothing about the cell: the trial
// goes back and the worker ends. Any other one is a failed trial.
type Evaluator interface {
	Evaluate(ctx context.Context, t Task, report func(step int, value float64) (stop bool)) (Result, error)
}

// ErrUnavailable is wrapped by evaluators that cannot evaluate anything, such
// as one that lacks its engine or its disk space.
var ErrUnavailable = errors.New("nothing can be evaluated here")

// Failure is an evaluation error with its class, such as "signal", "memory" or
// "timeout", and the child's last words. Others are of class CauseError.
type Failure interface {
	error
	Class() string
	LogTail() []string
}

// Classes of failures that search itself gives.
const (
	CauseError     = "error"      // the evaluator returned one
	CausePanic     = "panic"      // the evaluator panicked
	CauseNotFinite = "not-finite" // the reward is NaN or infinite
	CausePoisoned  = "poisoned"   // so many workers went silent over it (Spec.MaxAttempts)
)

// Gate judges a cell by what it costs, without training it. The costs become
// metrics of its trial. A reason other than "" rejects it: the rejection stands
// in the ledger, and the trial is sampled anew. It must be a pure function.
type Gate func(g cells.Genotype) (costs map[string]float64, reject string)

// Event tells what happens in a running search.
type Event struct {
	Kind    string // started | progress | done | failed | reused | updated | lost | refused | extended | paused
	Trial   int
	Arm     string
	Attempt int
	Worker  string
	Step    int     // with progress
	Value   float64 // with progress
	Reward  float64 // with done, reused
	Cause   string  // with failed, lost
	Ended   int     // trials ended, failed ones included
	Planned int
}

// Trial is a row of the ledger.
type Trial = ledger.Trial

// States of a trial.
const (
	Pending = ledger.Pending
	Running = ledger.Running
	Done    = ledger.Done
	Failed  = ledger.Failed
)

// Sentinels of this package. A second process is refused with
// *ledger.InUseError; ErrInUse stands for any of these.
var (
	ErrNone     = ledger.ErrNone
	ErrInUse    = errors.New("another process runs this search")
	ErrChanged  = errors.New("the search was begun with another specification")
	ErrReplay   = errors.New("the ledger cannot be replayed")
	ErrPaused   = errors.New("the search is paused")
	ErrFinished = errors.New("the search is finished")
	ErrLost     = errors.New("the trial belongs to another attempt")
	ErrFailing  = errors.New("trial after trial fails")
	ErrRejected = errors.New("the static limits reject every cell")
	ErrBegun    = errors.New("the search has begun")
)
