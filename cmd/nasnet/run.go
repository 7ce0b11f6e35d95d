package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/rundir"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "The whole chain: data, search, retrain, evaluate, export, serve check",
		Long:    "The whole chain from one configuration. Every stage can be interrupted, also by kill -9: run the same command\nagain and it goes on where it was.",
		Example: "  nasnet run --config quickstart", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := a.load()
			if err != nil {
				return err
			}
			return a.chain(c.Context(), config)
		},
	}
}

// chain is one run of all stages.
type chain struct {
	*app
	config   configs.Config
	dir      *rundir.Dir
	set      dataset
	launcher *engine.Launcher
	model    model.Model // of the retrained network
}

func (a *app) chain(ctx context.Context, config configs.Config) error {
	dir, err := rundir.Open(a.directory())
	if err != nil {
		return err
	}
	defer dir.Close()
	c := &chain{app: a, config: config, dir: dir}
	a.term.Heading("1/6 data", config.Data.Set)
	if err := c.open(ctx); err != nil {
		return err
	}
	if err := c.keepConfig(); err != nil {
		return err
	}
	if err := c.begin(); err != nil {
		return err
	}
	s, err := c.stages(ctx)
	if err != nil {
		return err
	}
	if _, err := dir.WriteJSON("summary.json", s); err != nil {
		return err
	}
	d, err := reportOf(dir.Path)
	if err == nil {
		err = writeReport(d, "html", dir.Join("report.html"))
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.document(s)
	}
	s.print(a)
	return nil
}

// open finds the engine, and the data, which decides a part of the model.
func (c *chain) open(ctx context.Context) (err error) {
	if c.launcher, err = c.app.launcher(ctx, c.config.Engine); err != nil {
		return err
	}
	if c.set, err = c.imagesBy(ctx, c.config, c.by); err != nil {
		return err
	}
	c.config.Model = c.set.suited(c.config.Model)
	return c.set.keepFaults(c.dir)
}

// keepConfig writes the configuration into the run, or refuses a changed one.
func (c *chain) keepConfig() error {
	path := c.dir.Join(rundir.ConfigFile)
	if _, err := os.Stat(path); err == nil {
		was, err := configs.Load(configs.Source{Config: path})
		if err != nil {
			return err
		}
		if changes := configs.Changes(was, c.config); len(changes) > 0 {
			return usagef("%s was begun with another configuration (%v); choose another --run, or remove it", c.dir.Path, changes)
		}
		return nil
	}
	text, err := c.config.Marshal()
	if err != nil {
		return err
	}
	return c.dir.WriteFile(rundir.ConfigFile, text)
}

// begin notes this call in the run's manifest.
func (c *chain) begin() error {
	m := &c.dir.Manifest
	m.Seed = c.config.Seed
	m.Versions = map[string]string{"nasnet": version, "go": runtime.Version()}
	m.Machine = map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH, "cores": strconv.Itoa(runtime.NumCPU())}
	m.Begin(os.Args[1:], time.Now())
	return c.dir.Save()
}

// stages runs what is not done yet.
func (c *chain) stages(ctx context.Context) (summary, error) {
	var s summary
	var err error
	c.term.Heading("2/6 search", fmt.Sprintf("%d children by %s, the random arm beside it, %d at a time", c.config.Search.Trials, c.config.Search.Policy.Name, c.config.Search.Workers))
	if s.Search, _, err = rundir.Do(c.dir, "search", []string{c.config.Digest("search", "train", "data", "model")}, func() (search.Status, error) { return c.search(ctx, c.config, c.set, c.dir.Path) }); err != nil {
		return s, err
	}
	if s.Search.Best == nil {
		return s, fmt.Errorf("no child of the search succeeded; `nasnet search status --run %s` tells the causes", c.dir.Path)
	}
	if c.model, err = c.network(s.Search.Best.Genotype); err != nil {
		return s, err
	}
	plan, err := model.Build(c.model)
	if err != nil {
		return s, err
	}
	s.Costs = plan.Costs()
	c.term.Heading("3/6 retrain", fmt.Sprintf("the best cell with %d filters, %d parameters", c.model.Filters, s.Costs.Trainable))
	if s.Train, _, err = rundir.Do(c.dir, "train", []string{c.dir.Output("search")}, func() (api.TrainResult, error) { return c.train(ctx) }); err != nil {
		return s, err
	}
	c.term.Heading("4/6 evaluate", fmt.Sprintf("%d test images", c.set.Tests))
	if s.Eval, _, err = rundir.Do(c.dir, "eval", []string{c.dir.Output("train")}, func() (api.EvalResult, error) { return c.evalAndScore(ctx, c.dir.Checkpoint(s.Train.Checkpoint)) }); err != nil {
		return s, err
	}
	c.term.Heading("5/6 export", "a SavedModel, loaded again in a new process and compared")
	if s.Export, _, err = rundir.Do(c.dir, "export", []string{c.dir.Output("eval")}, func() (exported, error) { return c.export(ctx, c.dir.Checkpoint(s.Train.Checkpoint), s.Eval, 1) }); err != nil {
		return s, err
	}
	c.term.Heading("6/6 serve", "predictions of the local server through its REST interface")
	s.Serve, _, err = rundir.Do(c.dir, "serve", []string{c.dir.Output("export")}, func() (served, error) { return c.serve(ctx) })
	s.Run, s.Note = c.dir.Path, fewTrials
	return s, err
}

