package configs_test

import (
	"testing"

	"github.com/nasnet-go/nasnet/configs"
)

// Half the bits of a weight may move logits by a share of the largest one;
// whole weights by the tolerance alone, which grows with logits above 10.
func TestAllowedDifference(t *testing.T) {
	for weights, want := range map[string]float64{"float32": 0.25, "float16": 0.25 + 8.0/128, "bfloat16": 0.25 + 8.0/16} {
		e := configs.Export{Weights: weights, Tolerance: 0.25}
		if got := e.Allowed(8); got != want {
			t.Errorf("%s: %g, want %g", weights, got, want)
		}
	}
	if got := (configs.Export{Weights: "float32", Tolerance: 0.25}).Allowed(1000); got != 25 {
		t.Errorf("logits of 1000: %g, want 25", got)
	}
}
