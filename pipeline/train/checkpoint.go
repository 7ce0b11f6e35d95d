package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nasnet-go/nasnet/internal/bundle"
	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// ErrNoCheckpoint is returned where no checkpoint verifies.
var ErrNoCheckpoint = errors.New("no checkpoint that verifies")

// ErrNotFinite is returned instead of publishing weights that are NaN or
// infinite.
var ErrNotFinite = errors.New("a variable is not finite")

// Newest returns the newest checkpoint below dir whose state and tensors
// verify, all checksums read. Every one it walks past is noted. It needs no
// session.
func Newest(dir string, note func(string)) (Checkpoint, error) {
	list, err := Checkpoints(dir)
	if err != nil {
		return Checkpoint{}, err
	}
	for _, c := range list {
		if c.State, err = ReadState(c.Dir); err == nil {
			err = verify(c.Prefix())
		}
		if err == nil {
			return c, nil
		}
		note(fmt.Sprintf("checkpoint %s is damaged and not used: %v", c.Dir, err))
	}
	return Checkpoint{}, fmt.Errorf("train: %s: %w", dir, ErrNoCheckpoint)
}

// verify reads all of a checkpoint's tensors.
func verify(prefix string) error {
	b, err := bundle.Open(prefix)
	if err != nil {
		return err
	}
	return b.Verify()
}

// checkpoints publishes the session's variables: TensorFlow writes into a fresh
// directory and syncs nothing (reference ecosystem.md section 2.5), so what it
// wrote is read back with its checksums, synced, and renamed into place.
type checkpoints struct {
	dir    string // checkpoints/
	retain retention
	vars   []*tfgraph.Variable
	saver  *tfgraph.Saver
}

// newCheckpoints adds the operations of saving and restoring to the graph.
func newCheckpoints(dir string, r retention, s *tfgraph.Scope, vars []*tfgraph.Variable) *checkpoints {
	keys := make([]string, len(vars))
	for i, v := range vars {
		keys[i] = v.Name
	}
	return &checkpoints{dir: dir, retain: r, vars: vars, saver: tfgraph.NewSaver(s, keys, vars)}
}

// save publishes a checkpoint, and then removes those that are no longer kept.
func (c *checkpoints) save(sess *tfgraph.Session, st State) (Checkpoint, error) {
	final := Checkpoint{stepDir(c.dir, st.Step), st}
	if err := c.publish(sess, final); err != nil {
		return final, fmt.Errorf("train: checkpoint at step %d: %w; earlier checkpoints are untouched", st.Step, err)
	}
	return final, c.tidy(final)
}

func (c *checkpoints) publish(sess *tfgraph.Session, final Checkpoint) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(c.dir, ".tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // what is left of it when something failed
	if err := c.write(sess, tmp, final.State); err != nil {
		return err
	}
	// A damaged one of the same step, which resuming walked past, makes way.
	if err := os.RemoveAll(final.Dir); err != nil {
		return err
	}
	return durable.Rename(tmp, final.Dir)
}

func (c *checkpoints) write(sess *tfgraph.Session, tmp string, st State) error {
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	prefix := filepath.Join(tmp, modelPrefix)
	if err := c.saver.SaveTo(sess, prefix); err != nil {
		return err
	}
	if err := c.readBack(prefix); err != nil {
		return err
	}
	raw, err := st.marshal()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, stateFile), raw, 0o644); err != nil {
		return err
	}
	return durable.SyncTree(tmp)
}

// readBack checks that all variables are in what was written, whole and finite.
func (c *checkpoints) readBack(prefix string) error {
	b, err := bundle.Open(prefix)
	if err != nil {
		return err
	}
	if err := c.fits(b); err != nil {
		return err
	}
	return b.Each(func(e bundle.Entry, data []byte) error {
		if !bundle.Finite(e, data) {
			return fmt.Errorf("%s: %w", e.Name, ErrNotFinite)
		}
		return nil
	})
}

// fits reports all variables that a checkpoint lacks or holds in another shape.
func (c *checkpoints) fits(b *bundle.Bundle) error {
	var faults []error
	for _, v := range c.vars {
		e, ok := b.Lookup(v.Name)
		switch {
		case !ok:
			faults = append(faults, fmt.Errorf("variable %s is not in the checkpoint", v.Name))
		case !slices.Equal(e.Shape, v.Shape):
			faults = append(faults, fmt.Errorf("variable %s has shape %v, in the checkpoint %v", v.Name, v.Shape, e.Shape))
		}
	}
	return errors.Join(faults...)
}

// restate replaces a published checkpoint's state.
func (c *checkpoints) restate(st State) error {
	raw, err := st.marshal()
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(stepDir(c.dir, st.Step), stateFile), raw, 0o644)
}

// tidy names what stays in the text file that TensorFlow's tools read, and
// then removes the rest, and what killed saves left.
func (c *checkpoints) tidy(newest Checkpoint) error {
	list, err := Checkpoints(c.dir)
	if err != nil {
		return err
	}
	for i := range list {
		if st, err := ReadState(list[i].Dir); err == nil {
			list[i].State = st
		}
	}
	stay, gone := c.retain.split(list, newest.State)
	if err := durable.WriteFile(filepath.Join(c.dir, "checkpoint"), []byte(stateText(newest, stay)), 0o644); err != nil {
		return err
	}
	for _, old := range gone {
		err = errors.Join(err, os.RemoveAll(old.Dir))
	}
	left, err2 := filepath.Glob(filepath.Join(c.dir, ".tmp-*"))
	err = errors.Join(err, err2)
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		return fmt.Errorf("train: remove old checkpoints: %w", err)
	}
	return nil
}

// stateText is TensorFlow's CheckpointState as protocol buffer text.
func stateText(newest Checkpoint, stay []Checkpoint) string {
	var text strings.Builder
	name := func(c Checkpoint) string { return filepath.Base(c.Dir) + "/" + modelPrefix }
	seconds := func(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
	fmt.Fprintf(&text, "model_checkpoint_path: %q\n", name(newest))
	for _, c := range stay {
		fmt.Fprintf(&text, "all_model_checkpoint_paths: %q\n", name(c))
	}
	for _, c := range stay {
		fmt.Fprintf(&text, "all_model_checkpoint_timestamps: %.3f\n", seconds(c.State.Saved))
	}
	return text.String()
}

// restore brings back the newest checkpoint that verifies. Without one it
// returns false.
func (c *checkpoints) restore(sess *tfgraph.Session, digest string, note func(string)) (State, bool, error) {
	cp, err := Newest(c.dir, note)
	if errors.Is(err, ErrNoCheckpoint) {
		return State{}, false, nil
	}
	if err != nil {
		return State{}, false, err
	}
	b, err := bundle.Open(cp.Prefix())
	if err != nil {
		return State{}, false, err
	}
	if err := c.fits(b); cp.State.Digest != digest || err != nil {
		return State{}, false, errors.Join(fmt.Errorf("train: checkpoint %s belongs to another configuration; choose another run directory or remove it", cp.Dir), err)
	}
	return cp.State, true, c.saver.RestoreFrom(sess, cp.Prefix())
}
