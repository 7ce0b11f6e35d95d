package main

import (
	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/draw"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// fewTrials is the honest sentence of a small search.
const fewTrials = "So few trials prove nothing about the controller; they show that the chain works."

// summary is what a run came to: summary.json.
type summary struct {
	Run    string          `json:"run"`
	Search search.Status   `json:"search"`
	Costs  model.Costs     `json:"costs"` // of the retrained network
	Train  api.TrainResult `json:"train"`
	Eval   api.EvalResult  `json:"eval"`
	Export exported        `json:"export"`
	Serve  served          `json:"serve"`
	Note   string          `json:"note"`
}

func (s summary) print(a *app) {
	a.say("\nBest cell (trial %d, held-out accuracy %.3f)", s.Search.Best.Trial, s.Search.Best.Reward)
	if g, err := cells.Parse([]byte(s.Search.Best.Genotype)); err == nil {
		a.say("%s", draw.Text(g))
	}
	a.say("\nRewards of the search")
	for _, arm := range s.Search.Arms {
		a.say("  %-8s mean %.3f, sd %.3f, best %.3f over %d children", arm.Arm, arm.Mean, arm.SD, arm.Best, arm.Trials.Done)
		if c := arm.Against; c != nil {
			a.say("           against random %+.3f, 95%% interval %+.3f to %+.3f: %s", c.Difference, c.CI95[0], c.CI95[1], c.Verdict)
		}
	}
	a.say("  %s", s.Note)
	a.say("\nRetrained network: %d parameters, %d multiply-adds an image", s.Costs.Trainable, s.Costs.MACs)
	a.say("  test top-1 %.2f %% (95%% interval %.2f to %.2f), top-5 %.2f %% on %d images",
		100*s.Eval.Top1, 100*s.Eval.Top1CI95[0], 100*s.Eval.Top1CI95[1], 100*s.Eval.Top5, s.Eval.Images)
	a.say("  SavedModel %s: logits differ from the trainer's by at most %.1g, in a new process", s.Export.Dir, s.Export.Check.MaxAbsDiff)
	a.say("  served: %d of %d test images right, logits differ from the trainer's by at most %.1g", s.Serve.Right, s.Serve.Images, s.Serve.MaxAbsDiff)
	a.say("\nEverything lies in %s (report.html, config.yaml, ledger.db, metrics.jsonl, predictions.csv, checkpoints/, export/, summary.json)", s.Run)
	a.say("Go on with\n  nasnet serve --model_name nasnet --model_base_path %s/export\n  nasnet search status --run %s", s.Run, s.Run)
}
