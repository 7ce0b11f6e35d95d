package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

type failRequest struct {
	Code int
	Text string
}

type waitRequest struct{ Checkpoint string }

// fakeHandlers is what the fake engine can do, mostly badly.
var fakeHandlers = map[string]Handler{
	"count":      count,
	"fail":       fail,
	"wait":       wait,
	"hang":       hang,
	"hog":        hog,
	"chatter":    chatter,
	"huge":       huge,
	"exit":       exit,
	"abort":      abort,
	"segv":       segv,
	"late-abort": lateAbort,
	"daemon":     daemon,
	"log":        logLines,
	"nan": func(_ context.Context, _ json.RawMessage, emit func(Event)) (any, error) {
		emit(Progress("train", 1, 1, "steps", Values{"nan": math.NaN(), "up": math.Inf(1), "down": math.Inf(-1), "one": 1}))
		return nil, nil
	},
	"nan-result": func(context.Context, json.RawMessage, func(Event)) (any, error) { return math.NaN(), nil },
	"panic": func(_ context.Context, r json.RawMessage, _ func(Event)) (any, error) {
		return r[len(r)+1], nil
	},
}

func count(_ context.Context, request json.RawMessage, emit func(Event)) (any, error) {
	var r struct{ To int64 }
	if err := json.Unmarshal(request, &r); err != nil {
		return nil, err
	}
	sum := int64(0)
	for i := int64(1); i <= r.To; i++ {
		sum += i
		emit(Progress("count", i, r.To, "steps", Values{"loss": 1 / float64(i)}))
	}
	emit(Note("counted to %d", r.To))
	return map[string]int64{"sum": sum}, nil
}

func fail(_ context.Context, request json.RawMessage, _ func(Event)) (any, error) {
	var r failRequest
	if err := json.Unmarshal(request, &r); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w", Fail(r.Code, errors.New(r.Text)))
}

// wait says its id, obeys the signal and writes a checkpoint.
func wait(ctx context.Context, request json.RawMessage, emit func(Event)) (any, error) {
	var r waitRequest
	if err := json.Unmarshal(request, &r); err != nil {
		return nil, err
	}
	emit(Note("%d", os.Getpid()))
	<-ctx.Done()
	if r.Checkpoint != "" {
		if err := os.WriteFile(r.Checkpoint, []byte("step 1"), 0o644); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("train: step 1: %w", ctx.Err())
}

// hang says its id and ignores the signal, like a long Session.Run.
func hang(_ context.Context, _ json.RawMessage, emit func(Event)) (any, error) {
	emit(Note("%d", os.Getpid()))
	select {}
}

func hog(context.Context, json.RawMessage, func(Event)) (any, error) {
	var held [][]byte
	for {
		block := make([]byte, 8<<20)
		for i := 0; i < len(block); i += 512 {
			block[i] = 1
		}
		held = append(held, block)
		runtime.KeepAlive(held)
		time.Sleep(5 * time.Millisecond)
	}
}

// chatter prints where TensorFlow would, and then where only a fault could.
func chatter(_ context.Context, _ json.RawMessage, emit func(Event)) (any, error) {
	if _, err := syscall.Write(1, []byte("printed to fd 1\n")); err != nil {
		return nil, err
	}
	for _, line := range []string{`{"json":"but no event"}`, "not json at all", "[1,2"} {
		if _, err := syscall.Write(eventsFD(), []byte(line+"\n")); err != nil {
			return nil, err
		}
	}
	emit(Note("still here"))
	return "ok", nil
}

// eventsFD finds the private copy of stdout: the lowest descriptor above stderr
// that is a pipe open for writing.
func eventsFD() int {
	for fd := 3; fd < 100; fd++ {
		var s syscall.Stat_t
		flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
		if syscall.Fstat(fd, &s) == nil && s.Mode&syscall.S_IFMT == syscall.S_IFIFO && flags&syscall.O_ACCMODE == syscall.O_WRONLY {
			return fd
		}
	}
	panic("no pipe")
}

func huge(_ context.Context, request json.RawMessage, _ func(Event)) (any, error) {
	var r struct{ Text string }
	if err := json.Unmarshal(request, &r); err != nil {
		return nil, err
	}
	long := make([]byte, maxLine+100) // no event, and too long to be kept
	for i := range long {
		long[i] = 'y'
	}
	if _, err := syscall.Write(1, append(long, '\n')); err != nil {
		return nil, err
	}
	return r.Text, nil
}

func exit(_ context.Context, request json.RawMessage, _ func(Event)) (any, error) {
	var r struct{ Code int }
	if err := json.Unmarshal(request, &r); err != nil {
		return nil, err
	}
	for i := range 250 {
		fmt.Fprintln(os.Stderr, "line "+strconv.Itoa(i))
	}
	os.Exit(r.Code)
	return nil, nil
}

func abort(context.Context, json.RawMessage, func(Event)) (any, error) {
	fmt.Fprintln(os.Stderr, "2026-01-02 03:04:05.678: F tensorflow/core/tensor.cc:12] Check failed: n > 0 (0 vs. 0)")
	abortNow()
	return nil, nil
}

func lateAbort(_ context.Context, _ json.RawMessage, emit func(Event)) (any, error) {
	emit(Event{Kind: KindResult, Result: json.RawMessage("42")})
	abortNow()
	return nil, nil
}

// segv dies like a wild pointer in C, which Go's runtime catches.
func segv(context.Context, json.RawMessage, func(Event)) (any, error) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	select {}
}

// abortNow dies as abort(3) does.
func abortNow() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
	select {}
}

// daemon leaves a process behind that holds stdout and stderr open.
func daemon(context.Context, json.RawMessage, func(Event)) (any, error) {
	cmd := exec.Command("sleep", "1000")
	cmd.Stdout, cmd.Stderr = os.NewFile(uintptr(eventsFD()), "events"), os.Stderr
	return 1, cmd.Start()
}

func logLines(ctx context.Context, _ json.RawMessage, _ func(Event)) (any, error) {
	zerolog.Ctx(ctx).Warn().Int("step", 12).Msg("loss grows")
	fmt.Fprintln(os.Stderr, "2026-01-02 03:04:05.678: E tensorflow/core/x.cc:1] out of cheese")
	fmt.Fprintln(os.Stderr, "plain")
	return nil, nil
}
