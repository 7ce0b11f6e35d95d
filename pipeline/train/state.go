package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// State stands beside a checkpoint's tensors: with them it is all that a
// training consists of. There is no state of a random generator, since masks,
// crops and order are functions of Seed, Step and Images.
type State struct {
	Step    int64     `json:"step"`
	Images  int64     `json:"images"` // consumed so far: where the input goes on
	Seed    int64     `json:"seed"`
	Digest  string    `json:"digest"`  // of the configuration
	Seconds float64   `json:"seconds"` // of training so far, over all processes
	Saved   time.Time `json:"saved"`

	Evaluated int64     `json:"evaluated"`        // step of the last evaluation; 0: none yet
	Best      *Best     `json:"best,omitempty"`   // nil: none yet
	Stale     int       `json:"stale"`            // evaluations since the best one
	Ended     string    `json:"ended,omitempty"`  // why training ends here, before its last step
	Report    *Progress `json:"report,omitempty"` // the last one
}

// Best is the best evaluation so far.
type Best struct {
	Step   int64   `json:"step"`
	Metric float64 `json:"metric"`
}

// Checkpoint is a published one.
type Checkpoint struct {
	Dir   string
	State State
}

// Prefix is what TensorFlow's own tools take.
func (c Checkpoint) Prefix() string { return filepath.Join(c.Dir, modelPrefix) }

const (
	stateFile   = "state.json"
	modelPrefix = "model.ckpt"
	stepPrefix  = "step-"
)

// stepDir is the name of a step's checkpoint.
func stepDir(dir string, step int64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%08d", stepPrefix, step))
}

// Checkpoints lists the published checkpoints below dir, newest first; of their
// states only the step is filled in. Damaged ones are among them: see [Newest].
func Checkpoints(dir string) ([]Checkpoint, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("train: list checkpoints: %w", err)
	}
	var list []Checkpoint
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), stepPrefix)
		if step, err := strconv.ParseInt(number, 10, 64); ok && err == nil && e.IsDir() {
			list = append(list, Checkpoint{filepath.Join(dir, e.Name()), State{Step: step}})
		}
	}
	slices.SortFunc(list, func(a, b Checkpoint) int { return int(b.State.Step - a.State.Step) })
	return list, nil
}

// ReadState reads a checkpoint's state.json.
func ReadState(dir string) (State, error) {
	var st State
	path := filepath.Join(dir, stateFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &st)
	}
	if err == nil && filepath.Base(dir) != filepath.Base(stepDir("", st.Step)) {
		err = fmt.Errorf("it holds step %d", st.Step)
	}
	if err != nil {
		return State{}, fmt.Errorf("train: %s: %w", path, err)
	}
	return st, nil
}

func (st State) marshal() ([]byte, error) {
	raw, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("train: %s: %w", stateFile, err)
	}
	return append(raw, '\n'), nil
}
