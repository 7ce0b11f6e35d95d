package queue

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/nasnet-go/nasnet/controller/search"
)

// ErrSilent says that a search has not been heard of for too long.
var ErrSilent = errors.New("the search does not answer")

// Worker evaluates trials of a search elsewhere. It may join and leave at any
// time.
type Worker struct {
	URL    string // of the search's NATS server, such as nats://host:4222
	Token  string
	CAFile string // certificates to trust instead of the system's
	Search string // name of the search; empty: the first that answers
	Slots  int    // trials at once; 0: 1
	// Patience is how long the search may be silent, while it restarts say,
	// before the worker gives up; 0: 10 min.
	Patience time.Duration
	// Prepare makes the evaluator of Run, if that is given none, from what the
	// search tells all its workers (Options.Setup).
	Prepare func(setup []byte) (search.Evaluator, error)
	Log     zerolog.Logger
}

// Run evaluates trials until the search is finished (nil), pauses
// (search.ErrPaused), is silent for too long (ErrSilent), or ctx ends: then the
// trials in hand go back.
func (w Worker) Run(ctx context.Context, ev search.Evaluator) error {
	if w.Patience == 0 {
		w.Patience = 10 * time.Minute
	}
	nc, err := connect(w.URL, w.Token, w.CAFile, w.Log)
	if err != nil {
		return fmt.Errorf("queue: connect to %s: %w", w.URL, err)
	}
	defer nc.Close()
	c := &client{nc: nc, url: nc.Opts.Url, run: w.Search, patience: w.Patience}
	setup, err := c.find(ctx)
	if err == nil && ev == nil {
		ev, err = w.Prepare(setup)
	}
	if err != nil {
		return err
	}
	over, err := nc.Subscribe(subject(c.run, overVerb), func(*nats.Msg) { c.over.Store(true) })
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	defer func() { _ = over.Unsubscribe() }()
	w.Log.Info().Str("search", c.run).Int("slots", max(1, w.Slots)).Msg("joined")
	return w.work(ctx, c, ev)
}

// work runs the slots; the first that fails ends all.
func (w Worker) work(ctx context.Context, c *client, ev search.Evaluator) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	name := workerName()
	var slots sync.WaitGroup
	for i := range max(1, w.Slots) {
		slots.Go(func() {
			if err := search.Work(ctx, c.slot(), ev, fmt.Sprintf("%s/%d", name, i)); err != nil {
				cancel(err)
			}
		})
	}
	slots.Wait()
	return context.Cause(ctx)
}

// workerName is one that no other worker has.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%s/%d-%s", host, os.Getpid(), hex.EncodeToString(b[:]))
}

// client is a search far away, as a search.Source once it is a slot.
type client struct {
	nc       *nats.Conn
	url      string
	run      string
	patience time.Duration
	over     atomic.Bool // the search told that it is finished
}

