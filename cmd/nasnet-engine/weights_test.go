package main

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/internal/reftest"
)

func preset(t *testing.T, name string) model.Model {
	t.Helper()
	m, err := model.Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// predicted runs converted weights on an array.
func predicted(t *testing.T, m model.Model, prefix, images string) []float32 {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.npy")
	if _, err := predict(context.Background(), api.PredictRequest{Model: &m, Weights: prefix, Input: images, Output: out}, nil); err != nil {
		t.Fatal(err)
	}
	data, _, err := npy.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// relative is the largest difference, relative to the largest of want.
func relative(got, want []float32) float64 {
	worst, largest := 0.0, 0.0
	for i := range want {
		worst = math.Max(worst, math.Abs(float64(got[i]-want[i])))
		largest = math.Max(largest, math.Abs(float64(want[i])))
	}
	return worst / largest
}

// Keras' NASNets with random weights: their logits are ours with zero_padded
// pooling, and are not with slim's (reference nasnet.md section 8).
func TestKerasParity(t *testing.T) {
	script, err := os.ReadFile("testdata/keras_nasnet.py")
	if err != nil {
		t.Fatal(err)
	}
	small := func(blocks, filters, pixels int, skip bool) model.Model {
		m := preset(t, "nasnet-a-mobile")
		m.NormalCells, m.Filters, m.SkipReductionInput, m.Classes = 3*blocks, filters, skip, 10
		m.Input = [3]int{pixels, pixels, 3}
		return m
	}
	for which, m := range map[string]model.Model{
		"mobile": preset(t, "nasnet-a-mobile"), "large": preset(t, "nasnet-a-large"),
		"2,192,96,1": small(2, 8, 96, true), "1,384,75,0": small(1, 16, 75, false), // even and odd maps
	} {
		t.Run(which, func(t *testing.T) {
			dir := t.TempDir()
			reftest.Python(t, string(script), dir, which)
			prefix := filepath.Join(dir, "model.ckpt")
			m.AuxHead = true // which Keras lacks
			r, err := convertWeights(context.Background(), api.WeightsRequest{Model: m, From: "npz", Source: dir + "/weights.npz", To: "checkpoint", Out: prefix}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Model.AuxHead {
				t.Error("the result claims an auxiliary head")
			}
			want, _, err := npy.Read(dir + "/logits.npy")
			if err != nil {
				t.Fatal(err)
			}
			m = r.Model
			m.Pooling = model.PoolZeroPadded
			if d := relative(predicted(t, m, prefix, dir+"/images.npy"), want); !(d <= 1e-4) {
				t.Errorf("zero_padded: logits differ by %.2g of the largest", d)
			}
			m.Pooling = model.PoolSame
			if d := relative(predicted(t, m, prefix, dir+"/images.npy"), want); !(d > 1e-3) {
				t.Errorf("same: logits differ by only %.2g of the largest; the switch does nothing", d)
			}
		})
	}
}

// slim's own checkpoint there and back, its background class left out.
func TestWeightsThereAndBack(t *testing.T) {
	golden := reftest.Shared(t, "golden", "slim", "a2-mobile")
	m := preset(t, "nasnet-a-mobile")
	m.NormalCells, m.Filters, m.Input, m.Classes = 6, 8, [3]int{80, 80, 3}, 11
	dir := t.TempDir()
	convert := func(r api.WeightsRequest) api.WeightsResult {
		t.Helper()
		out, err := convertWeights(context.Background(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := convert(api.WeightsRequest{Model: m, From: "slim", Source: golden + "/model.ckpt", To: "npz", Out: dir + "/all.npz"})
	if all.Variables != 718 || all.Values != 242032 {
		t.Errorf("%d variables of %d values", all.Variables, all.Values)
	}
	convert(api.WeightsRequest{Model: m, From: "npz", Source: dir + "/all.npz", To: "checkpoint", Out: dir + "/back.ckpt"})
	want := predicted(t, m, golden+"/model.ckpt", golden+"/input.npy")
	if d := relative(predicted(t, m, dir+"/back.ckpt", golden+"/input.npy"), want); d != 0 {
		t.Errorf("after .npz and back the logits differ by %g", d)
	}
	m.Classes = 10
	if _, err := convertWeights(context.Background(), api.WeightsRequest{Model: m, From: "slim", Source: golden + "/model.ckpt", To: "npz", Out: dir + "/no.npz"}, nil); err == nil || !strings.Contains(err.Error(), "--drop-background") {
		t.Errorf("another number of classes: %v", err)
	}
	convert(api.WeightsRequest{Model: m, From: "slim", Source: golden + "/model.ckpt", To: "checkpoint", Out: dir + "/ten.ckpt", DropBackground: true})
	got := predicted(t, m, dir+"/ten.ckpt", golden+"/input.npy")
	for i := range got {
		if was := want[i/10*11+1+i%10]; math.Abs(float64(got[i]-was)) > 1e-6 {
			t.Fatalf("logit %d is %g, was %g", i, got[i], was)
		}
	}
}
