package nn_test

import (
	"math"
	"testing"

	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// Each pair is mixed by one share, images and targets alike, and the shares of
// many steps are those of Beta(0.4, 0.4): mean 1/2, variance 1/(4*(2*0.4+1)).
func TestMixup(t *testing.T) {
	g := tfgraph.New()
	s := g.Root()
	key := tfgraph.Placeholder(s, "key", tfgraph.Int64, tfgraph.Shape{2})
	images := tfgraph.Const(s, []float32{0, 10, 100}, 3, 1, 1, 1)
	targets := tfgraph.Const(s, []float32{1, 0, 0, 0, 1, 0, 0, 0, 1}, 3, 3)
	x, y := nn.Mixup(s, images, targets, key, 0.4)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	var sum, squares float64
	const steps = 2000
	for step := range steps {
		k, err := tfgraph.NewValue([]int64{5, int64(step)}, 2)
		if err != nil {
			t.Fatal(err)
		}
		out, err := sess.Run(tfgraph.Feeds{key: k}, []tfgraph.Tensor{x, y})
		if err != nil {
			t.Fatal(err)
		}
		got := tftest.Floats(t, out)
		share := got[1][0] // of the first example in its own target
		if share < 0 || share > 1 {
			t.Fatalf("share %g", share)
		}
		near := func(name string, got, want float32) {
			if math.Abs(float64(got-want)) > 1e-4 {
				t.Fatalf("step %d, share %g: %s is %g, want %g", step, share, name, got, want)
			}
		}
		near("first image", got[0][0], 100*(1-share))
		near("middle image", got[0][1], 10)
		near("last image", got[0][2], 100*share)
		near("first target's other class", got[1][2], 1-share)
		sum, squares = sum+float64(share), squares+float64(share*share)
	}
	mean := sum / steps
	variance := squares/steps - mean*mean
	if math.Abs(mean-0.5) > 0.04 || math.Abs(variance-1/(4*1.8)) > 0.015 {
		t.Errorf("shares have mean %.3f and variance %.3f, want 0.5 and %.3f", mean, variance, 1/(4*1.8))
	}
}

// The box of the other image counts as much in the targets as in the pixels, and
// the middle image, its own mirror, stays.
func TestCutMix(t *testing.T) {
	g := tfgraph.New()
	s := g.Root()
	key := tfgraph.Placeholder(s, "key", tfgraph.Int64, tfgraph.Shape{2})
	const side = 20
	pixels := make([]float32, 3*side*side)
	for i := range pixels {
		pixels[i] = float32(i / (side * side)) // 0, 1, 2
	}
	targets := tfgraph.Const(s, []float32{1, 0, 0, 0, 1, 0, 0, 0, 1}, 3, 3)
	x, y := nn.CutMix(s, tfgraph.Const(s, pixels, 3, side, side, 1), targets, key, 1)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	var sum float64
	const steps = 500
	for step := range steps {
		k, err := tfgraph.NewValue([]int64{5, int64(step)}, 2)
		if err != nil {
			t.Fatal(err)
		}
		out, err := sess.Run(tfgraph.Feeds{key: k}, []tfgraph.Tensor{x, y})
		if err != nil {
			t.Fatal(err)
		}
		got := tftest.Floats(t, out)
		foreign := 0
		for i, v := range got[0] {
			switch {
			case i < side*side && v == 2:
				foreign++
			case i < side*side && v != 0, i >= side*side && i < 2*side*side && v != 1:
				t.Fatalf("step %d: pixel %d is %g", step, i, v)
			}
		}
		area := float64(foreign) / (side * side)
		sum += area
		if math.Abs(area-float64(got[1][2])) > 1e-5 || math.Abs(1-area-float64(got[1][0])) > 1e-5 {
			t.Fatalf("step %d: %g of the pixels, targets %v", step, area, got[1][:3])
		}
	}
	// Beta(1, 1) would give boxes of half the image; about a third of that hangs over.
	if mean := sum / steps; mean < 0.2 || mean > 0.45 {
		t.Errorf("boxes have %.3f of the image on average", mean)
	}
}
