package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/controller"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

func (a *app) searchCommand() *cobra.Command {
	var finish bool
	c := &cobra.Command{
		Use: "search", Short: "Start or resume a search for cells", Args: cobra.NoArgs,
		Long: "Start or resume a search for cells. Workers elsewhere can take part while it runs (nasnet worker --search).\n" +
			"With --finish the best cells (search.top_k) are trained as full networks afterwards, and ranked.",
		Example: "  nasnet search --config quickstart --run runs/first\n  nasnet search status --run runs/first --json\n" +
			"  nasnet search extend --run runs/first --trials 1000",
	}
	c.Flags().BoolVar(&finish, "finish", false, "train the best cells as full networks when the search is done, and rank them")
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := a.load()
		if err != nil {
			return err
		}
		set, err := a.images(c.Context(), config)
		if err != nil {
			return err
		}
		st, err := a.search(c.Context(), config, set, a.directory())
		if err != nil {
			return err
		}
		if finish {
			ranking, err := a.finish(c.Context(), config, set, a.directory())
			if err != nil {
				return err
			}
			return a.document(struct {
				search.Status
				Finished []finalist `json:"finished"`
			}{st, ranking})
		}
		return a.document(st)
	}
	c.AddCommand(a.searchOperations()...)
	return c
}

// search runs a search in dir to its end, from where it was.
func (a *app) search(ctx context.Context, c configs.Config, set dataset, dir string) (search.Status, error) {
	launcher, err := a.launcher(ctx, c.Engine)
	if err != nil {
		return search.Status{}, err
	}
	spec, err := searchSpec(c)
	if err != nil {
		return search.Status{}, err
	}
	ev, err := newChildren(c, set, launcher)
	if err != nil {
		return search.Status{}, err
	}
	e, err := search.Open(ctx, search.Options{Dir: dir, Spec: spec, Log: a.log(), Gate: ev.gate(c.Search.Limits)})
	if err != nil {
		return search.Status{}, err
	}
	server, err := a.serveQueue(e, c, dir)
	if err != nil {
		return search.Status{}, errors.Join(err, e.Close())
	}
	defer server.Close()
	bar := a.term.Bar("search", "trials")
	best := 0.0
	st, err := e.Run(ctx, ev, c.Search.Workers, func(ev search.Event) { // one at a time
		if ev.Kind == "failed" {
			a.term.Note("trial %d failed: %s; the search goes on", ev.Trial, ev.Cause)
		}
		best = max(best, ev.Reward)
		if ev.Kind == "done" || ev.Kind == "failed" || ev.Kind == "reused" {
			bar.Set(int64(ev.Ended), int64(ev.Planned), fmt.Sprintf("best %.3f", best))
		}
	})
	bar.End()
	if err == nil {
		err = server.Finished()
	}
	return st, errors.Join(err, e.Close())
}

// childSpec is what decides a child's reward: it stands in the ledger.
type childSpec struct {
	Child configs.Child `json:"child"`
	Train string        `json:"train"` // digests of the sections that children share
	Data  string        `json:"data"`
}

func searchSpec(c configs.Config) (search.Spec, error) {
	space, err := c.Search.Space.Cells()
	if err != nil {
		return search.Spec{}, err
	}
	child, err := json.Marshal(childSpec{c.Search.Child, c.Digest("train"), c.Digest("data")})
	if err != nil {
		return search.Spec{}, err
	}
	limits, err := json.Marshal(c.Search.Limits)
	if err != nil {
		return search.Spec{}, err
	}
	randoms := c.Search.RandomTrials
	if randoms < 0 {
		randoms = c.Search.Trials
	}
	objective, err := objective(c.Search.Objective)
	if err != nil {
		return search.Spec{}, err
	}
	var stopping search.Stopping
	if st := c.Search.Stopping; st.Rule != "none" {
		stopping = search.Stopping{Rule: st.Rule, After: st.After, Trials: st.Trials, Factor: st.Factor}
	}
	var beside []search.ArmSpec
	for _, name := range c.Search.Beside {
		beside = append(beside, search.ArmSpec{Policy: controller.Config{Policy: name, Batch: c.Search.Policy.Batch}, Trials: c.Search.Trials})
	}
	p := c.Search.Policy
	return search.Spec{
		Objective: objective, Stopping: stopping, Beside: beside,
		Seed: uint64(c.Seed), Space: space, Trials: c.Search.Trials, RandomTrials: randoms, Mode: search.Mode(c.Search.Mode),
		Child: child, Limits: limits,
		Policy: controller.Config{
			Policy: p.Name, Batch: p.Batch, LearningRate: p.LearningRate, Entropy: p.Entropy, Baseline: p.Baseline,
			Units: p.Hidden, Epochs: p.Epochs, Clip: p.Clip, Population: p.Population, Tournament: p.Tournament,
		},
	}, nil
}

func objective(o configs.Objective) (search.Objective, error) {
	list, err := o.Parse()
	out := search.Objective{Front: o.Front}
	for _, p := range list {
		out.Penalties = append(out.Penalties, search.Penalty{Metric: p.Cost, Target: p.Target, Weight: p.Weight})
	}
	return out, err
}

