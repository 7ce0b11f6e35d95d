package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/libtf"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// program returns an executable of bin/, which `make test` builds first.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("bin/%s is not built (make build)", name)
	}
	return path
}

// small are the settings of a run of all stages that takes seconds.
func small(t *testing.T, dir string) []string {
	t.Helper()
	cache, err := libtf.CacheDir(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sets.CIFAR10(context.Background(), sets.Options{Cache: cache, Offline: true}); err != nil {
		t.Skip("CIFAR-10 is not in the cache (nasnet data cifar10)")
	}
	args := []string{"run", "--config", "quickstart", "--run", dir}
	for _, set := range []string{
		"search.trials=4", "search.random_trials=2", "search.policy.batch=2", "search.space.blocks=2", "search.child.filters=4",
		"search.child.images=256", "search.child.validation_images=200", "model.filters=4", "train.steps=12", "train.epochs=1",
		"train.checkpoint.steps=4", "train.report_steps=2", "train.schedule.warmup_steps=0", "export.check_images=20",
	} {
		args = append(args, "--set", set)
	}
	return args
}

func readSummary(t *testing.T, dir string) summary {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s summary
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// The whole chain, undisturbed and killed with kill -9 over and over: it ends
// with the same trials, the same controller and the same network.
func TestTheChainSurvivesKills(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for half a minute")
	}
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	straight, killed := t.TempDir(), t.TempDir()
	if out, err := exec.Command(nasnet, small(t, straight)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := readSummary(t, straight)
	if want.Search.Trials.Done != 6 || want.Eval.Images != 10000 || want.Serve.Images != 20 || want.Export.Check.Images != 20 {
		t.Errorf("summary %+v", want)
	}
	for _, name := range []string{"report.html", predictionsCSV, evaluationFile} {
		if info, err := os.Stat(filepath.Join(straight, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	kills := 0
	for _, after := range []time.Duration{700, 2500, 4000, 1800, 3000} {
		cmd := exec.Command(nasnet, small(t, killed)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(after*time.Millisecond, func() { _ = cmd.Process.Kill() })
		if cmd.Wait() != nil {
			kills++
		}
		timer.Stop()
	}
	if out, err := exec.Command(nasnet, small(t, killed)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := readSummary(t, killed)
	if kills == 0 || got.Search.LedgerDigest != want.Search.LedgerDigest || got.Search.ControllerDigest != want.Search.ControllerDigest {
		t.Errorf("after %d kills: ledger %s, controller %s; want %s, %s", kills,
			got.Search.LedgerDigest, got.Search.ControllerDigest, want.Search.LedgerDigest, want.Search.ControllerDigest)
	}
	if got.Eval.Top1 != want.Eval.Top1 || got.Eval.Loss != want.Eval.Loss {
		t.Errorf("the network differs: top-1 %g and %g, loss %g and %g", got.Eval.Top1, want.Eval.Top1, got.Eval.Loss, want.Eval.Loss)
	}
	t.Run("predict", func(t *testing.T) { predictsFiles(t, nasnet, straight) })
	t.Run("export", func(t *testing.T) { exportsOptions(t, nasnet, straight) })
	t.Run("eval", func(t *testing.T) { evalMeasuresAll(t, nasnet, straight) })
	t.Run("python", func(t *testing.T) { pythonAgrees(t, straight) })
}

// predictsFiles classifies the first test image from its PNG file: the best class
// is that of the largest logit of the evaluation.
func predictsFiles(t *testing.T, nasnet, dir string) {
	pictures := t.TempDir()
	writePNGs(t, pictures, 1)
	file := filepath.Join(pictures, "00.png")
	out, err := exec.Command(nasnet, "predict", "--json", "--saved-model", filepath.Join(dir, "export", "1"), file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got api.PredictResult
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	logits, _, err := npy.Read(filepath.Join(dir, predictionsFile))
	if err != nil {
		t.Fatal(err)
	}
	best := 0
	for i, x := range logits[:10] {
		if x > logits[best] {
			best = i
		}
	}
	if len(got.Files) != 1 || got.Files[0].Best[0].Index != best || got.Files[0].Best[0].Name == "" {
		t.Errorf("predicted %+v, want class %d", got, best)
	}
}

// writePNGs writes the first n test images as PNG files 00.png, 01.png, …
func writePNGs(t *testing.T, dir string, n int) {
	t.Helper()
	cache, err := libtf.CacheDir(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	set, err := sets.CIFAR10(context.Background(), sets.Options{Cache: cache, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	records, err := set.TestRecords()
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	for i := range n {
		img, err := records.At(i)
		if err != nil {
			t.Fatal(err)
		}
		png, err := img.PNG()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.png", i)), png, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// pythonAgrees has TensorFlow's own loader compute the logits of 100 test
// images from their PNG files.
func pythonAgrees(t *testing.T, dir string) {
	pictures := t.TempDir()
	writePNGs(t, pictures, 100)
	out := reftest.Python(t, `
import sys, glob, numpy as np, tensorflow as tf
m = tf.saved_model.load(sys.argv[1])
png = [open(p, "rb").read() for p in sorted(glob.glob(sys.argv[3] + "/*.png"))]
got = m.signatures["serving_bytes"](image_bytes=tf.constant(png))["logits"].numpy()
print(len(png), float(np.abs(got - np.load(sys.argv[2])[:100]).max()) <= 1e-4)`,
		filepath.Join(dir, "export", "1"), filepath.Join(dir, predictionsFile), pictures)
	if out != "100 True" {
		t.Errorf("Python's loader: %s", out)
	}
}

// An engine that aborts inside TensorFlow fails its command, with the signal
// named, and never the front.
func TestAnAbortIsAnError(t *testing.T) {
	t.Setenv("NASNET_ENGINE", program(t, "nasnet-engine"))
	l, err := engine.NewLauncher(context.Background(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Run(context.Background(), engine.Job{Command: api.Abort})
	var died *engine.DiedError
	if !errors.As(err, &died) || died.Cause != engine.CauseSignal || died.Signal != syscall.SIGABRT {
		t.Errorf("got %v", err)
	}
	var f childFailure
	if err := childError(err); !errors.As(err, &f) || f.Class() != "signal" {
		t.Errorf("as a trial's failure: %v", err)
	}
}

// Without TensorFlow on the machine what needs none works, and the rest says in
// one sentence what is missing and how to get it.
func TestWithoutTensorFlow(t *testing.T) {
	nasnet := program(t, "nasnet")
	empty := t.TempDir()
	run := func(args ...string) (string, error) {
		cmd := exec.Command(nasnet, args...)
		cmd.Env = []string{"NASNET_CACHE=" + empty, "HOME=" + empty, "PATH=" + empty, "NASNET_DATA_OFFLINE=true"}
		cmd.Dir = empty
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{{"help"}, {"version"}, {"describe", "nasnet-a-large", "--json"}, {"doctor"}} {
		if out, err := run(args...); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	out, err := run("run", "--config", "quickstart")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(out, "make libtensorflow") {
		t.Errorf("run: %v\n%s", err, out)
	}
}
