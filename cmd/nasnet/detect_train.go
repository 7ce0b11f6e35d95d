package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

func (a *app) detectTrainCommand() *cobra.Command {
	var annotations string
	c := &cobra.Command{
		Use: "train --data DIR", Short: "Train a detector, or go on with its training", Args: cobra.NoArgs,
		Long: "Train a detector on record files. The same command goes on with a training that was interrupted. Weights to begin\n" +
			"with may be a classifier's of the same network (ours, or slim's imported by `nasnet weights import`) or a detector's,\n" +
			"such as a checkpoint of TensorFlow's Object Detection API.",
		Example: "  nasnet detect train --config detect-small --data shapes --run runs/shapes\n" +
			"  nasnet detect train --config coco-faster-rcnn-large --data coco --fine-tune imported/large --run runs/coco",
	}
	a.dataFlags(c, &annotations)
	a.shortForm(c, "fine-tune", "train.fine_tune.weights", "begin with the weights of this checkpoint (train.fine_tune.weights)")
	a.shortForm(c, "steps", "train.steps", "steps instead of epochs (train.steps)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		d, err := a.detection(c, true)
		if err != nil {
			return err
		}
		defer d.dir.Close()
		if annotations != "" {
			d.set.Annotations = annotations
		}
		if d.config.Train.Evaluation.EveryEpochs > 0 && (d.set.Annotations == "" || len(d.set.Validation) == 0) {
			return usagef("train.evaluation.every_epochs is %g, but %s has no validation images or their annotations are not known; give --annotations JSON", d.config.Train.Evaluation.EveryEpochs, d.config.Data.Dir)
		}
		if o := d.config.Detect; d.config.Train.FineTune.Weights == "" && (o.FirstNorm == detector.NormFrozen || o.SecondNorm == detector.NormFrozen) {
			a.term.Note("batch norms are frozen, but there are no weights to begin with, and so no statistics; give --fine-tune CHECKPOINT, or set detect.first_norm and detect.second_norm to batch")
		}
		if err := checkpointThere("train.fine_tune.weights", d.config.Train.FineTune.Weights); err != nil {
			return err
		}
		if err := d.keepConfig(); err != nil {
			return err
		}
		if err := d.vet(c.Context()); err != nil {
			return err
		}
		out, err := d.train(c.Context())
		if err != nil {
			return err
		}
		if _, err := d.dir.WriteJSON(trainStage+".json", out); err != nil {
			return err
		}
		return a.document(out)
	}
	return c
}

func (d *detection) train(ctx context.Context) (out api.DetectTrainResult, err error) {
	show, end := d.progress("train", "steps")
	defer end()
	text, err := d.config.Marshal()
	if err != nil {
		return out, err
	}
	t := recipe(d.config.Train)
	t.Run = runExtras(d.config.Train, "```yaml\n"+string(text)+"```")
	r := api.DetectTrainRequest{Detector: d.detector, Set: d.set, TrainRequest: api.TrainRequest{
		Model: d.detector.Model, Dir: d.dir.Path, Digest: d.config.Digest("train", "data", "model", "detect"), Seed: d.config.Seed, Train: t, Threads: threads(d.config.Engine),
	}}
	j := engine.Job{Command: api.DetectTrain, OnEvent: show, Request: r}
	err = d.runTraining(ctx, j, func(members *api.Cluster) any { r.Cluster = members; return r }, &out)
	return out, err
}
