package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller"
)

// Sentinels of this package.
var (
	ErrInUse   = errors.New("another process runs this search")
	ErrChanged = errors.New("the search was started with another specification")
	ErrReplay  = errors.New("the ledger cannot be replayed")
)

// Spec is what a search is: it does not change once it has begun.
type Spec struct {
	Seed         uint64            `json:"seed"`
	Space        cells.Space       `json:"space"`
	Policy       controller.Config `json:"policy"`
	Trials       int               `json:"trials"`        // of the policy
	RandomTrials int               `json:"random_trials"` // of the random arm beside it
	Child        json.RawMessage   `json:"child"`         // how children are trained; passed on to the evaluator
}

// Validate returns all faults.
func (s Spec) Validate() error {
	var faults []error
	if s.Trials < 1 {
		faults = append(faults, fmt.Errorf("search: trials %d: want at least 1", s.Trials))
	}
	if s.RandomTrials < 0 {
		faults = append(faults, fmt.Errorf("search: random_trials %d: want 0 or more", s.RandomTrials))
	}
	if len(s.Space.Ops) == 0 || s.Space.Blocks < 1 {
		faults = append(faults, fmt.Errorf("search: space %q: want operations and at least one block", s.Space.Name))
	}
	return errors.Join(append(faults, s.Policy.Validate())...)
}

// Task is one trial to be evaluated.
type Task struct {
	Trial    int
	Arm      string
	Attempt  int   // 1 for the first; a trial whose search was stopped gets another
	Seed     int64 // of the child: a function of the search's seed and of the cell
	Genotype cells.Genotype
	Child    json.RawMessage
}

// Result is what evaluating a task gave.
type Result struct {
	Reward  float64
	Metrics map[string]float64
}

// Evaluator trains and measures a child. report may be called now and then with
// the share done, 0..1.
type Evaluator interface {
	Evaluate(ctx context.Context, t Task, report func(done float64)) (Result, error)
}

// Failure is an evaluation error with its class and the child's last words.
// Other errors are of class "error".
type Failure interface {
	error
	Class() string
	LogTail() []string
}

// Event tells what happens in a running search.
type Event struct {
	Kind    string // started | progress | done | failed | reused | updated
	Trial   int
	Arm     string
	Share   float64 // with progress: done of this trial, 0..1
	Reward  float64 // with done, reused
	Cause   string  // with failed
	Done    int     // trials finished, failed ones included
	Planned int
}

// State of a trial.
const (
	Pending = "pending"
	Running = "running"
	Done    = "done"
	Failed  = "failed"
)

// Trial is a row of the ledger.
type Trial struct {
	ID       int // 0… over all arms: the policy's first
	Arm      string
	Index    int // within the arm
	Choices  []int
	Genotype string
	Hash     string // of the canonical form
	State    string
	Attempt  int
	Reward   float64
	Metrics  map[string]float64
	Cause    string // class of the failure
	Log      string // last words of a failed child
	Reused   int    // trial with the same cell whose reward this is; -1: none
	Seconds  float64
}
