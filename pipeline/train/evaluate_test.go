package train_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

var lambRule = optim.LAMB{Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-6}

// figures returns an evaluation whose figure at step n is f(n), and the steps
// it was asked for.
func figures(f func(step int64) float64) (func(context.Context, *train.Trainer) (map[string]float64, error), *[]int64) {
	var seen []int64
	return func(_ context.Context, tr *train.Trainer) (map[string]float64, error) {
		n := int64(10 * (len(seen) + 1))
		seen = append(seen, n)
		return map[string]float64{"top1": f(n)}, nil
	}, &seen
}

// lines are the reports in metrics.jsonl.
func lines(t *testing.T, dir string) []train.Progress {
	t.Helper()
	var list []train.Progress
	for line := range strings.Lines(read(t, filepath.Join(dir, "metrics.jsonl"))) {
		var p train.Progress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, p)
	}
	return list
}

func TestTheBestCheckpointStaysAndTrainingStopsEarly(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	o.KeepCheckpoints, o.CheckpointSteps = 1, 5
	eval, seen := figures(func(step int64) float64 { return 1 - math.Abs(float64(step-20))/100 }) // best at 20
	o.Evaluation = train.Evaluation{Run: eval, Every: 10, Metric: "top1", Patience: 2}
	var last []int64
	o.Hooks = []train.Hook{{Name: "last", Run: func(_ context.Context, _ *train.Trainer, p train.Progress) error {
		last = append(last, p.Step)
		return nil
	}}}
	res, _, err := run(t, context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(last) != 1 || last[0] != 40 || res.Steps != 40 || res.BestStep != 20 || res.BestMetric != 1 || filepath.Base(res.Best) != "step-00000020" || !strings.HasPrefix(res.Ended, "early stop") {
		t.Errorf("%+v, last hook at %v", res, last)
	}
	list, err := train.Checkpoints(filepath.Join(dir, "checkpoints"))
	if err != nil || len(list) != 2 || list[0].State.Step != 40 || list[1].State.Step != 20 {
		t.Errorf("checkpoints %v, %v", list, err)
	}
	for _, p := range lines(t, dir) {
		if _, ok := p.Parts["eval_top1"]; ok != (p.Step%10 == 0) {
			t.Errorf("step %d: parts %v", p.Step, p.Parts)
		}
	}
	again, _, err := run(t, context.Background(), o)
	if err != nil || again.Steps != 40 || again.Ended != res.Ended || again.Best != res.Best || len(*seen) != 4 {
		t.Errorf("run again: %+v, %v, %d evaluations", again, err, len(*seen))
	}
}

// An evaluation that is cut short is made good when training goes on.
func TestAnInterruptedEvaluationIsCaughtUp(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	ctx, cancel := context.WithCancel(context.Background())
	o.Evaluation = train.Evaluation{Every: 20, Metric: "loss", Lower: true, Run: func(ctx context.Context, _ *train.Trainer) (map[string]float64, error) {
		cancel()
		return nil, ctx.Err()
	}}
	for range 2 { // the second time while it is caught up
		if _, _, err := run(t, ctx, o); !errors.Is(err, train.ErrInterrupted) {
			t.Fatalf("got %v", err)
		}
	}
	calls := 0.0
	o.Evaluation.Run = func(context.Context, *train.Trainer) (map[string]float64, error) {
		calls++
		return map[string]float64{"loss": calls}, nil
	}
	res, _, err := run(t, context.Background(), o)
	if err != nil || res.ResumedAt != 20 || res.BestStep != 20 || calls != 3 {
		t.Fatalf("%+v, %g evaluations, %v", res, calls, err)
	}
	var steps []int64
	for _, p := range lines(t, dir) {
		steps = append(steps, p.Step)
		if p.Step == 20 && p.Parts["eval_loss"] != 1 {
			t.Errorf("step 20: %v", p.Parts)
		}
	}
	if len(steps) != 12 { // 60 steps, a report each 5, each once
		t.Errorf("reports at %v", steps)
	}
}

func TestHooksRunAndStop(t *testing.T) {
	o := options(t.TempDir())
	var seen []int64
	o.Hooks = []train.Hook{
		{Name: "seven", Every: 7, Run: func(_ context.Context, tr *train.Trainer, p train.Progress) error {
			seen = append(seen, p.Step)
			if _, err := tr.Session.Run(nil, []tfgraph.Tensor{tr.Store.Lookup("fc/biases").Read}); err != nil {
				return err
			}
			if p.Step == 21 {
				return train.ErrStop
			}
			return nil
		}},
	}
	res, _, err := run(t, context.Background(), o)
	if err != nil || res.Steps != 21 || res.Ended != "ended by seven" || len(seen) != 3 || filepath.Base(res.Checkpoint) != "step-00000021" {
		t.Errorf("%+v, hooks at %v, %v", res, seen, err)
	}
	broken := errors.New("broken")
	o = options("")
	o.Hooks = []train.Hook{{Name: "bad", Run: func(context.Context, *train.Trainer, train.Progress) error { return broken }}}
	if _, _, err := run(t, context.Background(), o); !errors.Is(err, broken) || !strings.Contains(err.Error(), "hook bad after step 60") {
		t.Errorf("got %v", err)
	}
}

func TestTheTimeBudgetEndsTraining(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	o.Budget = time.Nanosecond
	res, _, err := run(t, context.Background(), o)
	if err != nil || res.Steps != 1 || res.Ended != "time budget used up" || filepath.Base(res.Checkpoint) != "step-00000001" {
		t.Errorf("%+v, %v", res, err)
	}
	if again, _, err := run(t, context.Background(), o); err != nil || again.Steps != 1 {
		t.Errorf("run again: %+v, %v", again, err)
	}
	o.Budget = time.Hour
	if more, _, err := run(t, context.Background(), o); err != nil || more.Steps != 60 || more.ResumedAt != 1 || more.Ended != "" {
		t.Errorf("with a larger budget: %+v, %v", more, err)
	}
}

func TestDivergenceNamesStepCheckpointAndGradients(t *testing.T) {
	o := options(t.TempDir())
	o.Rate, o.ClipNorm, o.CheckpointSteps = func(step int64) float64 {
		if step < 20 {
			return 0.01
		}
		return 1e30
	}, 0, 10
	_, _, err := run(t, context.Background(), o)
	var d *train.DivergedError
	if !errors.Is(err, train.ErrDiverged) || !errors.As(err, &d) {
		t.Fatalf("got %v", err)
	}
	if d.Step != 21 || d.Rate != 1e30 || filepath.Base(d.Checkpoint) != "step-00000020" || len(d.Largest) != 5 || d.Largest[0].Norm < d.Largest[4].Norm || d.Largest[0].Norm == 0 {
		t.Errorf("%+v", d)
	}
	for _, want := range []string{"step 21", "1e+30", "step-00000020", "fc/weights"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

// Weights that are infinite while the loss was still finite are not published.
func TestWeightsThatAreNotFiniteAreNotPublished(t *testing.T) {
	o := options(t.TempDir())
	o.Rate, o.ClipNorm, o.CheckpointSteps = optim.Constant(math.MaxFloat32), 0, 1
	_, _, err := run(t, context.Background(), o)
	if !errors.Is(err, train.ErrNotFinite) && !errors.Is(err, train.ErrDiverged) {
		t.Errorf("got %v", err)
	}
	_, err = train.Newest(filepath.Join(o.Dir, "checkpoints"), func(n string) { t.Error(n) })
	if errors.Is(err, train.ErrNoCheckpoint) {
		return
	}
	if err != nil {
		t.Error(err)
	}
}
