package search

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Run evaluates trials with so many workers of this process at once, and those
// that lease from elsewhere, until all have ended. It returns ctx's error if
// that ends first, ErrPaused if another process asked for a pause; then the
// search can be taken up again. onEvent may be nil; it is called from one
// goroutine, in order, and may call the Experiment.
func (e *Experiment) Run(ctx context.Context, ev Evaluator, workers int, onEvent func(Event)) (Status, error) {
	e.start(onEvent != nil)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var keeper, local sync.WaitGroup
	keeper.Go(func() { e.keep(inner) })
	told := make(chan struct{})
	go func() { e.events.deliver(onEvent); close(told) }()
	for i := range workers {
		local.Go(func() {
			err := Work(inner, e, ev, fmt.Sprintf("%s%d", LocalPrefix, i))
			if err != nil && inner.Err() == nil && !errors.Is(err, ErrPaused) {
				e.abort(err)
			}
		})
	}
	select {
	case <-e.over:
	case <-ctx.Done():
	}
	if e.stopped() != nil {
		cancel() // children in hand are of no use any more
	}
	local.Wait()
	cancel()
	keeper.Wait()
	e.events.end()
	<-told
	return e.outcome(ctx)
}

// start makes a run out of an open experiment, the first or a further one.
func (e *Experiment) start(events bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over, e.ticked, e.paused, e.fatal, e.fails = make(chan struct{}), e.now(), false, e.broken, 0
	e.events.begin(events)
	e.dispatch()
	if e.ended == e.planned {
		e.finish()
	}
}

// abort ends the run with an error of a worker.
func (e *Experiment) abort(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stop(err)
	e.dispatch()
}

func (e *Experiment) stopped() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fatal
}

func (e *Experiment) outcome(ctx context.Context) (Status, error) {
	status := e.Status()
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.fatal != nil:
		return status, e.fatal
	case e.ended == e.planned:
		return status, nil
	case ctx.Err() != nil:
		return status, ctx.Err()
	}
	return status, e.state()
}

// keep looks after leases and requests until ctx ends.
func (e *Experiment) keep(ctx context.Context) {
	period := min(e.o.Lease/10, 500*time.Millisecond)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.expire(period)
			e.poll()
		}
	}
}

// feed hands events to one goroutine, so that what it does with them never
// holds up the search.
type feed struct {
	mu    sync.Mutex
	list  []Event
	more  chan struct{} // capacity 1
	on    bool
	ended bool
}

func newFeed() feed { return feed{more: make(chan struct{}, 1)} }

func (f *feed) begin(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list, f.on, f.ended = nil, on, false
}

func (f *feed) add(ev Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on {
		f.list = append(f.list, ev)
		f.kick()
	}
}

func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on, f.ended = false, true
	f.kick()
}

func (f *feed) kick() {
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// deliver calls onEvent until end was called and all are delivered.
func (f *feed) deliver(onEvent func(Event)) {
	for range f.more {
		f.mu.Lock()
		list, ended := f.list, f.ended
		f.list = nil
		f.mu.Unlock()
		for _, ev := range list {
			onEvent(ev)
		}
		if ended {
			return
		}
	}
}

// emit tells an event, with where the search stands. e.mu is held.
func (e *Experiment) emit(ev Event) {
	ev.Ended, ev.Planned = e.ended, e.planned
	e.events.add(ev)
}
