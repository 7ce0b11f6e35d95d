package search

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller"
)

// Mode says when a policy learns.
type Mode string

// Modes of a search. The empty one is Sync.
const (
	// Sync updates a policy when all trials of its batch have ended, in trial
	// order: the same search whatever the workers do.
	Sync Mode = "sync"
	// Async updates a policy whenever a batch of trials has ended, and samples
	// whenever a worker is free: no waiting, but another search each time.
	Async Mode = "async"
)

// RandomArm is the name of the arm beside the chosen policy.
const RandomArm = controller.Random

// Spec is what a search is. It is recorded when the search begins and does not
// change from then on; Extend adds trials.
type Spec struct {
	Seed uint64 `json:"seed"` // of every random number
	// Space is what cells may look like.
	Space cells.Space `json:"space"`
	// Policy is the chosen one. Its zero values become the defaults for this
	// number of trials, also when the search is extended later.
	Policy controller.Config `json:"policy"`
	// Trials of the policy; at least 1.
	Trials int `json:"trials"`
	// RandomTrials of the random arm; 0: no such arm. Where the policy itself is
	// random there is none in any case.
	RandomTrials int `json:"random_trials"`
	// Beside are further arms, such as evolution, by the policy's name.
	Beside []ArmSpec `json:"beside,omitempty"`
	Mode   Mode      `json:"mode,omitempty"`
	// Objective makes the reward of what an evaluator measured.
	Objective Objective `json:"objective,omitzero"`
	// Stopping ends bad children early.
	Stopping Stopping `json:"stopping,omitzero"`
	// Floor is the reward that a policy is told for a failed trial, beside the
	// mark that it failed.
	Floor float64 `json:"floor,omitempty"`
	// MaxAttempts is after how many silent workers a trial is set aside as
	// poisoned; 0: 3.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// Limits are the static bounds that Options.Gate applies: recorded so that a
	// search goes on with those it began with. Search does not look into them.
	Limits json.RawMessage `json:"limits,omitempty"`
	// Child says how children are trained; it is handed to the evaluator.
	Child json.RawMessage `json:"child,omitempty"`
}

// ArmSpec is an arm beside the chosen policy.
type ArmSpec struct {
	Policy controller.Config `json:"policy"`
	Trials int               `json:"trials"`
}

// namedArm is an arm of a specification, with its name and seed.
type namedArm struct {
	name   string
	policy controller.Config
	trials int
	seed   uint64
}

// arms are the search's, the chosen policy first and random last: the order in
// which they are served.
func (s Spec) arms() []namedArm {
	list := []namedArm{{s.Policy.Policy, s.Policy, s.Trials, s.Seed}}
	for _, b := range s.Beside {
		list = append(list, namedArm{b.Policy.Policy, b.Policy, b.Trials, seedFor(s.Seed, "arm", b.Policy.Policy)})
	}
	if s.RandomTrials > 0 && s.Policy.Policy != RandomArm {
		random := controller.Config{Policy: RandomArm, Batch: s.Policy.Batch}
		list = append(list, namedArm{RandomArm, random, s.RandomTrials, seedFor(s.Seed, "arm", RandomArm)})
	}
	return list
}

// seedFor derives a seed for one use.
func seedFor(seed uint64, use, name string) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d|%s|%s", seed, use, name))
	return binary.LittleEndian.Uint64(sum[:8])
}

// childSeed is that of the cell, not of the trial: equal cells have equal
// rewards, and an attempt repeats the one before. Not negative.
func childSeed(seed uint64, hash string) int64 { return int64(seedFor(seed, "child", hash) >> 2) }

func (s Spec) maxAttempts() int {
	if s.MaxAttempts == 0 {
		return 3
	}
	return s.MaxAttempts
}

// Validate returns all faults.
func (s Spec) Validate() error {
	var faults []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("search: "+format, args...))
		}
	}
	want(s.Trials >= 1, "trials %d: want at least 1", s.Trials)
	want(s.RandomTrials >= 0, "random_trials %d: want 0 or more", s.RandomTrials)
	want(len(s.Space.Ops) > 0 && s.Space.Blocks >= 1, "space %q: want operations and at least one block", s.Space.Name)
	want(s.Mode == "" || s.Mode == Sync || s.Mode == Async, "mode %q: want sync or async", s.Mode)
	want(s.MaxAttempts >= 0, "max_attempts %d: want 0 (three) or more", s.MaxAttempts)
	want(!math.IsNaN(s.Floor) && !math.IsInf(s.Floor, 0), "floor %g: want a finite number", s.Floor)
	var names []string
	for _, a := range s.arms() {
		want(a.trials >= 1, "arm %s: %d trials: want at least 1", a.name, a.trials)
		want(!slices.Contains(names, a.name), "arm %s: there are two of that name", a.name)
		names = append(names, a.name)
		if err := a.policy.Validate(); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(append(faults, s.Objective.validate(), s.Stopping.validate(s.Mode))...)
}
