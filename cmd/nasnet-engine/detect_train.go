package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/bundle"
	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/detect"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// detectorHeads begin the names of what a classifier has not.
var detectorHeads = []string{"Conv/", "FirstStageBoxPredictor/", "SecondStageBoxPredictor/"}

// bestMetric says which checkpoint of a detector is the best.
const bestMetric = "AP50"

// trainDetector trains a detector in a run directory, from its newest checkpoint.
func trainDetector(ctx context.Context, r api.DetectTrainRequest, emit emitter) (api.DetectTrainResult, error) {
	plan, err := detector.Build(r.Detector)
	if err != nil {
		return api.DetectTrainResult{}, usage(err)
	}
	if r.Dir == "" {
		return api.DetectTrainResult{}, usage(fmt.Errorf("detect: no run directory given"))
	}
	records, err := data.OpenRecords(data.Records{Files: r.Set.Train, Exclude: r.Set.Exclude})
	if err != nil {
		return api.DetectTrainResult{}, err
	}
	o, err := detectorOptions(plan, r, records.Len())
	if err == nil {
		o, err = overCluster(o, r.Cluster)
	}
	if err != nil {
		return api.DetectTrainResult{}, usage(err)
	}
	gpu := onGPU(r.Cluster)
	if err := addUpCropsInOrder(gpu); err != nil {
		return api.DetectTrainResult{}, err
	}
	o.Dir, o.Digest = r.Dir, r.Digest
	o.OnProgress = reportDetector(emit)
	o.OnNote = func(text string) { emit(engine.Note("%s", text)) }
	t, err := train.New(o, boxSource(plan, r, o.Batch/o.Accumulate), detectorTower(plan, gpu))
	if err != nil {
		return api.DetectTrainResult{}, err
	}
	defer t.Close()
	done, err := t.Run(ctx)
	if err != nil {
		return api.DetectTrainResult{}, interrupted(err)
	}
	return api.DetectTrainResult{BestAP50: done.BestMetric, TrainResult: api.TrainResult{
		Steps: done.Steps, Epochs: done.Epochs, Loss: done.Loss, Checkpoint: done.Checkpoint, Best: done.Best, Ended: done.Ended,
		ResumedAt: done.ResumedAt, Seconds: done.Seconds, Params: plan.Costs(0).Trainable, ImagesPerSecond: throughput(done, o.Batch),
	}}, nil
}

// addUpCropsInOrder makes the gradient of features that several crops share the same
// on every run. TensorFlow's CPU kernel adds the crops up in threads that do not
// wait for each other (crop_and_resize_op.cc), unless the process asks for
// determinism before the first operation runs; GPUs have no such kernel.
func addUpCropsInOrder(gpu bool) error {
	if gpu {
		return nil
	}
	return os.Setenv("TF_DETERMINISTIC_OPS", "1")
}

// detectorOptions translates the recipe for a set of n images.
func detectorOptions(plan *detector.Plan, r api.DetectTrainRequest, n int64) (train.Options, error) {
	o, err := trainOptions(plan.First, r.Train, n, r.Seed, r.Threads)
	if err != nil {
		return o, err
	}
	o.ClipEach = plan.Options.ClipEach
	if plan.Options.DropSteps > 0 {
		o.DropPath.Steps = plan.Options.DropSteps
	}
	if o, err = wholeTraining(o, r.Train.Run, detectorHeads, train.Evaluation{Run: averagePrecision(plan, r.Set), Metric: bestMetric}); err != nil || o.Initial.Prefix == "" {
		return o, err
	}
	return o, classifierWeights(&o.Initial)
}

// classifierWeights lets a detector begin with a classifier's weights where they
// are no detector's: each stage takes those of its layers, by their moving
// averages where the checkpoint has them, and the heads are drawn anew (the
// release's restore_from_classification_checkpoint_fn).
func classifierWeights(in *train.Initial) error {
	b, err := bundle.Open(in.Prefix)
	if err != nil {
		return err
	}
	for _, e := range b.Entries() {
		if strings.HasPrefix(e.Name, detector.FirstScope+"/") {
			return nil
		}
	}
	in.Anew = detectorHeads
	in.Key = func(name string) string {
		name, _ = strings.CutPrefix(name, detector.FirstScope+"/")
		name, _ = strings.CutPrefix(name, detector.SecondScope+"/")
		return name
	}
	return nil
}

// reportDetector forwards the progress, with the parts of the loss.
func reportDetector(emit emitter) func(train.Progress) {
	return func(p train.Progress) {
		v := engine.Values{
			"loss": p.Loss, "learning_rate": p.LearningRate, "epoch": p.Epoch, "gradient_norm": p.GradientNorm,
			"images_per_second": p.ImagesPerSecond, "drop_path_keep_last": p.KeepLast, "resident_bytes": float64(p.ResidentBytes),
		}
		for name, x := range p.Parts {
			v[name] = x
		}
		emit(engine.Progress("train", p.Step, p.Steps, "steps", v))
	}
}

// boxSource feeds the training images and their boxes for ever.
func boxSource(plan *detector.Plan, r api.DetectTrainRequest, batch int64) func(s *tfgraph.Scope) train.Source {
	return func(s *tfgraph.Scope) train.Source {
		in, o := plan.First.Model.Input, plan.Options
		m, err := data.NewBoxInput(s, "train_input", r.Set.Train, data.BoxOptions{
			Height: int64(in[0]), Width: int64(in[1]), Classes: int64(o.Classes), Objects: int64(o.Objects),
			Batch: batch, Flip: r.Set.Flip, Seed: r.Seed, Exclude: r.Set.Exclude,
		})
		if err != nil {
			s.Fail("%v", err)
			return train.Source{}
		}
		return train.Source{Images: m.Images, Labels: m.Boxes, Start: m.Start}
	}
}

// detectorTower builds the planned detector in training; plain is
// network.Options'.
func detectorTower(plan *detector.Plan, plain bool) train.Build {
	return func(s *tfgraph.Scope, st *tfgraph.Store, in train.Inputs) train.Tower {
		loss := detect.Train(s, st, plan, in.Images, detect.ObjectsOf(s.Sub("objects"), plan, in.Labels), network.Options{Keep: in.Keep, Noise: in.Noise, Plain: plain})
		return train.Tower{Loss: loss.Total, Parts: loss.Parts, Updates: loss.Updates, Decayed: loss.Decayed}
	}
}

// averagePrecision measures the detector on the validation images, by its moving
// averages where it has them. Its tower is added at the first call.
func averagePrecision(plan *detector.Plan, set api.DetectionSet) func(context.Context, *train.Trainer) (map[string]float64, error) {
	var sp spotter
	var truth *coco.Dataset
	return func(ctx context.Context, t *train.Trainer) (map[string]float64, error) {
		if truth == nil {
			var err error
			if truth, err = coco.OpenAnnotations(set.Annotations, coco.Policy{}); err != nil {
				return nil, err
			}
			s := t.Graph.Root().Sub("validation")
			in, answers := encodedDetector(s, t.Store.SharedAs(optim.AverageSuffix), plan)
			if err := t.Graph.Err(); err != nil {
				return nil, err
			}
			sp.run = runIn(t.Session, in, answers)
		}
		results := coco.NewResults(truth)
		err := sp.findAll(ctx, set, 0, 8, func(list []coco.Detection) error {
			for _, d := range list {
				if fault := results.Add(d); fault != nil {
					return fault
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		found := coco.Evaluate(results).Summary()
		return map[string]float64{"AP": found.AP, bestMetric: found.AP50, "AR100": found.AR100}, nil
	}
}