// find looks for the search, and returns its setup.
func (c *client) find(ctx context.Context) ([]byte, error) {
	var last hello
	err := c.insist(ctx, func(ctx context.Context) error {
		sub, err := c.nc.SubscribeSync(nats.NewInbox())
		if err != nil {
			return err
		}
		defer func() { _ = sub.Unsubscribe() }()
		if err := c.nc.PublishRequest(helloSubject, sub.Subject, nil); err != nil {
			return err
		}
		for { // of all searches on this queue
			m, err := sub.NextMsgWithContext(ctx)
			if err != nil {
				return err
			}
			if len(m.Data) == 0 { // NATS itself: nobody listens
				return nats.ErrNoResponders
			}
			h, err := decode[hello](m.Data)
			if err == nil && (c.run == "" || h.Run == c.run) {
				last = h
				return nil
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("queue: look for search %s: %w", c.run, err)
	}
	if last.Protocol != protocol {
		return nil, fmt.Errorf("queue: search %s speaks protocol %d, this worker %d: use the same version of the program", last.Run, last.Protocol, protocol)
	}
	c.run = last.Run
	return last.Setup, nil
}

// Times of asking.
const (
	leaseWait  = 20 * time.Second // that a lease request waits at the search
	answerTime = 5 * time.Second  // for everything else
	// releaseTime bounds how long a worker that leaves looks for the search; the
	// lease runs out by itself where it is gone.
	releaseTime = 2 * time.Second
	pauseFirst  = 50 * time.Millisecond
	pauseMost   = 2 * time.Second
	grace       = 10 * time.Second // for a result, once the worker is told to end
)

// insist calls try until it succeeds, ctx ends, or patience does.
func (c *client) insist(ctx context.Context, try func(ctx context.Context) error) error {
	deadline := time.Now().Add(c.patience)
	for pause := pauseFirst; ; pause = min(2*pause, pauseMost) {
		tryCtx, cancel := context.WithTimeout(ctx, leaseWait+answerTime)
		err := try(tryCtx)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case c.nc.IsClosed(): // for good: a wrong token
			return fmt.Errorf("queue: refused by %s: %w", c.url, errors.Join(c.nc.LastError(), err))
		case time.Now().After(deadline):
			return fmt.Errorf("queue: for %v: %w (%v)", c.patience, ErrSilent, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// ask sends one request and waits for its answer.
func (c *client) ask(ctx context.Context, verb string, r request, wait time.Duration) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	m, err := c.nc.RequestWithContext(ctx, subject(c.run, verb), encode(r))
	if err != nil {
		return reply{}, err
	}
	return decode[reply](m.Data)
}

// slot is the source of one worker loop.
type slot struct {
	*client
	seq uint64
}

func (c *client) slot() *slot { return &slot{client: c} }

var _ search.Source = (*slot)(nil)

// Lease implements search.Source.
func (s *slot) Lease(ctx context.Context, worker string) (search.Lease, error) {
	for {
		var answer reply
		err := s.insist(ctx, func(ctx context.Context) error {
			if s.over.Load() {
				answer = replyOf(search.Lease{}, search.ErrFinished)
				return nil
			}
			s.seq++
			var err error
			answer, err = s.ask(ctx, leaseVerb, request{Worker: worker, Seq: s.seq, WaitMS: leaseWait.Milliseconds()}, leaseWait+answerTime)
			return err
		})
		if err != nil {
			// The answer may be on its way: the trial in it must not wait until
			// its lease runs out.
			return search.Lease{}, errors.Join(err, s.Release(context.WithoutCancel(ctx), search.Ref{Trial: search.AllTrials, Worker: worker}))
		}
		if err := answer.err(); !errors.Is(err, errNone) {
			return answer.Lease, err
		}
	}
}

// Heartbeat implements search.Source. It asks once: the next one follows soon.
func (s *slot) Heartbeat(ctx context.Context, r search.Ref, p search.Progress) error {
	answer, err := s.ask(ctx, beatVerb, request{Worker: r.Worker, Ref: r, Progress: p}, answerTime)
	if err != nil {
		return err
	}
	return answer.err()
}

// Finish implements search.Source. The result is worth a while of trying, also
// for a worker that is told to end.
func (s *slot) Finish(ctx context.Context, r search.Ref, report search.Report) error {
	lingering, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	return s.settle(lingering, finishVerb, request{Worker: r.Worker, Ref: r, Report: report})
}

// Release implements search.Source. If it fails, the lease runs out.
func (s *slot) Release(ctx context.Context, r search.Ref) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	err := s.settle(ctx, releaseVerb, request{Worker: r.Worker, Ref: r})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (s *slot) settle(ctx context.Context, verb string, r request) error {
	var answer reply
	err := s.insist(ctx, func(ctx context.Context) (err error) {
		answer, err = s.ask(ctx, verb, r, answerTime)
		return err
	})
	if err != nil {
		return err
	}
	return answer.err()
}
