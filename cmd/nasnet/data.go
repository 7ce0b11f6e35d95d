package main

import (
	"context"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/libtf"
	"github.com/nasnet-go/nasnet/internal/term"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

func (a *app) dataCommand() *cobra.Command {
	c := &cobra.Command{Use: "data", Short: "Obtain, convert and verify data sets"}
	var source string
	cifar := &cobra.Command{Use: "cifar10", Short: "Fetch CIFAR-10 into the cache and verify it", Args: cobra.NoArgs}
	cifar.Flags().StringVar(&source, "source", "", "archive or directory to take it from instead of the network")
	cifar.RunE = func(c *cobra.Command, _ []string) error {
		set, err := a.cifar(c.Context(), configs.Data{Source: source})
		if err != nil {
			return err
		}
		if a.json {
			return a.document(set)
		}
		a.say("%s: %d training and %d test images, verified", set.Dir, set.TrainImages, set.TestImages)
		return nil
	}
	c.AddCommand(cifar, a.dataImageNetCommand(), a.dataFolderCommand(), a.dataCOCOCommand(), a.dataShapesCommand(), a.dataBoxesCommand(), a.dataINDLCommand(), a.dataShowCommand(), a.dataVerifyCommand())
	return c
}

// cifar obtains CIFAR-10, or finds it in the cache.
func (a *app) cifar(ctx context.Context, d configs.Data) (sets.CIFAR, error) {
	cache, err := libtf.CacheDir(os.Getenv)
	if err != nil {
		return sets.CIFAR{}, err
	}
	return sets.CIFAR10(ctx, sets.Options{Cache: cache, Source: d.Source, Offline: d.Offline, Log: a.log(), Progress: a.stages()})
}

// stages shows the progress of work in stages, a bar for each.
func (a *app) stages() func(sets.Progress) {
	var bar *term.Bar
	stage := ""
	return func(p sets.Progress) {
		if bar == nil || stage != p.Stage {
			bar, stage = a.term.Bar(p.Stage, p.Unit), p.Stage
		}
		bar.Set(p.Done, p.Total, "")
		if p.Total > 0 && p.Done >= p.Total {
			bar.End()
			bar = nil
		}
	}
}

// recipe translates the training section, without what only a whole training
// has.
func recipe(t configs.Train) api.Training {
	o := api.Optimizer{Name: t.Optimizer.Name, Momentum: t.Optimizer.Momentum, Nesterov: t.Optimizer.Nesterov, Decay: t.Optimizer.Decay, Epsilon: t.Optimizer.Epsilon}
	if slices.Contains([]string{"adam", "adamw", "lamb"}, o.Name) {
		o.Beta1, o.Beta2, o.Epsilon = t.Optimizer.Beta1, t.Optimizer.Beta2, t.Optimizer.AdamEpsilon
	}
	rate := t.LearningRate
	if t.RateBatch > 0 { // linear scaling (Goyal et al., arXiv 1706.02677)
		rate *= float64(t.Batch) / float64(t.RateBatch)
	}
	return api.Training{
		Batch: int64(t.Batch), Epochs: t.Epochs, Steps: t.Steps, Optimizer: o,
		Schedule: api.Schedule{
			Name: t.Schedule.Name, Rate: rate, WarmupSteps: t.Schedule.WarmupSteps, DecayEpochs: t.Schedule.DecayEpochs, DecayRate: t.Schedule.DecayRate,
			Boundaries: t.Schedule.Boundaries, AtSteps: t.Schedule.AtSteps, Factor: t.Schedule.Factor,
		},
		WeightDecay: t.WeightDecay, ClipNorm: t.ClipNorm, LabelSmoothing: t.LabelSmoothing, Mixup: t.Mixup, CutMix: t.CutMix, AuxWeight: t.AuxWeight,
		DropPathVersion: t.DropPath.Version, EMA: t.EMA.Decay, CheckpointSteps: t.Checkpoint.Steps, KeepCheckpoints: t.Checkpoint.Keep, ReportSteps: t.ReportSteps,
	}
}

// runExtras translates what a whole training has and a child has not. text is
// the configuration, for TensorBoard.
func runExtras(t configs.Train, text string) api.RunExtras {
	return api.RunExtras{
		Accumulate: int64(t.Accumulate), Devices: t.Devices, BudgetSeconds: t.BudgetSeconds, KeepHours: t.Checkpoint.Hours,
		EvaluateEpochs: t.Evaluation.EveryEpochs, Patience: t.Evaluation.Patience,
		EventImages: t.Events.Images, HistogramSteps: t.Events.HistogramSteps, EventText: text,
		Weights: t.FineTune.Weights, NewHead: t.FineTune.NewHead, Freeze: t.FineTune.Freeze, BodyRate: t.FineTune.BodyRate,
	}
}

// threads translates the engine section.
func threads(e configs.Engine) api.Threads {
	t := api.Threads{InterOp: e.InterOp, IntraOp: e.IntraOp, Grappler: e.Grappler, XLA: e.XLA, Precision: e.Precision}
	if t.Grappler == "full" {
		t.Grappler = ""
	}
	if t.Precision == "fp32" {
		t.Precision = ""
	}
	return t
}