// network is the retrained one: the configured model with the found cell.
func (c *chain) network(genotype string) (model.Model, error) {
	g, err := cells.Parse([]byte(genotype))
	if err != nil {
		return model.Model{}, err
	}
	m, err := c.config.Model.Network()
	m.Cell = g
	return m, err
}

func (c *chain) train(ctx context.Context) (api.TrainResult, error) {
	var out api.TrainResult
	show, end := c.progress("train", "steps")
	defer end()
	text, err := c.config.Marshal()
	if err != nil {
		return out, err
	}
	t := recipe(c.config.Train)
	t.Run = runExtras(c.config.Train, "```yaml\n"+string(text)+"```")
	r := api.TrainRequest{
		Dir: c.dir.Path, Digest: c.config.Digest("train", "data", "model", "search"), Model: c.model, Seed: c.config.Seed,
		Data:  c.set.request(c.config, 0, c.config.Data.Validation),
		Train: t, Threads: threads(c.config.Engine),
	}
	j := engine.Job{Command: api.Train, OnEvent: show, Request: r}
	err = c.runTraining(ctx, j, func(members *api.Cluster) any { r.Cluster = members; return r }, &out)
	return out, c.set.blamed(ctx, err)
}

// runTraining runs an engine's training here, or over the configured cluster.
func (c *chain) runTraining(ctx context.Context, j engine.Job, over func(*api.Cluster) any, out any) error {
	if len(c.config.Engine.Cluster) > 0 {
		return c.trainOver(ctx, j, over, out)
	}
	return call(ctx, c.launcher, j, out)
}

// progress shows how far an engine's work is; end closes its bar.
func (c *chain) progress(label, unit string) (show func(engine.Event), end func()) {
	bar := c.term.Bar(label, unit)
	return func(e engine.Event) {
		switch e.Kind {
		case engine.KindNote:
			c.term.Note("%s", e.Text)
		case engine.KindProgress:
			extra := ""
			if loss, ok := e.Values["loss"]; ok {
				extra = fmt.Sprintf("loss %.3f, ", loss)
				if right, ok := e.Values["accuracy"]; ok {
					extra += fmt.Sprintf("accuracy %.2f, ", right)
				}
				extra += fmt.Sprintf("%.0f images/s", e.Values["images_per_second"])
			}
			bar.Set(e.Done, e.Total, extra)
		}
	}, bar.End
}

const predictionsFile = "predictions.npy"

func (c *chain) eval(ctx context.Context, checkpoint string) (api.EvalResult, error) {
	return c.evalOn(ctx, checkpoint, "test")
}

// evalAndScore is eval with all that its logits tell: predictions.csv, evaluation.json
// and pictures.
func (c *chain) evalAndScore(ctx context.Context, checkpoint string) (api.EvalResult, error) {
	out, err := c.eval(ctx, checkpoint)
	if err == nil {
		p := predicted{
			logits: c.dir.Join(predictionsFile), preset: c.named(), set: c.set.published(c.config), perSecond: out.ImagesPerSecond,
			Source: evalSource{Kind: "run", Path: c.dir.Path, Data: c.set.named(c.config), Averages: c.config.Train.EMA.Decay > 0, Crops: c.config.Eval.Crops},
		}
		_, err = c.scoreTest(c.dir, &scoring{}, p, out.Top1)
	}
	return out, err
}

// evalOn measures a checkpoint on a split: test, or validation.
func (c *chain) evalOn(ctx context.Context, checkpoint, split string) (api.EvalResult, error) {
	return c.measure(ctx, api.EvalRequest{Model: &c.model, Checkpoint: checkpoint, Averages: c.config.Train.EMA.Decay > 0, Split: split})
}

// measure fills in what all evaluations have and runs one. Its logits go into the
// run where nothing else is said.
func (c *chain) measure(ctx context.Context, r api.EvalRequest) (out api.EvalResult, err error) {
	if c.set.records == nil && c.config.Eval.Crops > 1 {
		return out, usagef("eval.crops is %d; images in memory such as CIFAR-10's have the network's size: set it to 1", c.config.Eval.Crops)
	}
	show, end := c.progress("evaluate", "images")
	defer end()
	r.Batch, r.Data = int64(c.config.Eval.Batch), c.set.request(c.config, 0, c.config.Data.Validation)
	r.Threads = threads(c.config.Engine)
	if r.Predictions == "" {
		r.Predictions = c.dir.Join(predictionsFile)
	}
	err = call(ctx, c.launcher, engine.Job{Command: api.Eval, OnEvent: show, Request: r}, &out)
	return out, c.set.blamed(ctx, err)
}
