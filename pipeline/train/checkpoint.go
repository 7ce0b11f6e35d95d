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

	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// State stands beside a checkpoint's tensors.
type State struct {
	Step   int64  `json:"step"`
	Images int64  `json:"images"` // consumed so far: where the input goes on
	Seed   int64  `json:"seed"`
	Digest string `json:"digest"` // of the configuration
}

// Checkpoint is a published one.
type Checkpoint struct {
	Dir   string
	State State
}

// Prefix is what TensorFlow's own tools take.
func (c Checkpoint) Prefix() string { return filepath.Join(c.Dir, "model.ckpt") }

const stateFile = "state.json"

// Checkpoints lists the published checkpoints below dir, newest first. Damaged
// ones are among them; only restoring tells.
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
		number, ok := strings.CutPrefix(e.Name(), "step-")
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
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err == nil {
		err = json.Unmarshal(raw, &st)
	}
	if err != nil {
		return State{}, fmt.Errorf("train: %s: %w", filepath.Join(dir, stateFile), err)
	}
	return st, nil
}

// saver publishes the session's variables: TensorFlow writes into a fresh
// directory and syncs nothing (reference ecosystem.md section 2.5), so what it
// wrote is read back with its checksums, synced, and renamed into place.
type saver struct {
	dir   string // checkpoints/
	keep  int
	saver *tfgraph.Saver
}

func (c saver) save(sess *tfgraph.Session, st State) (Checkpoint, error) {
	final := Checkpoint{filepath.Join(c.dir, fmt.Sprintf("step-%08d", st.Step)), st}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return final, fmt.Errorf("train: checkpoint: %w", err)
	}
	tmp, err := os.MkdirTemp(c.dir, ".tmp-")
	if err != nil {
		return final, fmt.Errorf("train: checkpoint: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := c.write(sess, tmp, st); err != nil {
		return final, fmt.Errorf("train: checkpoint at step %d: %w; earlier checkpoints are untouched", st.Step, err)
	}
	// A damaged one of the same step, which resuming walked past, makes way.
	if err := os.RemoveAll(final.Dir); err != nil {
		return final, fmt.Errorf("train: checkpoint: %w", err)
	}
	if err := durable.Rename(tmp, final.Dir); err != nil {
		return final, fmt.Errorf("train: checkpoint: %w", err)
	}
	return final, c.prune(final)
}

func (c saver) write(sess *tfgraph.Session, tmp string, st State) error {
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	prefix := filepath.Join(tmp, "model.ckpt")
	if err := c.saver.SaveTo(sess, prefix); err != nil {
		return err
	}
	if err := c.saver.VerifyAt(sess, prefix); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, stateFile), append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return durable.SyncTree(tmp)
}

// prune removes all but the newest checkpoints, after naming what stays in the
// text file that TensorFlow's tools read, and clears what killed saves left.
func (c saver) prune(newest Checkpoint) error {
	list, err := Checkpoints(c.dir)
	if err != nil {
		return err
	}
	stay := list[:min(len(list), max(1, c.keep))]
	var text strings.Builder
	fmt.Fprintf(&text, "model_checkpoint_path: %q\n", filepath.Join(filepath.Base(newest.Dir), "model.ckpt"))
	for _, s := range slices.Backward(stay) {
		fmt.Fprintf(&text, "all_model_checkpoint_paths: %q\n", filepath.Join(filepath.Base(s.Dir), "model.ckpt"))
	}
	if err := durable.WriteFile(filepath.Join(c.dir, "checkpoint"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	for _, old := range list[len(stay):] {
		if err := os.RemoveAll(old.Dir); err != nil {
			return fmt.Errorf("train: remove old checkpoint: %w", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(c.dir, ".tmp-*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// restore brings back the newest checkpoint that verifies. Without one it
// returns false. Every one it walks past is noted.
func (c saver) restore(sess *tfgraph.Session, digest string, note func(string)) (State, bool, error) {
	list, err := Checkpoints(c.dir)
	if err != nil {
		return State{}, false, err
	}
	for _, cp := range list {
		st, err := ReadState(cp.Dir)
		if err == nil && st.Step != cp.State.Step {
			err = fmt.Errorf("train: %s holds step %d", cp.Dir, st.Step)
		}
		if err == nil {
			err = c.saver.VerifyAt(sess, cp.Prefix())
		}
		if err == nil {
			if st.Digest != digest {
				return st, false, fmt.Errorf("train: checkpoint %s belongs to another configuration; choose another run directory or remove it", cp.Dir)
			}
			return st, true, c.saver.RestoreFrom(sess, cp.Prefix())
		}
		note(fmt.Sprintf("checkpoint %s is damaged and not used: %v", cp.Dir, err))
	}
	return State{}, false, nil
}
