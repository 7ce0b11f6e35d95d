package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

func (a *app) detectBenchCommand() *cobra.Command {
	r := api.DetectRateRequest{}
	c := &cobra.Command{
		Use: "bench", Short: "Time and memory of a detector with random weights for one image", Args: cobra.NoArgs,
		Example: "  nasnet detect bench --config coco-faster-rcnn-large --set detect.proposals.count=50 --set detect.second.batch=49",
	}
	c.Flags().IntVar(&r.Runs, "runs", 1, "images timed, behind a first one")
	c.Flags().BoolVar(&r.Plain, "plain", false, "batch norms as they are; without, folded as nasnet detect export has them")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if r.Runs < 0 {
			return usagef("detect bench: --runs is %d; want 0 or more", r.Runs)
		}
		config, err := a.loadDetection()
		if err != nil {
			return err
		}
		if r.Detector, err = config.Detector(); err != nil {
			return err
		}
		r.Threads = threads(config.Engine)
		l, err := a.launcher(c.Context(), config.Engine)
		if err != nil {
			return err
		}
		var out api.DetectRateResult
		if err := call(c.Context(), l, engine.Job{Command: api.DetectRate, Request: r}, &out); err != nil {
			return err
		}
		if a.json {
			return a.document(out)
		}
		in := r.Detector.Model.Input
		a.say("%s, %d proposals: %.1f G multiply-adds an image", shape(in), out.Proposals, float64(out.MACs)/1e9)
		a.say("  built in %.1f s; first image %.1f s; %d objects found", out.BuildSeconds, out.FirstSeconds, out.Detections)
		if len(out.Seconds) > 0 {
			best := slices.Min(out.Seconds)
			a.say("  then %.1f s an image at best, %.1f G multiply-adds a second", best, float64(out.MACs)/1e9/best)
		}
		a.say("  memory %s at its peak", mebibytes(out.PeakMemoryBytes))
		return nil
	}
	return c
}
