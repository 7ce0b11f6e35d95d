package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/rs/zerolog"
)

// Handler does one command's work. It gets its logger by zerolog.Ctx(ctx). When
// ctx is cancelled (SIGTERM) it should leave a resumable state and return ctx's
// error. Errors may carry a code (Fail). emit may be called from any goroutine.
type Handler func(ctx context.Context, request json.RawMessage, emit func(Event)) (result any, err error)

// Main is the whole main function of an engine binary: it reads the request,
// runs the handler named by args[0], answers, and returns the exit code. args
// is os.Args[1:]. NASNET_LOG_LEVEL sets the level of the handler's logger.
func Main(args []string, handlers map[string]Handler) (exitCode int) {
	if len(args) != 1 || handlers[args[0]] == nil {
		names := []string{}
		for name := range handlers {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "%s is started by nasnet, with one command of: %s\n", BinaryName, strings.Join(names, " "))
		return CodeUsage
	}
	stdout, err := takeStdout()
	if err := errors.Join(err, dieByAbort()); err != nil {
		fmt.Fprintln(os.Stderr, "engine: prepare the process:", err)
		return CodeFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	w := &writer{out: stdout}
	request, err := readRequest(os.Stdin)
	if err != nil {
		return w.answer(ctx, nil, Fail(CodeUsage, err))
	}
	result, err := call(logger().WithContext(ctx), handlers[args[0]], request, w.emit)
	return w.answer(ctx, result, err)
}

// takeStdout keeps the real stdout for events and lets file descriptor 1 lead
// to stderr, so that nothing TensorFlow prints can get between the events.
func takeStdout() (*os.File, error) {
	fd, err := syscall.Dup(1)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	if err := dupOver(2, 1); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "events"), nil
}

// readRequest returns the first line, and from then on watches stdin: its end
// means that the front is gone, and so is the reason to work.
func readRequest(stdin io.Reader) (json.RawMessage, error) {
	r := bufio.NewReader(stdin)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("engine: no request on stdin: %w", err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, r)
		os.Exit(CodeFailed)
	}()
	if line = bytes.TrimSpace(line); !json.Valid(line) {
		return nil, errors.New("engine: the request is no JSON")
	}
	return line, nil
}

func logger() zerolog.Logger {
	level, err := zerolog.ParseLevel(os.Getenv("NASNET_LOG_LEVEL"))
	if err != nil || level == zerolog.NoLevel {
		level = zerolog.InfoLevel
	}
	return zerolog.New(os.Stderr).Level(level).With().Timestamp().Logger()
}

// call runs the handler and turns a panic into an error; its stack goes to stderr.
func call(ctx context.Context, h Handler, request json.RawMessage, emit func(Event)) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "panic: %v\n%s", p, debug.Stack())
			err = fmt.Errorf("engine: internal fault: %v", p)
		}
	}()
	return h(ctx, request, emit)
}

// writer writes events as lines, one at a time.
type writer struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *writer) emit(e Event) {
	line, err := json.Marshal(e)
	if err != nil {
		line, _ = json.Marshal(Note("engine: an event could not be written: %v", err))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.out.Write(append(line, '\n')); err != nil {
		os.Exit(CodeFailed) // nobody reads: the front is gone
	}
}

// answer writes the last event and returns the exit code.
func (w *writer) answer(ctx context.Context, result any, err error) int {
	var text json.RawMessage
	if err == nil {
		if text, err = json.Marshal(result); err != nil {
			err = fmt.Errorf("engine: the result cannot be written: %w", err)
		}
	}
	if err == nil {
		w.emit(Event{Kind: KindResult, Result: text})
		return 0
	}
	code := ExitCode(err)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		code = CodeInterrupted
	}
	w.emit(Event{Kind: KindError, Code: code, Message: err.Error()})
	return code
}
