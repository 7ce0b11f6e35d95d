package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

const (
	pollMemory = 50 * time.Millisecond
	exitGrace  = 10 * time.Second // from the answer to the exit: destructors must not hold up the front
	drainGrace = 2 * time.Second  // from the exit to the end of its pipes, which a grandchild may hold
)

// Process is a running engine.
type Process struct {
	cmd   *exec.Cmd
	job   Job
	log   zerolog.Logger
	stdin *os.File // kept open for as long as the engine shall live
	out   *os.File
	err   *os.File
	relay *relay

	answered chan struct{} // closed with the result or error event
	drained  chan struct{} // closed when both pipes have ended
	done     chan struct{} // closed when outcome and failure are set
	stop     chan struct{} // closed by Stop
	stopOnce sync.Once

	answer  Event // valid after answered
	outcome json.RawMessage
	failure error
}

// start launches the process in a process group of its own, so that Ctrl-C on
// the terminal reaches it only through the front, once, as SIGTERM.
func start(cmd *exec.Cmd, log zerolog.Logger, j Job, request []byte) (*Process, error) {
	var pipes pipes
	p := &Process{
		cmd: cmd, job: j, log: log, relay: newRelay(log, j.Stderr),
		answered: make(chan struct{}), drained: make(chan struct{}), done: make(chan struct{}), stop: make(chan struct{}),
	}
	var theirs [3]*os.File
	theirs[0], p.stdin = pipes.open()
	p.out, theirs[1] = pipes.open()
	p.err, theirs[2] = pipes.open()
	if pipes.err != nil {
		return nil, pipes.close()
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		pipes.err = err
		return nil, pipes.close()
	}
	for _, f := range theirs {
		_ = f.Close() // the engine has its own copies
	}
	go func() {
		// An engine that dies before it has read all of this tells more by its death.
		_, _ = p.stdin.Write(request)
	}()
	go p.read()
	return p, nil
}

// pipes opens pipes with a sticky error.
type pipes struct {
	files []*os.File
	err   error
}

func (p *pipes) open() (r, w *os.File) {
	if p.err == nil {
		r, w, p.err = os.Pipe()
	}
	if p.err == nil {
		p.files = append(p.files, r, w)
	}
	return r, w
}

func (p *pipes) close() error {
	for _, f := range p.files {
		_ = f.Close()
	}
	return p.err
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and Wait would return at once.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop asks the process to end, like cancelling the context it was started with.
func (p *Process) Stop() { p.stopOnce.Do(func() { close(p.stop) }) }

// Kill ends it at once.
func (p *Process) Kill() {
	select {
	case <-p.done: // its id may belong to somebody else by now
	default:
		p.signal(syscall.SIGKILL)
	}
}

// Wait returns the engine's answer, as described at Launcher.Run. It may be
// called more than once.
func (p *Process) Wait() (json.RawMessage, error) {
	<-p.done
	return p.outcome, p.failure
}

// signal reaches the whole group: what the engine may have started goes with it.
func (p *Process) signal(s syscall.Signal) { _ = syscall.Kill(-p.PID(), s) }

// read consumes both pipes until they end.
func (p *Process) read() {
	defer close(p.drained)
	var both sync.WaitGroup
	both.Go(func() { p.relay.copy(p.err) })
	both.Go(func() { p.readEvents() })
	both.Wait()
}

// readEvents passes events on until the answer; a line that is no event is
// something a library printed, and goes where stderr goes.
func (p *Process) readEvents() {
	answered := false
	eachLine(p.out, func(line []byte) {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil || e.Kind == "" {
			p.relay.line(line)
			return
		}
		switch {
		case answered:
			p.log.Warn().Str("event", e.Kind).Msg("engine: event after the answer ignored")
		case e.Kind == KindResult || e.Kind == KindError:
			answered = true
			p.answer = e
			close(p.answered)
		default:
			p.job.OnEvent(e)
		}
	})
}

// supervise ends the process when it must end and then records the outcome.
func (p *Process) supervise(ctx context.Context) {
	exited := make(chan error, 1)
	go func() { exited <- p.cmd.Wait() }()
	death := p.guard(ctx, exited)
	p.signal(syscall.SIGKILL) // nothing of its group outlives it
	select {
	case <-p.drained:
	case <-time.After(drainGrace):
		deadline := time.Now()
		_ = errors.Join(p.out.SetReadDeadline(deadline), p.err.SetReadDeadline(deadline))
		<-p.drained
	}
	_ = errors.Join(p.stdin.Close(), p.out.Close(), p.err.Close())
	p.outcome, p.failure = p.conclude(death)
	close(p.done)
}

// guard returns when the process has exited, with the death a limit of ours
// caused, if one did.
func (p *Process) guard(ctx context.Context, exited <-chan error) (death *DiedError) {
	var timeout, kill <-chan time.Time
	if p.job.Timeout > 0 {
		timeout = time.After(p.job.Timeout)
	}
	memory := time.NewTicker(pollMemory)
	defer memory.Stop()
	cancelled, stopped, answered := ctx.Done(), p.stop, p.answered
	terminate := func() {
		cancelled, stopped, timeout = nil, nil, nil
		p.signal(syscall.SIGTERM)
		kill = time.After(p.job.Grace)
	}
	for {
		select {
		case <-exited:
			return death
		case <-cancelled:
			death = p.stoppedBy(ctx.Err())
			terminate()
		case <-stopped:
			death = p.stoppedBy(context.Canceled)
			terminate()
		case <-timeout:
			death = &DiedError{Command: p.job.Command, Cause: CauseTimeout, Limit: p.job.Timeout.String()}
			terminate()
		case <-answered:
			answered, kill = nil, time.After(exitGrace)
		case <-kill:
			p.signal(syscall.SIGKILL)
		case <-memory.C:
			if p.overLimit() {
				death = &DiedError{Command: p.job.Command, Cause: CauseMemory, Limit: fmt.Sprintf("%.2f GiB", float64(p.job.MemoryLimit)/(1<<30))}
				p.signal(syscall.SIGKILL)
			}
		}
	}
}

func (p *Process) stoppedBy(cause error) *DiedError {
	return &DiedError{Command: p.job.Command, Cause: CauseSignal, Signal: syscall.SIGKILL, cancelled: cause}
}

func (p *Process) overLimit() bool {
	if p.job.MemoryLimit <= 0 {
		return false
	}
	resident, err := residentBytes(p.PID())
	return err == nil && resident > p.job.MemoryLimit // an error: it has just exited
}

// conclude weighs the answer against the death. An answer counts even if the
// process then died badly: the work was done. Only a limit of ours overrules
// the error that the engine answered when it was told to stop.
func (p *Process) conclude(death *DiedError) (json.RawMessage, error) {
	state := p.cmd.ProcessState
	select {
	case <-p.answered:
		if p.answer.Kind == KindResult {
			if !state.Success() {
				p.log.Warn().Str("command", p.job.Command).Stringer("state", state).Msg("engine: died after its answer")
			}
			return p.answer.Result, nil
		}
		if death == nil || death.cancelled != nil {
			return nil, &EngineError{Command: p.job.Command, Code: p.answer.Code, Message: p.answer.Message}
		}
	default:
	}
	lines, fatal := p.relay.last()
	if how := died(p.job.Command, state, fatal); death == nil {
		death = how
	} else if death.cancelled != nil {
		how.cancelled = death.cancelled
		death = how
	}
	death.LastLines = lines
	return nil, death
}
