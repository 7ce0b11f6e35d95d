package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

func (a *app) benchCommand() *cobra.Command {
	c := &cobra.Command{Use: "bench", Short: "Measure: searcher, table, children, first-step, train, input, infer, serve, coco"}
	c.AddCommand(a.benchSearcherCommand(), a.benchTableCommand(), a.benchChildrenCommand(), a.benchInputCommand(), a.benchCOCOCommand(), a.firstStepCommand(), a.benchTrainCommand(), a.benchInferCommand(), a.benchServeCommand())
	return c
}

// byTurns runs each of n runners so many rounds, one after the other, so that
// none has the machine's better minutes to itself. One that fails is not run
// again. It returns the errors, by runner; run returns what the bar shows.
func (a *app) byTurns(label string, n, rounds int, run func(i int) (shown string, err error)) []error {
	errs := make([]error, n)
	bar := a.term.Bar(label, "runs")
	defer bar.End()
	for round := range rounds {
		for i := range errs {
			if errs[i] != nil {
				continue
			}
			shown, err := run(i)
			if errs[i] = err; err == nil {
				bar.Set(int64(round*n+i+1), int64(rounds*n), shown)
			}
		}
	}
	return errs
}

func (a *app) firstStepCommand() *cobra.Command {
	var steps int64
	first := &cobra.Command{Use: "first-step", Short: "Seconds from process start to the end of the first training step", Args: cobra.NoArgs}
	first.Flags().Int64Var(&steps, "steps", 0, "further steps to time")
	first.RunE = func(c *cobra.Command, _ []string) error {
		m, err := model.Preset("nasnet-a-cifar")
		if err != nil {
			return err
		}
		m.NormalCells, m.AuxHead, m.DropPathKeep = 6, false, 1
		l, err := a.launcher(c.Context(), configs.Engine{})
		if err != nil {
			return err
		}
		t := api.Training{Batch: 32, Optimizer: api.Optimizer{Name: "momentum", Momentum: 0.9}, Schedule: api.Schedule{Rate: 0.025}, WeightDecay: 5e-4, ClipNorm: 5}
		var out firstStep
		begin := time.Now()
		r := api.FirstStepRequest{Model: m, Train: t, Threads: api.Threads{InterOp: 2, IntraOp: 1, Grappler: "off"}, Steps: steps}
		if err := call(c.Context(), l, engine.Job{Command: api.FirstStep, Request: r}, &out.FirstStepResult); err != nil {
			return err
		}
		out.Whole = time.Since(begin).Seconds()
		out.Seconds = out.Whole
		if steps > 0 { // the steps behind the first are not part of it
			out.Seconds -= float64(steps*t.Batch) / out.ImagesPerSecond
		}
		return a.document(out)
	}
	return first
}

// firstStep is the document of bench first-step: child N=2, F=32, batch 32.
type firstStep struct {
	Seconds float64 `json:"seconds_to_first_step"` // of the engine's process, its start and end included
	Whole   float64 `json:"whole_seconds"`
	api.FirstStepResult
}
