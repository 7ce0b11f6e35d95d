package main

import "testing"

// Programs are set against our form of the same precision; one without a rate
// against nothing.
func TestCompareInference(t *testing.T) {
	rows := []inferRow{
		{Runner: "nasnet plain", Rate: 50},
		{Runner: "nasnet optimized", Rate: 100},
		{Runner: "nasnet optimized+bfloat16", Rate: 80},
		{Runner: "nasnet optimized+bf16", Rate: 300},
		{Runner: "openvino f32", Rate: 200},
		{Runner: "openvino bf16", Rate: 150},
		{Runner: "torch f32"},
	}
	compareInference(rows)
	for i, want := range []float64{2, 1, 1.25, 1, 0.5, 2, 0} {
		if rows[i].Ratio != want {
			t.Errorf("%s: %g, want %g", rows[i].Runner, rows[i].Ratio, want)
		}
	}
}
