package main

import (
	"context"
	"syscall"
	"time"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/train"
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
	images := blankImages(plan.Model, 4*r.Train.Batch)
	r.Train.Steps = 1 + r.Steps
	o, err := trainOptions(plan, r.Train, images.Len(), 1, r.Threads)
	if err != nil {
		return api.FirstStepResult{}, usage(err)
	}
	o.ReportSteps = o.Steps
	t, err := train.New(o, trainingSource(images, d, o.Batch, 1), tower(plan, r.Train, onGPU(nil)))
	if err != nil {
		return api.FirstStepResult{}, err
	}
	defer t.Close()
	built := time.Since(begin).Seconds()
	done, err := t.Run(ctx)
	if err != nil {
		return api.FirstStepResult{}, err
	}
	result := api.FirstStepResult{BuildSeconds: built, FirstStepSeconds: done.FirstSeconds, Params: plan.Costs().Trainable, PeakMemoryBytes: peakMemory()}
	if r.Steps > 0 {
		result.ImagesPerSecond = float64(r.Steps*o.Batch) / (done.Seconds - done.FirstSeconds)
	}
	result.Kinds, err = profile(t, r.Profile)
	return result, err
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
	var all time.Duration
	for _, k := range times {
		all += k.Time
	}
	kinds := make([]api.KindTime, len(times))
	for i, k := range times {
		kinds[i] = api.KindTime{Kind: k.Kind, Count: float64(k.Count) / float64(n), Seconds: k.Time.Seconds() / float64(n), Share: float64(k.Time) / float64(max(1, all))}
	}
	return kinds, nil
}

// peakMemory is the largest resident size of this process so far, in bytes.
func peakMemory() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss * 1024
}
