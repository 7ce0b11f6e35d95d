package train_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/pipeline/train"
)

// checkpointFiles are those of one checkpoint.
var checkpointFiles = []string{"model.ckpt.data-00000-of-00001", "model.ckpt.index", "state.json"}

// Cut at 50 places, and with a bit flipped at 50 others, a checkpoint is
// refused, said so, and the one before it is the newest.
func TestDamagedCheckpointsAreWalkedPast(t *testing.T) {
	dir := t.TempDir()
	_, want, err := run(t, context.Background(), options(dir))
	if err != nil {
		t.Fatal(err)
	}
	const seed = 5
	r := rand.New(rand.NewPCG(seed, seed))
	newest := filepath.Join(dir, "checkpoints", "step-00000060")
	for i := range 100 {
		file := filepath.Join(newest, checkpointFiles[r.IntN(2)]) // state.json: below
		whole := read(t, file)
		at := r.IntN(len(whole))
		damaged := whole[:at]
		if i%2 == 1 {
			b := []byte(whole)
			b[at] ^= 1 << r.IntN(8)
			damaged = string(b)
		}
		write(t, file, damaged)
		var notes []string
		cp, err := train.Newest(filepath.Dir(newest), func(n string) { notes = append(notes, n) })
		if err != nil || cp.State.Step != 50 || len(notes) != 1 || !strings.Contains(notes[0], "step-00000060 is damaged") {
			t.Fatalf("%s damaged at %d (seed %d): step %d, notes %q, error %v", file, at, seed, cp.State.Step, notes, err)
		}
		write(t, file, whole)
	}
	for _, name := range checkpointFiles { // and training goes on from there to the same end
		file := filepath.Join(newest, name)
		write(t, file, read(t, file)[:20])
		o := options(dir)
		var notes []string
		o.OnNote = func(n string) { notes = append(notes, n) }
		res, got, err := run(t, context.Background(), o)
		if err != nil || res.ResumedAt != 50 || !strings.Contains(strings.Join(notes, "\n"), "damaged") {
			t.Fatalf("%s: resumed at %d, notes %q, error %v", name, res.ResumedAt, notes, err)
		}
		same(t, "after the damage", got, want)
	}
}

func TestNoCheckpointVerifies(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "step-00000001"), 0o755); err != nil {
		t.Fatal(err)
	}
	notes := 0
	if _, err := train.Newest(dir, func(string) { notes++ }); !errors.Is(err, train.ErrNoCheckpoint) || notes != 1 {
		t.Errorf("%d notes, error %v", notes, err)
	}
}

func TestCheckpointsArePrunedAndNamed(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "checkpoints", ".tmp-killed")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	o := options(dir)
	o.KeepCheckpoints = 2
	if _, _, err := run(t, context.Background(), o); err != nil {
		t.Fatal(err)
	}
	list, err := train.Checkpoints(filepath.Join(dir, "checkpoints"))
	if err != nil || len(list) != 2 || list[0].State.Step != 60 || list[1].State.Step != 50 {
		t.Errorf("checkpoints %v, %v", list, err)
	}
	text := read(t, filepath.Join(dir, "checkpoints", "checkpoint"))
	if !strings.HasPrefix(text, `model_checkpoint_path: "step-00000060/model.ckpt"`) || strings.Count(text, "checkpoint_paths:") != 2 {
		t.Errorf("checkpoint file:\n%s", text)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed save left is still there: %v", err)
	}
}

func TestPythonReadsOurCheckpoints(t *testing.T) {
	dir := t.TempDir()
	_, want, err := run(t, context.Background(), options(dir))
	if err != nil {
		t.Fatal(err)
	}
	got := reftest.Python(t, `
import sys, tensorflow as tf
state = tf.train.get_checkpoint_state(sys.argv[1])
r = tf.train.load_checkpoint(state.model_checkpoint_path)
print(len(r.get_variable_to_shape_map()), repr(float(r.get_tensor("fc/biases")[1])), len(state.all_model_checkpoint_paths), len(state.all_model_checkpoint_timestamps))`,
		filepath.Join(dir, "checkpoints"))
	if expected := fmt.Sprintf("%d %v 3 3", len(want), float64(want["fc/biases"][1])); got != expected {
		t.Errorf("Python read %q, want %q", got, expected)
	}
}

func TestAnotherConfigurationIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := run(t, context.Background(), options(dir)); err != nil {
		t.Fatal(err)
	}
	o := options(dir)
	o.Digest = "other"
	if _, _, err := run(t, context.Background(), o); err == nil || !strings.Contains(err.Error(), "another configuration") {
		t.Errorf("digest: got %v", err)
	}
	o = options(dir)
	o.EMA = 0.5
	o.Rule = lambRule // the same digest, but other slots
	if _, _, err := run(t, context.Background(), o); err == nil || !strings.Contains(err.Error(), "variable fc/weights/LAMB is not in the checkpoint") {
		t.Errorf("variables: got %v", err)
	}
}

// A save that the disk refuses leaves the earlier checkpoints as they are.
func TestAFailedSaveLeavesTheOldOnes(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("as root, permissions refuse nothing: a file stands in the directory's place instead")
	}
	dir := t.TempDir()
	o := options(dir)
	o.OnProgress = func(p train.Progress) {
		if p.Step == 35 { // the directory is swapped for a file, so the next save cannot make its own
			at := filepath.Join(dir, "checkpoints")
			if err := errors.Join(os.Rename(at, at+".aside"), os.WriteFile(at, nil, 0o600)); err != nil {
				t.Error(err)
			}
		}
	}
	_, _, err := run(t, context.Background(), o)
	if err == nil || !strings.Contains(err.Error(), "checkpoint at step 40") || !strings.Contains(err.Error(), "earlier checkpoints are untouched") {
		t.Errorf("got %v", err)
	}
	if cp, err := train.Newest(filepath.Join(dir, "checkpoints.aside"), func(n string) { t.Error(n) }); err != nil || cp.State.Step != 30 {
		t.Errorf("step %d, %v", cp.State.Step, err)
	}
}
