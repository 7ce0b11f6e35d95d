package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nasnet-go/nasnet/internal/cluster"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// startWorker starts `nasnet worker --train` and waits until it serves.
func startWorker(t *testing.T, nasnet string) (string, *exec.Cmd) {
	t.Helper()
	address, err := cluster.LocalAddress("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nasnet, "worker", "--train", "--listen", address)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "ready at") {
			go func() {
				for lines.Scan() {
				}
			}()
			return address, cmd
		}
	}
	t.Fatal("the worker ended before it served")
	return "", nil
}

// Two workers train; one is killed in the middle: the training
// goes on by itself and ends with the step count asked for.
func TestATrainingOutlivesItsWorkers(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for half a minute")
	}
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	dir := t.TempDir()
	small(t, dir) // skips without CIFAR-10
	first, killed := startWorker(t, nasnet)
	second, _ := startWorker(t, nasnet)
	cmd := exec.Command(nasnet, "train", "--json", "--config", "cifar10-small", "--run", dir, "--steps", "60", "--cluster", first+","+second,
		"--set", "model.filters=4", "--set", "train.batch=16", "--set", "train.report_steps=1", "--set", "train.checkpoint.steps=10")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	killAt(t, killed, dir, 25)
	var got api.TrainResult
	if err := json.NewDecoder(stdout).Decode(&got); err != nil {
		t.Errorf("answer: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if got.Steps != 60 || got.ResumedAt != 20 && got.ResumedAt != 30 {
		t.Errorf("%d steps, resumed at %d; want 60, from the checkpoint before the kill\n%s", got.Steps, got.ResumedAt, stderr.String())
	}
	if !strings.Contains(stderr.String(), first+" is lost; training goes on from its last checkpoint") {
		t.Errorf("the loss is not told:\n%s", stderr.String())
	}
}

// An interrupted training over workers saves where it is.
func TestAnInterruptedTrainingOverWorkersSaves(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for some seconds")
	}
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	dir := t.TempDir()
	small(t, dir)
	worker, _ := startWorker(t, nasnet)
	cmd := exec.Command(nasnet, "train", "--config", "cifar10-small", "--run", dir, "--steps", "100000", "--cluster", worker,
		"--set", "model.filters=4", "--set", "train.batch=16", "--set", "train.report_steps=1", "--set", "train.checkpoint.steps=0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	awaitSteps(t, dir, 5)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("it ended with %v", err)
	}
	if list, err := filepath.Glob(filepath.Join(dir, "checkpoints", "step-*")); err != nil || len(list) != 1 {
		t.Errorf("checkpoints %v, %v; want the one of the interruption", list, err)
	}
}

// awaitSteps waits until the run's metrics reach the step.
func awaitSteps(t *testing.T, dir string, step int) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
		if err == nil && strings.Count(string(text), "\n") >= step {
			return
		}
		if time.Since(begin) > 5*time.Minute {
			t.Fatalf("step %d was not reached", step)
		}
	}
}

// killAt kills the process when the run's metrics reach the step.
func killAt(t *testing.T, cmd *exec.Cmd, dir string, step int) {
	t.Helper()
	awaitSteps(t, dir, step)
	if err := syscall.Kill(cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
