package train_test

import (
	"context"
	"encoding/json"
	"math"
	"path/filepath"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/pipeline/train"
)

// TensorBoard's own reader finds the values of metrics.jsonl, the pictures, the
// configuration and the histograms.
func TestTensorBoardReadsOurEvents(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	o.Events = train.Events{Text: "steps: 60", Images: 2, Histograms: 30}
	if _, _, err := run(t, context.Background(), o); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "events", "events.out.tfevents.*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("event files %v, %v", files, err)
	}
	out := reftest.Python(t, `
import sys, json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1], size_guidance={'histograms': 0}); a.Reload(); tags = a.Tags()
print(json.dumps(dict(scalars={t: [[e.step, e.value] for e in a.Scalars(t)] for t in tags['scalars']},
    images=len(tags['images']), histograms=len(a.Histograms('fc/weights')), text=[t for t in tags['tensors']])))`, filepath.Join(dir, "events"))
	var got struct {
		Scalars            map[string][][2]float64
		Images, Histograms int
		Text               []string
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	reports := lines(t, dir)
	if len(got.Scalars["loss"]) != len(reports) || got.Images != 2 || got.Histograms != 2 || len(got.Text) != 1 {
		t.Errorf("%d losses, %d images, %d histograms, texts %v", len(got.Scalars["loss"]), got.Images, got.Histograms, got.Text)
	}
	for i, p := range reports {
		for tag, want := range map[string]float64{"loss": p.Loss, "learning_rate": p.LearningRate, "gradient_norm": p.GradientNorm, "ce": p.Parts["ce"]} {
			if e := got.Scalars[tag][i]; int64(e[0]) != p.Step || math.Abs(e[1]-want) > 1e-6*math.Max(1, math.Abs(want)) {
				t.Errorf("%s: event %v, metrics %g at step %d", tag, e, want, p.Step)
			}
		}
	}
}

// Pictures for TensorBoard are taken without moving the input on.
func TestPicturesDoNotChangeTheTraining(t *testing.T) {
	_, want, err := run(t, context.Background(), options(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	o := options(t.TempDir())
	o.Events = train.Events{Images: 3}
	_, got, err := run(t, context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "with pictures", got, want)
}

func TestProgressKeepsItsParts(t *testing.T) {
	p := train.Progress{Step: 3, Loss: 0.5, Parts: map[string]float64{"loss_aux": 0.1, "eval_top1": 0.9, "odd": math.NaN()}}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var flat map[string]any
	if err := json.Unmarshal(raw, &flat); err != nil || flat["loss_aux"] != 0.1 || flat["loss"] != 0.5 {
		t.Errorf("%s: %v", raw, err)
	}
	var back train.Progress
	if err := json.Unmarshal(raw, &back); err != nil || back.Step != 3 || len(back.Parts) != 2 || back.Parts["eval_top1"] != 0.9 {
		t.Errorf("%+v, %v", back, err)
	}
}
