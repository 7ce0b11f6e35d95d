package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// The test binary plays all parts: with NASNET_TEST_ROLE=engine it is an engine
// without TensorFlow, with "front" a front that can be killed.
const roleEnv = "NASNET_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "engine":
		os.Exit(Main(os.Args[1:], fakeHandlers))
	case "front":
		os.Exit(fakeFront())
	}
	goleak.VerifyTestMain(m)
}

// fakeFront runs one job of os.Args[1] and prints its progress notes.
func fakeFront() int {
	_, err := testLauncher().Run(context.Background(), Job{
		Command: os.Args[1],
		OnEvent: func(e Event) { fmt.Println(e.Text) },
	})
	return ExitCode(err)
}

func testLauncher() *Launcher {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return &Launcher{Path: self, Log: zerolog.Nop(), Env: []string{roleEnv + "=engine"}}
}

func run(t *testing.T, j Job) (json.RawMessage, error) {
	t.Helper()
	return testLauncher().Run(t.Context(), j)
}

func TestRunGivesEventsInOrderAndTheResult(t *testing.T) {
	var got []Event
	result, err := run(t, Job{Command: "count", Request: map[string]int{"to": 3}, OnEvent: func(e Event) { got = append(got, e) }})
	if err != nil {
		t.Fatal(err)
	}
	want := []Event{
		Progress("count", 1, 3, "steps", Values{"loss": 1}),
		Progress("count", 2, 3, "steps", Values{"loss": 0.5}),
		Progress("count", 3, 3, "steps", Values{"loss": 1. / 3}),
		Note("counted to %d", 3),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if string(result) != `{"sum":6}` {
		t.Errorf("result = %s", result)
	}
}

func TestErrorCodesArrive(t *testing.T) {
	for _, c := range []struct {
		code int
		text string
	}{{CodeFailed, "disk on fire"}, {CodeUsage, "configs: train.steps: must be positive"}, {CodeInUse, "run directory in use by 17"}} {
		_, err := run(t, Job{Command: "fail", Request: failRequest{c.code, c.text}})
		var reported *EngineError
		if !errors.As(err, &reported) || reported.Code != c.code || reported.Message != c.text || ExitCode(err) != c.code {
			t.Errorf("code %d: got %#v", c.code, err)
		}
	}
}

func TestValuesKeepNaNAndInfinity(t *testing.T) {
	var got Values
	_, err := run(t, Job{Command: "nan", OnEvent: func(e Event) { got = e.Values }})
	if err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(got["nan"]) || !math.IsInf(got["up"], 1) || !math.IsInf(got["down"], -1) || got["one"] != 1 {
		t.Errorf("values = %v", got)
	}
}

func TestResultThatIsNoJSONIsAnError(t *testing.T) {
	_, err := run(t, Job{Command: "nan-result"})
	if ExitCode(err) != CodeFailed || !strings.Contains(fmt.Sprint(err), "result cannot be written") {
		t.Errorf("err = %v", err)
	}
}

func TestPanicIsAnErrorWithItsStackOnStderr(t *testing.T) {
	var stderr bytes.Buffer
	_, err := run(t, Job{Command: "panic", Stderr: &stderr})
	var reported *EngineError
	if !errors.As(err, &reported) || reported.Code != CodeFailed || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("err = %v", err)
	}
	if !strings.Contains(stderr.String(), "handlers_test.go") {
		t.Errorf("stderr has no stack:\n%s", &stderr)
	}
}

func TestAbortIsADeathWithItsReason(t *testing.T) {
	_, err := run(t, Job{Command: "abort"})
	var dead *DiedError
	if !errors.As(err, &dead) || dead.Cause != CauseSignal || dead.Signal != syscall.SIGABRT {
		t.Fatalf("err = %#v", err)
	}
	if !strings.Contains(err.Error(), "Check failed: n > 0") || strings.Contains(err.Error(), "\n") {
		t.Errorf("message: %s", err)
	}
}