// children evaluates cells by training small networks, each in an engine
// process of its own.
type children struct {
	launcher *engine.Launcher
	model    model.Model
	request  api.TrialRequest
	limits   configs.Limits
}

func newChildren(c configs.Config, set dataset, l *engine.Launcher) (*children, error) {
	m, err := set.network(c)
	if err != nil {
		return nil, err
	}
	k := c.Search.Child
	m.NormalCells, m.Filters, m.AuxHead, m.DropPathKeep = k.NormalCells, k.Filters, false, 1
	if k.Shrink > 1 {
		m.Input[0], m.Input[1] = m.Input[0]/k.Shrink, m.Input[1]/k.Shrink
	}
	d := set.request(c, k.Images, k.ValidationImages)
	d.Shrink = k.Shrink
	t := recipe(c.Train)
	t.Batch, t.Epochs, t.Steps, t.Schedule.Rate = int64(k.Batch), k.Epochs, 0, k.LearningRate
	t.Schedule.WarmupSteps, t.EMA, t.ReportSteps = 0, 0, 10
	looks := 0
	if c.Search.Stopping.Rule != "none" {
		looks = c.Search.Stopping.Evaluations
	}
	return &children{launcher: l, model: m, limits: c.Search.Limits, request: api.TrialRequest{
		Data: d, Train: t, EvalBatch: 100, Evaluations: looks, Latency: c.Search.Objective.Latency(),
		// One thread an operation: a child's reward is then the same on every run.
		Threads: api.Threads{InterOp: 1, IntraOp: 1, Grappler: "off"},
	}}, nil
}

// Evaluate trains one child and measures it on the held-out images. report is
// told the accuracy of each look at them on the way, and ends the child.
func (c *children) Evaluate(ctx context.Context, t search.Task, report func(int, float64) bool) (search.Result, error) {
	g, err := cells.Parse([]byte(t.Genotype))
	if err != nil {
		return search.Result{}, err
	}
	r := c.request
	r.Model, r.Model.Cell, r.Seed = c.model, g, t.Seed
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	look, last, stopped := 0, 0.0, false
	var out api.TrialResult
	err = call(ctx, c.launcher, engine.Job{
		Command: api.Trial, Request: r, MemoryLimit: c.limits.MemoryMB << 20, Timeout: time.Duration(c.limits.Seconds * float64(time.Second)), Grace: 2 * time.Second,
		OnEvent: func(e engine.Event) {
			if v, ok := e.Values[api.TrialLook]; ok && !stopped {
				look++
				if last = v; report(look, v) {
					stopped = true
					stop()
				}
			}
		},
	}, &out)
	if stopped { // its last look is what it came to
		return search.Result{Reward: last}, nil
	}
	if err != nil {
		return search.Result{}, childError(err)
	}
	metrics := map[string]float64{
		"loss": out.Loss, "params": float64(out.Params), "train_seconds": out.Seconds, "images_per_second": out.ImagesPerSecond,
	}
	if r.TestImages > 0 {
		metrics[testAccuracy] = out.TestAccuracy
	}
	if r.Latency {
		metrics[configs.LatencyCost] = out.LatencyMillis
	}
	return search.Result{Reward: out.Accuracy, Metrics: metrics}, nil
}

// testAccuracy is a metric of children that were asked for it.
const testAccuracy = "test_accuracy"

// gate rejects cells whose child would cost more than the limits allow.
func (c *children) gate(l configs.Limits) search.Gate {
	return func(g cells.Genotype) (map[string]float64, string) {
		m := c.model
		m.Cell = g
		p, err := model.Build(m)
		if err != nil {
			return nil, err.Error()
		}
		cost := p.Costs()
		costs := map[string]float64{"params": float64(cost.Trainable), "macs": float64(cost.MACs)}
		switch {
		case l.MaxParams > 0 && cost.Trainable > l.MaxParams:
			return costs, fmt.Sprintf("%d parameters, the limit is %d", cost.Trainable, l.MaxParams)
		case l.MaxMACs > 0 && cost.MACs > l.MaxMACs:
			return costs, fmt.Sprintf("%d multiply-adds, the limit is %d", cost.MACs, l.MaxMACs)
		}
		return costs, ""
	}
}

// childFailure gives a dead engine's class and last words to the ledger.
type childFailure struct{ *engine.DiedError }

func (f childFailure) Class() string     { return string(f.Cause) }
func (f childFailure) LogTail() []string { return f.LastLines }

func childError(err error) error {
	var died *engine.DiedError
	if errors.As(err, &died) {
		return childFailure{died}
	}
	return err
}

// call runs an engine command and decodes its result.
func call(ctx context.Context, l *engine.Launcher, j engine.Job, result any) error {
	raw, err := l.Run(ctx, j)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, result); err != nil {
		return fmt.Errorf("the engine's answer to %s cannot be read: %w", j.Command, err)
	}
	return nil
}
