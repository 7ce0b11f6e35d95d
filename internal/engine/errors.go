package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Sentinels for errors.Is.
var (
	ErrInterrupted = errors.New("interrupted, can be resumed") // the engine stopped on request, its state is on disk
	ErrNoEngine    = errors.New("the engine binary was not found")
)

// EngineError is a failure that the engine itself reported.
type EngineError struct {
	Command string
	Code    int    // CodeFailed, CodeUsage, CodeInUse, CodeInterrupted
	Message string // complete sentence for the user
}

func (e *EngineError) Error() string { return e.Message }

// ExitCode is what the front should exit with.
func (e *EngineError) ExitCode() int { return e.Code }

// Is makes an interrupted engine both ErrInterrupted and context.Canceled.
func (e *EngineError) Is(target error) bool {
	return e.Code == CodeInterrupted && (target == ErrInterrupted || target == context.Canceled)
}

// Cause is why an engine process ended without an answer.
type Cause string

// The causes.
const (
	CauseSignal  Cause = "signal"  // it, or somebody else, killed it: SIGABRT is TensorFlow giving up
	CauseMemory  Cause = "memory"  // it grew over Job.MemoryLimit and was killed
	CauseTimeout Cause = "timeout" // it took longer than Job.Timeout and was stopped
	CauseExit    Cause = "exit"    // it exited, without a result or an error
)

// DiedError says how an engine process died, and its last words.
type DiedError struct {
	Command   string
	Cause     Cause
	Signal    syscall.Signal // with CauseSignal
	Code      int            // exit status with CauseExit
	Limit     string         // what was exceeded, with CauseMemory and CauseTimeout: "2.0 GiB", "1m0s"
	LastLines []string       // of stderr, at most 100
	fatal     string         // the first line of stderr that spoke of the death
	cancelled error          // the caller's context error, if that made us kill it
}

func (e *DiedError) Error() string {
	text := fmt.Sprintf("engine: %s ", e.Command)
	switch e.Cause {
	case CauseMemory:
		text += "used more than " + e.Limit + " of memory and was killed"
	case CauseTimeout:
		text += "took longer than " + e.Limit + " and was stopped"
	case CauseSignal:
		text += "died of " + signalName(e.Signal)
	default:
		text += fmt.Sprintf("exited with status %d without an answer", e.Code)
	}
	if e.cancelled != nil && e.Signal == syscall.SIGKILL {
		text += " after it did not stop when asked to"
	}
	if reason := e.Reason(); reason != "" && e.Cause != CauseMemory && e.Cause != CauseTimeout {
		text += ": " + reason
	}
	return text
}

func (e *DiedError) Unwrap() error { return e.cancelled }

// ExitCode is what the front should exit with.
func (e *DiedError) ExitCode() int {
	if e.cancelled != nil {
		return CodeInterrupted
	}
	return CodeFailed
}

// fatalMarks are in the lines that say why a process died: TensorFlow's CHECK,
// Go's runtime, C++'s terminate, the loader, the allocator.
var fatalMarks = []string{
	"Check failed", ": F ", "F0000 ", "fatal error:", "panic:", "[signal SIG", "SIGSEGV: ", "SIGBUS: ", "SIGFPE: ", "SIGILL: ", "SIGABRT: ",
	"error while loading shared libraries", "terminate called", "bad_alloc",
}

func isFatal(line string) bool {
	return slices.ContainsFunc(fatalMarks, func(mark string) bool { return strings.Contains(line, mark) })
}

// Reason is the line of stderr that says most about the death: the first
// fatal one, or the last that is not empty.
func (e *DiedError) Reason() string {
	if e.fatal != "" {
		return e.fatal
	}
	for _, line := range slices.Backward(e.LastLines) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

var signalNames = map[syscall.Signal]string{
	syscall.SIGABRT: "SIGABRT (it gave itself up)", syscall.SIGSEGV: "SIGSEGV", syscall.SIGBUS: "SIGBUS", syscall.SIGILL: "SIGILL (an instruction this CPU lacks)",
	syscall.SIGFPE: "SIGFPE", syscall.SIGKILL: "SIGKILL (killed from outside, often for lack of memory)", syscall.SIGTERM: "SIGTERM", syscall.SIGINT: "SIGINT",
}

func signalName(s syscall.Signal) string {
	if name := signalNames[s]; name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}

// codedError is an error with an exit code; Fail makes one.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }
func (e *codedError) ExitCode() int { return e.code }

// Fail marks err with the code a handler wants reported (CodeUsage, CodeInUse).
func Fail(code int, err error) error { return &codedError{code, err} }

// ExitCode is the code of any error of this package, or of one that carries an
// ExitCode method; 0 for nil, CodeInterrupted for a cancelled context, else CodeFailed.
func ExitCode(err error) int {
	var coded interface{ ExitCode() int }
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.ExitCode()
	case errors.Is(err, context.Canceled):
		return CodeInterrupted
	}
	return CodeFailed
}

// died translates how the process ended, when no limit of ours ended it. A
// crash in C code that Go's runtime caught (exit status 2 and its report) counts
// as the signal it was.
func died(command string, state *os.ProcessState, fatal string) *DiedError {
	e := &DiedError{Command: command, Cause: CauseExit, Code: state.ExitCode(), fatal: fatal}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Cause, e.Signal = CauseSignal, status.Signal()
		return e
	}
	for signal, name := range signalNames {
		name, _, _ = strings.Cut(name, " ")
		if e.Code == 2 && (strings.HasPrefix(fatal, name+": ") || strings.Contains(fatal, "[signal "+name)) {
			e.Cause, e.Signal = CauseSignal, signal
		}
	}
	return e
}
