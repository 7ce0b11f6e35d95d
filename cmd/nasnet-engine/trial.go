package main

import (
	"context"
	"slices"
	"time"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/train"
)

// trial trains a child and measures it on the held-out images. It keeps no
// files: a child that is killed is trained again from the start.
func trial(ctx context.Context, r api.TrialRequest, emit emitter) (api.TrialResult, error) {
	plan, err := trainingPlan(r.Model, r.Train)
	if err != nil {
		return api.TrialResult{}, usage(err)
	}
	images, heldOut, err := trainingImages(r.Data, r.Model)
	if err != nil {
		return api.TrialResult{}, err
	}
	o, err := trainOptions(plan, r.Train, images.Len(), r.Seed, r.Threads)
	if err == nil {
		err = images.fits(plan)
	}
	if err != nil {
		return api.TrialResult{}, usage(err)
	}
	o.OnProgress = report("trial", emit)
	if r.Evaluations > 0 {
		o.Evaluation = looks(r, plan, heldOut, o.Steps, emit)
	}
	t, err := train.New(o, feed(images, o.Batch, r.Seed), tower(plan, r.Train, onGPU(nil)))
	if err != nil {
		return api.TrialResult{}, err
	}
	defer t.Close()
	done, err := t.Run(ctx)
	if err != nil {
		return api.TrialResult{}, interrupted(err)
	}
	out := api.TrialResult{
		Loss: done.Loss, Steps: done.Steps, Seconds: done.Seconds, Params: plan.Costs().Trainable,
		ImagesPerSecond: float64(done.Steps*o.Batch) / done.Seconds,
	}
	err = measureTrial(ctx, t, r, plan, heldOut, &out)
	return out, err
}

// measureTrial measures what a trained child was asked for.
func measureTrial(ctx context.Context, t *train.Trainer, r api.TrialRequest, plan *model.Plan, heldOut examples, out *api.TrialResult) error {
	evaluation := func(scope string, im examples, batch int64) evaluation {
		return newEvaluation(t.Graph.Root().Sub("%s", scope), t.Store.Shared(), plan, im, batch)
	}
	held, err := measure(ctx, t.Session, evaluation("held_out", heldOut, r.EvalBatch), nil)
	if err != nil {
		return err
	}
	out.Accuracy = held.Top1
	if r.TestImages > 0 {
		im, err := testImages(r.Data, r.Model, r.TestImages)
		if err != nil {
			return err
		}
		tested, err := measure(ctx, t.Session, evaluation("test", im, r.EvalBatch), nil)
		if err != nil {
			return err
		}
		out.TestAccuracy = tested.Top1
	}
	if r.Latency {
		out.LatencyMillis, err = latency(ctx, t, evaluation("latency", heldOut, 1))
	}
	return err
}

// looks tells the held-out accuracy while a child trains, at equal distances
// and not at its end.
func looks(r api.TrialRequest, plan *model.Plan, heldOut examples, steps int64, emit emitter) train.Evaluation {
	var e *evaluation
	return train.Evaluation{
		Every: max(1, steps/int64(r.Evaluations+1)),
		Run: func(ctx context.Context, t *train.Trainer) (map[string]float64, error) {
			if e == nil {
				made := newEvaluation(t.Graph.Root().Sub("looks"), t.Store.Shared(), plan, heldOut, r.EvalBatch)
				e = &made
			}
			m, err := measure(ctx, t.Session, *e, func([]float32) {})
			if err == nil {
				emit(engine.Progress("trial", 0, 0, "", engine.Values{api.TrialLook: m.Top1}))
			}
			return nil, err
		},
	}
}

// latency is the median time of single images, in milliseconds, behind the first
// ones, which pay for preparations.
func latency(ctx context.Context, t *train.Trainer, e evaluation) (float64, error) {
	const warm, timed = 10, 50
	e.n = min(e.n, warm+timed)
	var times []time.Duration
	last := time.Now()
	_, err := measure(ctx, t.Session, e, func([]float32) {
		now := time.Now()
		times, last = append(times, now.Sub(last)), now
	})
	if err != nil || len(times) == 0 {
		return 0, err
	}
	times = times[min(warm, len(times)-1):]
	slices.Sort(times)
	return times[len(times)/2].Seconds() * 1000, nil
}
