package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller"
	"github.com/nasnet-go/nasnet/controller/search"
)

// nothing is a child that costs nothing.
type nothing struct{}

func (nothing) Evaluate(_ context.Context, t search.Task, _ func(int, float64) bool) (search.Result, error) {
	return search.Result{Reward: float64(t.Seed%1000) / 1e3}, nil
}

// BenchmarkOverhead is what ledger and queue cost: eight workers on loopback,
// each with a connection of its own, whose children do nothing. The policy is
// random search, whose own cost is next to nothing.
func BenchmarkOverhead(b *testing.B) {
	const trials = 3000
	for b.Loop() {
		e := open(b, search.Options{Dir: b.TempDir(), Spec: search.Spec{
			Seed: 1, Trials: trials, Space: cells.NASNetSpace(), Policy: controller.Config{Policy: controller.Random, Batch: 20},
		}})
		s := serve(b, e, Options{})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := join(s.Address()).Run(context.Background(), nothing{}); err != nil {
					b.Error(err)
				}
			})
		}
		begin := time.Now()
		st, err := e.Run(context.Background(), nil, 0, nil)
		b.ReportMetric(trials/time.Since(begin).Seconds(), "trials/s")
		if err != nil || st.Trials.Done != trials {
			b.Fatal(st.Trials, err)
		}
		if err := s.Finished(); err != nil {
			b.Error(err)
		}
		all.Wait()
		s.Close()
	}
}

// minutes is a child that takes a time like those measured on CIFAR-10
// (lognormal, median as given), and fails now and then.
type minutes struct {
	median time.Duration
	fails  float64
}

func (m minutes) Evaluate(ctx context.Context, t search.Task, _ func(int, float64) bool) (search.Result, error) {
	r := rand.New(rand.NewPCG(uint64(t.Trial), uint64(t.Attempt)))
	select {
	case <-time.After(time.Duration(float64(m.median) * (0.5 + r.ExpFloat64()))):
	case <-ctx.Done():
		return search.Result{}, ctx.Err()
	}
	if r.Float64() < m.fails {
		return search.Result{}, errors.New("the loss is not finite")
	}
	return search.Result{Reward: r.Float64()}, nil
}

// A campaign through the real queue and ledger: in its long form the paper's
// 20,000 trials on 450 workers, two in a hundred of which fail. Everything is
// counted once; memory and processor time are those of search and workers
// together.
func TestCampaign(t *testing.T) {
	trials, workers, child := 400, 40, 20*time.Millisecond
	if n, err := strconv.Atoi(os.Getenv(longVariable)); err == nil && n >= 1000 {
		trials, workers, child = n, 450, 2*time.Second
	}
	policy := controller.Paper()
	if trials < 1000 {
		policy.Units = 16
	}
	e := open(t, search.Options{Dir: t.TempDir(), MaxFailures: -1, Spec: search.Spec{
		Seed: 1, Trials: trials, Space: cells.NASNetSpace(), Policy: policy, Mode: search.Async,
	}})
	s := serve(t, e, Options{})
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			if err := join(s.Address()).Run(context.Background(), minutes{child, 0.02}); err != nil {
				t.Errorf("worker: %v", err)
			}
		})
	}
	begin, used := time.Now(), processor()
	st, err := e.Run(context.Background(), nil, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	wall := time.Since(begin)
	if err := s.Finished(); err != nil {
		t.Error(err)
	}
	all.Wait()
	s.Close()
	c := st.Trials
	if c.Done+c.Failed != trials || c.Running != 0 || c.Failed == 0 || c.Failed > trials/20 {
		t.Errorf("%+v of %d", c, trials)
	}
	t.Logf("%d trials on %d workers: %d done, %d failed; %.1f trials/s, %.2f cores, peak %d MiB", trials, workers, c.Done, c.Failed,
		float64(trials)/wall.Seconds(), (processor()-used).Seconds()/wall.Seconds(), peak(t)>>20)
}

// processor is this process's processor time so far.
func processor() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the largest resident size so far, in bytes.
func peak(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.Sys)
	}
	for line := range strings.Lines(string(text)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	return 0
}
