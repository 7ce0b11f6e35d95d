package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/train"
)

func TestDevices(t *testing.T) {
	list, cpus, err := devices([]string{"cpu:0", "cpu:2"})
	if err != nil || cpus != 3 || !slices.Equal(list, []string{"/device:CPU:0", "/device:CPU:2"}) {
		t.Errorf("%v, %d CPUs, %v", list, cpus, err)
	}
	if _, _, err := devices([]string{"gpu:all"}); err == nil || !strings.Contains(err.Error(), "sees no GPU") {
		t.Skipf("gpu:all: %v: a GPU is here", err)
	}
	if _, _, err := devices([]string{"tpu:0"}); err == nil {
		t.Error("tpu:0 was taken")
	}
}

// A GPU that is asked for by number must be there; what is left to TensorFlow
// runs on the CPU without a word.
func TestMissingGPUsAreRefused(t *testing.T) {
	if err := requireGPUs([]string{"/device:CPU:0"}); err != nil {
		t.Error(err)
	}
	if err := requireGPUs([]string{"/device:CPU:0", "/device:GPU:63"}); err == nil || !strings.Contains(err.Error(), "/device:GPU:63") {
		t.Errorf("GPU 63: %v", err)
	}
}

// What fine-tuning says about rates: frozen parts stand still, heads keep the
// whole rate, the rest has the body's.
func TestFineTuneRates(t *testing.T) {
	r := api.TrainRequest{Train: api.Training{Run: api.RunExtras{Weights: "w", NewHead: true, Freeze: []string{"cell_stem_"}, BodyRate: 0.1}}}
	o, err := withExtras(train.Options{}, r, &model.Plan{}, memoryExamples{})
	if err != nil {
		t.Fatal(err)
	}
	rate := func(name string) float32 {
		for _, s := range o.RateScales { // the first that fits holds
			if strings.HasPrefix(name, s.Names) {
				return s.Scale
			}
		}
		return 1
	}
	for name, want := range map[string]float32{"cell_stem_0/1x1/weights": 0, "final_layer/FC/weights": 1, "aux_7/aux_logits/FC/biases": 1, "cell_3/1x1/weights": 0.1} {
		if got := rate(name); got != want {
			t.Errorf("%s has %g of the rate, want %g", name, got, want)
		}
	}
	if len(o.Initial.Anew) == 0 {
		t.Error("no head is drawn anew")
	}
}
