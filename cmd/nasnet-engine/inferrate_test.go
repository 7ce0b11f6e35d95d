package main

import (
	"context"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

func TestInferRateTimesFormsThatAgree(t *testing.T) {
	r := api.InferRateRequest{
		Model: smallModel(t), Batch: 2, Runs: 2, Rounds: 3, Profile: true, Threads: api.Threads{InterOp: 2, IntraOp: 1},
		Forms: []string{"plain", "frozen", "optimized", "optimized+bfloat16"},
	}
	out, err := inferRate(context.Background(), r, func(engine.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range out.Forms {
		if f.Form != r.Forms[i] || len(f.ImagesPerSecond) != 3 || len(f.Kinds) == 0 || f.LargestLogit < 0.1 {
			t.Errorf("%+v", f)
		}
		if rounded := f.Form == "optimized+bfloat16"; rounded != (f.MaxAbsDiff > 1e-4*f.LargestLogit) {
			t.Errorf("%s: logits of up to %g differ by %g", f.Form, f.LargestLogit, f.MaxAbsDiff)
		}
	}
	for _, form := range []string{"nosuch", "optimized+nosuch"} {
		r.Forms = []string{form}
		if _, err := inferRate(context.Background(), r, nil); err == nil || !strings.Contains(err.Error(), form) {
			t.Errorf("form %s: %v", form, err)
		}
	}
}
