package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/detect"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// exportDetector writes a checkpoint's detector as a SavedModel that is called as
// TensorFlow's detection models are.
func exportDetector(_ context.Context, r api.DetectExportRequest, _ emitter) (api.ExportResult, error) {
	plan, values, digest, err := loadDetector(r.DetectorSource)
	if err != nil {
		return api.ExportResult{}, err
	}
	if n := plan.Options.Classes; len(r.Classes) != 0 && len(r.Classes) != n {
		return api.ExportResult{}, usage(fmt.Errorf("detect: %d class names for a detector of %d classes", len(r.Classes), n))
	}
	st, err := network.Constants(plan.Whole(), values)
	if err != nil {
		return api.ExportResult{}, err
	}
	g := tfgraph.New()
	c := savedmodel.Content{Graph: g, Assets: map[string][]byte{}, Signatures: detectorSignatures(g.Root(), st, plan)}
	if len(r.Classes) > 0 {
		c.Assets[savedmodel.ClassesAsset] = []byte(strings.Join(r.Classes, "\n") + "\n")
	}
	c.Manifest = &savedmodel.Manifest{
		Name: r.Name, Version: r.Version, Run: r.Origin.Run, Checkpoint: r.Checkpoint, WeightsDigest: digest,
		Optimized: true, Weights: float32Weights, Signatures: slices.Sorted(maps.Keys(c.Signatures)),
		Input: plan.First.Model.Input, Classes: plan.Options.Classes, Cell: plan.Model.Cell.String(), Preprocessing: described(detectorPreparation(plan)),
		Versions: map[string]string{"nasnet": r.Origin.Version, "tensorflow": tfgraph.Version()},
	}
	dir, err := savedmodel.Write(r.Dir, r.Version, c)
	if err != nil {
		return api.ExportResult{}, err
	}
	size, err := treeSize(dir)
	return api.ExportResult{Dir: dir, Bytes: size, Signatures: c.Manifest.Signatures}, err
}

// detectorSignatures builds the detector for each way of calling it, on shared
// constants: for pictures of one size, and for encoded images.
func detectorSignatures(s *tfgraph.Scope, st *tfgraph.Store, plan *detector.Plan) map[string]savedmodel.Signature {
	pictures := tfgraph.Placeholder(s, imageNode, tfgraph.Uint8, tfgraph.Shape{-1, -1, -1, 3})
	found := detect.Detect(s, st, plan, detectorPreparation(plan).Prepare(s.Sub("prepare"), pictures))
	answers := detectionAnswers(s, found)
	encoded, same := encodedDetector(s.Sub("encoded"), st.Shared(), plan)
	type tensors = map[string]tfgraph.Tensor
	return map[string]savedmodel.Signature{
		defaultSignature: {Method: savedmodel.PredictMethod, Inputs: tensors{detectInputs: pictures}, Outputs: answers},
		bytesSignature:   {Method: savedmodel.PredictMethod, Inputs: tensors{bytesInput: encoded}, Outputs: same},
	}
}

// detectRate times a detector with random weights on one image.
func detectRate(ctx context.Context, r api.DetectRateRequest, emit emitter) (api.DetectRateResult, error) {
	begin := time.Now()
	plan, err := detector.Build(r.Detector)
	if err != nil {
		return api.DetectRateResult{}, usage(err)
	}
	proposals := plan.Options.Proposals.Count
	result := api.DetectRateResult{Proposals: proposals, MACs: plan.Costs(proposals).MACs}
	values := plan.Whole().RandomValues(1)
	if !r.Plain {
		if plan, values, err = plan.Inference(values); err != nil {
			return result, err
		}
	}
	run, done, err := rateSession(plan, values, r.Threads)
	if err != nil {
		return result, err
	}
	defer done()
	result.BuildSeconds = time.Since(begin).Seconds()
	for i := range r.Runs + 1 {
		if err := ctx.Err(); err != nil {
			return result, err
		}
		begin := time.Now()
		if result.Detections, err = run(); err != nil {
			return result, err
		}
		if took := time.Since(begin).Seconds(); i == 0 {
			result.FirstSeconds = took
		} else {
			result.Seconds = append(result.Seconds, took)
		}
		emit(progress("detect", int64(i)+1, int64(r.Runs)+1, "images"))
	}
	result.PeakMemoryBytes = peakMemory()
	return result, nil
}

// rateSession opens a session on a detector; run takes a noisy image through it
// and returns how many objects it found.
func rateSession(plan *detector.Plan, values model.Values, th api.Threads) (run func() (int, error), done func(), err error) {
	st, err := network.Constants(plan.Whole(), values)
	if err != nil {
		return nil, nil, err
	}
	g := tfgraph.New()
	in := plan.First.Model.Input
	shape := []int64{1, int64(in[0]), int64(in[1]), 3}
	images := tfgraph.Placeholder(g.Root(), imagesInput, tfgraph.Float32, tfgraph.Shape(shape))
	d := detect.Detect(g.Root(), st, plan, images)
	sess, err := tfgraph.NewSession(g, sessionOptions(th))
	if err != nil {
		return nil, nil, err
	}
	pixels := make([]float32, shape[1]*shape[2]*shape[3])
	for i := range pixels { // a pattern with edges of many sizes
		pixels[i] = float32((i*i/7)%511)/255 - 1
	}
	v, err := tfgraph.NewValue(pixels, shape...)
	if err != nil {
		return nil, nil, err
	}
	run = func() (int, error) {
		out, err := sess.Run(tfgraph.Feeds{images: v}, []tfgraph.Tensor{d.Count, d.Boxes, d.Scores, d.Classes})
		if err != nil {
			return 0, err
		}
		count, err := tfgraph.Data[int32](out[0])
		if err != nil {
			return 0, err
		}
		return int(count[0]), nil
	}
	return run, func() { sess.Close() }, nil
}
