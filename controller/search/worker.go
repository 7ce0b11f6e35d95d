package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/nasnet-go/nasnet/controller/search/ledger"
)

// Work evaluates trials of a source, one after another, until there are none
// (nil), the search pauses (ErrPaused) or ctx ends. The worker's name must be
// its own: the source knows by it what it has in hand.
func Work(ctx context.Context, src Source, ev Evaluator, worker string) error {
	for {
		l, err := src.Lease(ctx, worker)
		switch {
		case errors.Is(err, ErrFinished):
			return nil
		case err != nil:
			return err
		}
		if err := workOn(ctx, src, ev, worker, l); err != nil {
			return err
		}
	}
}

// workOn evaluates a leased trial and hands its result in.
func workOn(ctx context.Context, src Source, ev Evaluator, worker string, l Lease) error {
	r := Ref{l.Task.Trial, l.Task.Attempt, worker}
	evalCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := newPulse(l)
	beating := make(chan struct{})
	go func() { defer close(beating); p.beat(evalCtx, src, r, l.Term/3, cancel) }()
	report, err := attempt(evalCtx, ev, l.Task, p)
	lost := errors.Is(context.Cause(evalCtx), ErrLost)
	cancel(nil)
	<-beating
	switch {
	case lost:
		return nil // somebody else has it
	case err != nil:
		if e := src.Release(context.WithoutCancel(ctx), r); e != nil && !errors.Is(e, ErrLost) {
			err = errors.Join(err, e)
		}
		return err
	}
	if err := src.Finish(ctx, r, report); err != nil && !errors.Is(err, ErrLost) {
		return err
	}
	return nil
}

// attempt evaluates a task. An error means that nothing was learned about the
// cell: ctx ended, or the evaluator cannot work.
func attempt(ctx context.Context, ev Evaluator, t Task, p *pulse) (Report, error) {
	begin := time.Now()
	result, err := evaluate(ctx, ev, t, p.report)
	if err != nil && ctx.Err() != nil {
		return Report{}, ctx.Err()
	}
	if errors.Is(err, ErrUnavailable) {
		return Report{}, err
	}
	r := Report{Result: result, Seconds: time.Since(begin).Seconds()}
	r.Result.Metrics = finite(result.Metrics)
	r.Curve, r.Stopped = p.curve()
	if math.IsNaN(result.Reward) || math.IsInf(result.Reward, 0) {
		r.Cause, r.Log = CauseNotFinite, fmt.Sprintf("the reward is %g", result.Reward)
		r.Result.Reward = 0 // JSON has no such number
	}
	if err != nil {
		r.Cause, r.Log, r.Result = causeOf(err), wordsOf(err), Result{}
	}
	return r, nil
}

// panicked is an evaluator's panic as an error.
type panicked struct {
	value any
	stack []string
}

func (p *panicked) Error() string     { return fmt.Sprintf("the evaluator panicked: %v", p.value) }
func (p *panicked) Class() string     { return CausePanic }
func (p *panicked) LogTail() []string { return p.stack }

func evaluate(ctx context.Context, ev Evaluator, t Task, report func(int, float64) bool) (r Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, strings.Split(string(debug.Stack()), "\n")}
		}
	}()
	return ev.Evaluate(ctx, t, report)
}

func causeOf(err error) string {
	var f Failure
	if errors.As(err, &f) && f.Class() != "" {
		return f.Class()
	}
	return CauseError
}

// wordsOf is the error and the child's last lines.
func wordsOf(err error) string {
	var f Failure
	if errors.As(err, &f) {
		tail := f.LogTail()
		tail = tail[max(0, len(tail)-maxLogLines+1):]
		return lastLines(strings.Join(append([]string{err.Error()}, tail...), "\n"))
	}
	return lastLines(err.Error())
}

// pulse collects what a child reports, judges it, and keeps its lease.
type pulse struct {
	kick chan struct{} // capacity 1: there is progress to tell

	mu      sync.Mutex
	judge   judge
	points  []ledger.Point
	stopped bool
	last    Progress
}

func newPulse(l Lease) *pulse {
	return &pulse{kick: make(chan struct{}, 1), judge: judge{rungs: l.Task.Rungs}}
}

// maxCurve is how many reports of a child are recorded.
const maxCurve = 1000

// report takes a value; one that is not a number tells progress alone.
func (p *pulse) report(step int, value float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if math.IsNaN(value) || math.IsInf(value, 0) {
		p.last = Progress{Step: step, Value: p.last.Value}
	} else {
		p.last = Progress{step, value}
		if len(p.points) < maxCurve {
			p.points = append(p.points, ledger.Point(p.last))
		}
		p.stopped = p.stopped || p.judge.stop(step, value)
	}
	select {
	case p.kick <- struct{}{}:
	default:
	}
	return p.stopped
}

func (p *pulse) curve() ([]ledger.Point, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.points, p.stopped
}

func (p *pulse) progress() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// tellEvery is how often progress is told at most.
const tellEvery = 250 * time.Millisecond

// beat gives signs of life until ctx ends; if the trial is lost it cancels.
func (p *pulse) beat(ctx context.Context, src Source, r Ref, every time.Duration, cancel context.CancelCauseFunc) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	kick := p.kick
	quiet := time.NewTimer(0)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-quiet.C:
			kick = p.kick
			continue
		case <-kick:
			kick = nil // nothing more until it is quiet again
			quiet.Reset(tellEvery)
		}
		if err := src.Heartbeat(ctx, r, p.progress()); errors.Is(err, ErrLost) {
			cancel(err)
			return
		}
		timer.Reset(every)
	}
}
