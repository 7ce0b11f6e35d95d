package main

import (
	"context"
	"time"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// inputRate times the training pipeline over record files, behind a first batch
// that pays for its start.
func inputRate(ctx context.Context, r api.InputRateRequest, emit emitter) (api.InputRateResult, error) {
	g := tfgraph.New()
	records, err := data.OpenRecords(data.Records{Files: r.Files, LabelOffset: 1, JPEG: true})
	if err != nil {
		return api.InputRateResult{}, err
	}
	o := data.RecordOptions{Batch: r.Batch, Shuffle: true, Repeat: true, Seed: 1, Threads: r.Threads}
	if o.Train = (&data.Distortion{Height: r.Size, Width: r.Size, Flip: true, Colour: true}); r.Decode {
		o.Train = nil
	}
	in := data.NewRecordInput(g.Root(), "input", records, o)
	sess, err := tfgraph.NewSession(g, tfgraph.SessionOptions{})
	if err != nil {
		return api.InputRateResult{}, err
	}
	defer sess.Close()
	if err := in.Start(sess, 0); err != nil {
		return api.InputRateResult{}, err
	}
	done, early := int64(0), int64(0)
	var begin time.Time
	for done <= r.Images { // the first batch is not timed
		if ctx.Err() != nil {
			return api.InputRateResult{}, ctx.Err()
		}
		if _, err := sess.Run(nil, []tfgraph.Tensor{in.Labels}, in.Images.Op()); err != nil {
			return api.InputRateResult{}, err
		}
		if begin.IsZero() {
			begin = time.Now()
		}
		if done += r.Batch; early == 0 && done >= r.Images/10 {
			early = train.Resident()
		}
		emit(engine.Progress("input", min(done, r.Images), r.Images, "images", nil))
	}
	return api.InputRateResult{
		ImagesPerSecond: float64(done-r.Batch) / time.Since(begin).Seconds(), GrowthBytes: train.Resident() - early, PeakMemoryBytes: peakMemory(),
	}, nil
}
