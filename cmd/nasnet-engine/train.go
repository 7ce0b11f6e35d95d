package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// report forwards a training's progress.
func report(stage string, emit emitter) func(train.Progress) {
	return func(p train.Progress) {
		emit(engine.Progress(stage, p.Step, p.Steps, "steps", engine.Values{
			"loss": p.Loss, "accuracy": p.Accuracy, "learning_rate": p.LearningRate, "epoch": p.Epoch,
			"gradient_norm": p.GradientNorm, "images_per_second": p.ImagesPerSecond,
			"drop_path_keep_last": p.KeepLast, "resident_bytes": float64(p.ResidentBytes),
		}))
	}
}

// usage marks faults of a request.
func usage(err error) error { return engine.Fail(engine.CodeUsage, err) }

// feed makes a trainer's source of examples.
func feed(e examples, batch, seed int64) func(*tfgraph.Scope) train.Source {
	return func(s *tfgraph.Scope) train.Source { return e.training(s, batch, seed) }
}

// interrupted marks the loop's interruption for the protocol.
func interrupted(err error) error {
	if errors.Is(err, train.ErrInterrupted) {
		return engine.Fail(engine.CodeInterrupted, err)
	}
	return err
}

// trainRun trains a network in a run directory, from its newest checkpoint.
func trainRun(ctx context.Context, r api.TrainRequest, emit emitter) (api.TrainResult, error) {
	plan, err := trainingPlan(r.Model, r.Train)
	if err != nil {
		return api.TrainResult{}, usage(err)
	}
	if r.Dir == "" {
		return api.TrainResult{}, usage(fmt.Errorf("train: no run directory given"))
	}
	images, heldOut, err := trainingImages(r.Data, r.Model)
	if err != nil {
		return api.TrainResult{}, err
	}
	o, err := trainOptions(plan, r.Train, images.Len(), r.Seed, r.Threads)
	if err == nil {
		o, err = withExtras(o, r, plan, heldOut)
	}
	if err == nil {
		o, err = overCluster(o, r.Cluster)
	}
	if err == nil {
		err = images.fits(plan)
	}
	if err != nil {
		return api.TrainResult{}, usage(err)
	}
	o.Dir, o.Digest = r.Dir, r.Digest
	o.OnProgress = report("train", emit)
	o.OnNote = func(text string) { emit(engine.Note("%s", text)) }
	t, err := train.New(o, feed(images, o.Batch/o.Accumulate, r.Seed), tower(plan, r.Train, onGPU(r.Cluster)))
	if err != nil {
		return api.TrainResult{}, err
	}
	defer t.Close()
	done, err := t.Run(ctx)
	if err != nil {
		return api.TrainResult{}, interrupted(err)
	}
	return api.TrainResult{
		Steps: done.Steps, Epochs: done.Epochs, Loss: done.Loss, Checkpoint: done.Checkpoint,
		Best: done.Best, BestTop1: done.BestMetric, Ended: done.Ended,
		ResumedAt: done.ResumedAt, Seconds: done.Seconds, Params: plan.Costs().Trainable, ImagesPerSecond: throughput(done, o.Batch),
	}, nil
}

// throughput leaves out the first step, which holds the graph's optimization.
func throughput(r train.Result, batch int64) float64 {
	steps, seconds := r.Steps-r.ResumedAt-1, r.Seconds-r.FirstSeconds
	if steps <= 0 || seconds <= 0 {
		return 0
	}
	return float64(steps*batch) / seconds
}

// blankImages are as many black pictures as a batch, for timing alone.
func blankImages(m model.Model, n int64, d api.Data) examples {
	size := int64(m.Input[0]) * int64(m.Input[1]) * int64(m.Input[2])
	return memoryExamples{d: d, Images: data.Images{
		Pixels: make([]uint8, n*size), Labels: make([]int64, n),
		Size: [3]int64{int64(m.Input[0]), int64(m.Input[1]), int64(m.Input[2])},
	}}
}
