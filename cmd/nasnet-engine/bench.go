package main

import (
	"context"
	"syscall"
	"time"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// firstStep trains one step of a child on black images, and then some more for
// the rate. The front counts the seconds from the start of the process.
func firstStep(ctx context.Context, r api.FirstStepRequest, _ emitter) (api.FirstStepResult, error) {
	begin := time.Now()
	plan, err := trainingPlan(r.Model, r.Train)
	if err != nil {
		return api.FirstStepResult{}, usage(err)
	}
	d := api.Data{Standardize: "channel", CropPad: 4, Flip: true}
	images := blankImages(plan.Model, 4*r.Train.Batch, d)
	r.Train.Steps = 1 + r.Steps
	o, err := trainOptions(plan, r.Train, images.Len(), 1, r.Threads)
	if err != nil {
		return api.FirstStepResult{}, usage(err)
	}
	o.ReportSteps = o.Steps
	t, err := train.New(o, feed(images, o.Batch, 1), tower(plan, r.Train, onGPU(nil)))
	if err != nil {
		return api.FirstStepResult{}, err
	}
	defer t.Close()
	built := time.Since(begin).Seconds()
	done, err := t.Run(ctx)
	if err != nil {
		return api.FirstStepResult{}, err
	}
	result := api.FirstStepResult{BuildSeconds: built, FirstStepSeconds: done.FirstSeconds, Params: plan.Costs().Trainable, MACs: plan.Costs().MACs, PeakMemoryBytes: peakMemory()}
	if r.Steps > 0 {
		result.ImagesPerSecond = float64(r.Steps*o.Batch) / (done.Seconds - done.FirstSeconds)
	}
	if result.Kinds, err = profile(t, r.Profile); err != nil || !r.Peak {
		return result, err
	}
	result.PeakMACs, err = matrixPeak(o.Session)
	return result, err
}

// matrixPeak times products of two large matrices, as many at once as operations
// may run, and returns the multiply-adds a second of the best of five.
func matrixPeak(o tfgraph.SessionOptions) (float64, error) {
	const n = 1536
	g := tfgraph.New()
	s := g.Root()
	products := max(1, o.InterOp)
	ops := make([]tfgraph.Operation, products)
	feeds := tfgraph.Feeds{}
	for i := range ops { // fed, or TensorFlow would compute it once and for all
		x := tfgraph.Placeholder(s, "x", tfgraph.Float32, tfgraph.Shape{n, n})
		v, err := tfgraph.NewValue(make([]float32, n*n), n, n)
		if err != nil {
			return 0, err
		}
		feeds[x] = v
		ops[i] = tfgraph.MatMul(s, x, x).Op()
	}
	sess, err := tfgraph.NewSession(g, o)
	if err != nil {
		return 0, err
	}
	defer sess.Close()
	best := 0.0
	for range 5 {
		begin := time.Now()
		if _, err := sess.Run(feeds, nil, ops...); err != nil {
			return 0, err
		}
		best = max(best, float64(products)*n*n*n/time.Since(begin).Seconds())
	}
	return best, nil
}

// profile traces n steps.
func profile(t *train.Trainer, n int64) ([]api.KindTime, error) {
	if n <= 0 {
		return nil, nil
	}
	times, err := t.Profile(n)
	if err != nil {
		return nil, err
	}
	return kindTimes(times, n), nil
}

// kindTimes are the times of n traced runs, for one.
func kindTimes(times []tfgraph.KindTime, n int64) []api.KindTime {
	var all time.Duration
	for _, k := range times {
		all += k.Time
	}
	kinds := make([]api.KindTime, len(times))
	for i, k := range times {
		kinds[i] = api.KindTime{Kind: k.Kind, Count: float64(k.Count) / float64(n), Seconds: k.Time.Seconds() / float64(n), Share: float64(k.Time) / float64(max(1, all))}
	}
	return kinds
}

// cpuTime is what all threads of this process have computed so far; 0 where it
// cannot be told.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakMemory is the largest resident size of this process so far, in bytes.
func peakMemory() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss * 1024
}