func TestCrashCaughtByGoIsTheSignalItWas(t *testing.T) {
	_, err := run(t, Job{Command: "segv"})
	var dead *DiedError
	if !errors.As(err, &dead) || dead.Cause != CauseSignal || dead.Signal != syscall.SIGSEGV || !strings.Contains(err.Error(), "segmentation violation") {
		t.Fatalf("err = %v", err)
	}
}

func TestExitWithoutAnswer(t *testing.T) {
	_, err := run(t, Job{Command: "exit", Request: map[string]int{"code": 7}})
	var dead *DiedError
	if !errors.As(err, &dead) || dead.Cause != CauseExit || dead.Code != 7 || ExitCode(err) != CodeFailed {
		t.Fatalf("err = %#v", err)
	}
	if len(dead.LastLines) != keptLines || dead.LastLines[keptLines-1] != "line 249" {
		t.Errorf("kept %d lines, the last is %q", len(dead.LastLines), dead.LastLines[len(dead.LastLines)-1])
	}
}

func TestTimeoutStopsAnEngineThatHangs(t *testing.T) {
	for _, command := range []string{"wait", "hang"} { // one obeys SIGTERM, one ignores it
		_, err := run(t, Job{Command: command, Timeout: 200 * time.Millisecond, Grace: 200 * time.Millisecond})
		var dead *DiedError
		if !errors.As(err, &dead) || dead.Cause != CauseTimeout || !strings.Contains(err.Error(), "longer than 200ms") {
			t.Errorf("%s: err = %#v", command, err)
		}
	}
}

func TestMemoryHogIsKilled(t *testing.T) {
	_, err := run(t, Job{Command: "hog", MemoryLimit: 256 << 20})
	var dead *DiedError
	if !errors.As(err, &dead) || dead.Cause != CauseMemory || !strings.Contains(err.Error(), "0.25 GiB") {
		t.Fatalf("err = %#v", err)
	}
}

func TestCancelLeavesAResumableState(t *testing.T) {
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := testLauncher().Run(ctx, Job{Command: "wait", Request: waitRequest{checkpoint}, OnEvent: func(Event) { cancel() }})
	if !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.Canceled) || ExitCode(err) != CodeInterrupted {
		t.Errorf("err = %#v", err)
	}
	if _, err := os.Stat(checkpoint); err != nil {
		t.Errorf("no checkpoint: %v", err)
	}
}

func TestCancelKillsWhatDoesNotStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := testLauncher().Run(ctx, Job{Command: "hang", Grace: 100 * time.Millisecond, OnEvent: func(Event) { cancel() }})
	var dead *DiedError
	if !errors.As(err, &dead) || !errors.Is(err, context.Canceled) || ExitCode(err) != CodeInterrupted {
		t.Errorf("err = %#v", err)
	}
}

func TestStopAndKillOfALongLivedEngine(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(*Process)
		want func(error) bool
	}{
		{"stop", (*Process).Stop, func(err error) bool { return errors.Is(err, ErrInterrupted) }},
		{"kill", (*Process).Kill, func(err error) bool {
			var dead *DiedError
			return errors.As(err, &dead) && dead.Signal == syscall.SIGKILL
		}},
	} {
		ready := make(chan struct{})
		p, err := testLauncher().Start(t.Context(), Job{Command: "wait", OnEvent: func(Event) { close(ready) }})
		if err != nil {
			t.Fatal(err)
		}
		<-ready
		end.do(p)
		<-p.Done()
		if _, err := p.Wait(); !end.want(err) {
			t.Errorf("%s: err = %#v", end.name, err)
		}
		end.do(p) // after its end: nothing
	}
}

