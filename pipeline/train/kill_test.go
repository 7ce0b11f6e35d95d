package train_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/train"
)

// childDir makes the test binary train in that directory and hit itself with a
// signal, instead of testing.
const (
	childDir    = "NASNET_TEST_TRAIN_DIR"
	childSignal = "NASNET_TEST_TRAIN_SIGNAL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir, os.Getenv(childSignal)))
	}
	os.Exit(m.Run())
}

// long is a training of 200 steps that is hit at 77.
func long(dir string) train.Options {
	o := options(dir)
	o.Steps, o.DropPath.Steps, o.CheckpointSteps, o.ReportSteps = 200, 200, 25, 1
	return o
}

func child(dir, name string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o := long(dir)
	o.OnProgress = func(p train.Progress) {
		if p.Step == 77 {
			hit := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM}[name]
			if err := syscall.Kill(os.Getpid(), hit); err != nil {
				panic(err)
			}
			if hit == syscall.SIGTERM {
				<-ctx.Done()
			}
		}
	}
	tr, err := train.New(o, source, tower)
	if err != nil {
		return 1
	}
	if _, err = tr.Run(ctx); errors.Is(err, train.ErrInterrupted) {
		return 130
	}
	return 1 // it was to be hit
}

// 200 steps straight, and 77 with a signal and the rest in a new process, come
// to the same losses and weights, bit for bit.
func TestKilledTrainingsEndLikeUndisturbedOnes(t *testing.T) {
	straight := t.TempDir()
	_, want, err := run(t, context.Background(), long(straight))
	if err != nil {
		t.Fatal(err)
	}
	for name, resumed := range map[string]int64{"KILL": 75, "TERM": 77} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childDir+"="+dir, childSignal+"="+name)
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || name == "TERM" && exit.ExitCode() != 130 || name == "KILL" && exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the child ended with %v", err)
			}
			res, got, err := run(t, context.Background(), long(dir))
			if err != nil || res.ResumedAt != resumed {
				t.Fatalf("resumed at %d, want %d: %v", res.ResumedAt, resumed, err)
			}
			same(t, "after "+name, got, want)
			if a, b := losses(t, dir), losses(t, straight); len(a) != 200 || strings.Join(a, " ") != strings.Join(b, " ") {
				t.Errorf("losses\n%v\n%v", a, b)
			}
			a, b := filepath.Join("checkpoints", "step-00000200", checkpointFiles[0]), filepath.Join("checkpoints", "step-00000200", checkpointFiles[1])
			if read(t, filepath.Join(dir, a)) != read(t, filepath.Join(straight, a)) || read(t, filepath.Join(dir, b)) != read(t, filepath.Join(straight, b)) {
				t.Error("the last checkpoints differ")
			}
		})
	}
}
