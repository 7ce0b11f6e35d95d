package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// resultsFile holds a run's detections of the validation images.
const resultsFile = "detections.json"

func (a *app) detectEvalCommand() *cobra.Command {
	var score scoreFlags
	c := &cobra.Command{
		Use: "eval --run DIR", Short: "COCO's twelve numbers of a run's detector on the validation images", Args: cobra.NoArgs,
		Long: "Find the objects of the validation images, write them to RUN/" + resultsFile + " in COCO's result format, and judge\n" +
			"them by the annotations, as `nasnet detect score` does.",
		Example: "  nasnet detect eval --run runs/shapes\n  nasnet detect eval --run runs/coco --annotations instances_val2017.json --per-class",
	}
	a.dataFlags(c, &score.annotations)
	c.Flags().BoolVar(&score.perClass, "per-class", false, "the numbers of each category too")
	c.Flags().StringVar(&score.plot, "plot", "", "draw the precision-recall curves into this file: .png, .svg or .pdf")
	weights := a.weightsChoice(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := score.check(); err != nil {
			return err
		}
		d, checkpoint, err := a.trainedDetection(c, weights)
		if err != nil {
			return err
		}
		defer d.dir.Close()
		if score.annotations == "" {
			score.annotations = d.set.Annotations
		}
		if score.annotations == "" || len(d.set.Validation) == 0 {
			return usagef("%s has no validation images, or their annotations are not known; give --annotations JSON", d.config.Data.Dir)
		}
		score.results = d.dir.Join(resultsFile)
		if _, err := d.find(c.Context(), d.source(checkpoint), 0, score.results); err != nil {
			return err
		}
		return a.detectScore(score)
	}
	return c
}

// find writes the objects of the first n validation images (all, if 0) as a
// result file.
func (d *detection) find(ctx context.Context, from api.DetectorSource, n int, results string) (out api.DetectEvalResult, err error) {
	show, end := d.progress("detect", "images")
	defer end()
	err = call(ctx, d.launcher, engine.Job{Command: api.DetectEval, OnEvent: show, Request: api.DetectEvalRequest{
		DetectorSource: from, Set: d.set, Images: n, Batch: d.batch(), Results: results,
	}}, &out)
	return out, err
}

// batch is how many images a detector takes at once: those of eval.batch, but no
// more pixels than a large image has.
func (d *detection) batch() int {
	const most = 1200 * 1200
	in := d.detector.Model.Input
	return max(1, min(d.config.Eval.Batch, most/(in[0]*in[1]), 16))
}