func TestSignalToTheEngineItselfIsAnInterruption(t *testing.T) {
	pid := make(chan int, 1)
	p, err := testLauncher().Start(t.Context(), Job{Command: "wait", OnEvent: func(e Event) {
		n, _ := strconv.Atoi(e.Text)
		pid <- n
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(<-pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); !errors.Is(err, ErrInterrupted) {
		t.Errorf("err = %#v", err)
	}
}

// A front killed by kill -9 cannot tell its engine anything.
func TestEngineEndsWithItsFront(t *testing.T) {
	for _, command := range []string{"wait", "hang"} {
		front := exec.Command(testLauncher().Path, command)
		front.Env = append(os.Environ(), roleEnv+"=front")
		out, err := front.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := front.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Fscan(out, &pid); err != nil {
			t.Fatal(err)
		}
		if err := front.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = front.Wait() // "signal: killed"
		for alive(pid) { // the test's own time limit is the only one
			time.Sleep(time.Millisecond)
		}
	}
}

// alive is false for a zombie too: whoever adopted it may be slow to reap.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(after, "Z")
}

func TestWhatALibraryPrintsIsNoEvent(t *testing.T) {
	var stderr bytes.Buffer
	var events int
	result, err := run(t, Job{Command: "chatter", Stderr: &stderr, OnEvent: func(Event) { events++ }})
	if err != nil || string(result) != `"ok"` || events != 1 {
		t.Fatalf("result %s, %d events, err %v", result, events, err)
	}
	for _, want := range []string{"printed to fd 1", `{"json":"but no event"}`, "not json at all"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("stderr lacks %q", want)
		}
	}
}

func TestHugeLines(t *testing.T) {
	const size = 8 << 20
	result, err := run(t, Job{Command: "huge", Request: map[string]string{"text": strings.Repeat("x", size)}})
	if err != nil {
		t.Fatal(err)
	}
	var echoed string
	if err := json.Unmarshal(result, &echoed); err != nil || len(echoed) != size {
		t.Errorf("%d bytes came back, %v", len(echoed), err)
	}
}

func TestResultCountsEvenIfTheEngineDiesAfterwards(t *testing.T) {
	result, err := run(t, Job{Command: "late-abort"})
	if err != nil || string(result) != "42" {
		t.Errorf("result %s, err %v", result, err)
	}
}

func TestGrandchildDoesNotHoldUpTheFront(t *testing.T) {
	if result, err := run(t, Job{Command: "daemon"}); err != nil || string(result) != "1" {
		t.Errorf("result %s, err %v", result, err)
	}
}

func TestEngineLogIsLoggedByTheFront(t *testing.T) {
	var log bytes.Buffer
	l := testLauncher()
	l.Log = zerolog.New(&log)
	if _, err := l.Run(t.Context(), Job{Command: "log"}); err != nil {
		t.Fatal(err)
	}
	want := `{"level":"warn","step":12,"message":"loss grows"}` + "\n" +
		`{"level":"error","message":"2026-01-02 03:04:05.678: E tensorflow/core/x.cc:1] out of cheese"}` + "\n" +
		`{"level":"debug","message":"plain"}` + "\n"
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestUnknownCommandAndMissingBinary(t *testing.T) {
	_, err := run(t, Job{Command: "nonsense"})
	var dead *DiedError
	if !errors.As(err, &dead) || dead.Code != CodeUsage || !strings.Contains(err.Error(), "is started by nasnet") {
		t.Errorf("unknown command: %v", err)
	}
	l := Launcher{Path: filepath.Join(t.TempDir(), "absent")}
	if _, err := l.Run(t.Context(), Job{Command: "count"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing binary: %v", err)
	}
}

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, BinaryName)
	t.Setenv("NASNET_ENGINE", "")
	t.Setenv("PATH", dir)
	if _, err := Locate(); !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "make build") {
		t.Errorf("nowhere: %v", err)
	}
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if path, err := Locate(); err != nil || path != binary {
		t.Errorf("on PATH: %s, %v", path, err)
	}
	t.Setenv("NASNET_ENGINE", filepath.Join(dir, "other"))
	if _, err := Locate(); !errors.Is(err, ErrNoEngine) {
		t.Errorf("NASNET_ENGINE names nothing: %v", err)
	}
	t.Setenv("NASNET_ENGINE", binary)
	t.Setenv("PATH", "")
	if path, err := Locate(); err != nil || path != binary {
		t.Errorf("NASNET_ENGINE: %s, %v", path, err)
	}
}
