package nn_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

type tensors = []tfgraph.Tensor

// eval runs tensors that need no feeds or variables.
func eval(t *testing.T, build func(s *tfgraph.Scope) tensors) [][]float32 {
	t.Helper()
	return tftest.Run(t, func(s *tfgraph.Scope) (tensors, tfgraph.Feeds, tfgraph.Operation) {
		return build(s), nil, tfgraph.Operation{}
	})
}

func noise(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64())
	}
	return out
}

func input(s *tfgraph.Scope, seed uint64, shape ...int64) tfgraph.Tensor {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return tfgraph.Const(s, noise(seed, int(n)), shape...)
}

func TestDropPathGolden(t *testing.T) {
	g := tftest.Npz(t, reftest.Shared(t, "golden", "slim", "optim", "optim.npz"))
	x, u, keeps, want := g["drop_path/x"], g["drop_path/uniform"], g["drop_path/keep_probs"], g["drop_path/out"].Float32()
	size := len(x.Data)
	for i, keep := range keeps.Float32() {
		got := eval(t, func(s *tfgraph.Scope) tensors {
			mask := nn.DropMasks(s, tfgraph.Vector(s, keep), tfgraph.Const(s, u.Float32(), 1, 6), 1)[0]
			return tensors{tfgraph.Mul(s, tfgraph.Const(s, x.Float32(), x.Shape...), mask)}
		})
		tftest.Near(t, fmt.Sprintf("drop path, keep %g", keep), got[0], want[i*size:(i+1)*size], 1e-6)
	}
}

func TestCrossEntropyGolden(t *testing.T) {
	g := tftest.Npz(t, reftest.Shared(t, "golden", "slim", "optim", "optim.npz"))
	classes := make([]int64, 6)
	for i, c := range g["xent/labels"].Data {
		classes[i] = int64(c)
	}
	for _, smoothing := range []float32{0, 0.1} {
		for _, weight := range []float32{1, 0.4} {
			got := eval(t, func(s *tfgraph.Scope) tensors {
				logits := tfgraph.Const(s, g["xent/logits"].Float32(), 6, 7)
				targets := nn.Targets(s, tfgraph.Vector(s, classes...), 7, smoothing)
				loss := tfgraph.Scale(s, nn.CrossEntropy(s, logits, targets), weight)
				return append(tensors{loss}, tfgraph.Gradients(s, tensors{loss}, tensors{logits})...)
			})
			name := fmt.Sprintf("xent/smooth%g_weight%g", smoothing, weight)
			tftest.Near(t, name+"/loss", got[0], g[name+"/loss"].Float32(), 1e-6)
			tftest.Near(t, name+"/dlogits", got[1], g[name+"/dlogits"].Float32(), 1e-6)
		}
	}
}

func TestPointwiseMatMulEqualsConv(t *testing.T) {
	got := eval(t, func(s *tfgraph.Scope) tensors {
		x, w := input(s, 1, 2, 5, 3, 4), input(s, 2, 1, 1, 4, 6)
		win := nn.Window{Kernel: [2]int64{1, 1}, Stride: [2]int64{1, 1}, Padding: nn.Same}
		a, b := nn.Conv(s, x, w, win), nn.PointwiseMatMul(s, x, w)
		da := tfgraph.Gradients(s, tensors{tfgraph.ReduceSum(s, tfgraph.Square(s, a))}, tensors{x, w})
		db := tfgraph.Gradients(s, tensors{tfgraph.ReduceSum(s, tfgraph.Square(s, b))}, tensors{x, w})
		return append(append(tensors{a}, da...), append(tensors{b}, db...)...)
	})
	for i, what := range []string{"values", "gradient of x", "gradient of w"} {
		tftest.Near(t, what, got[3+i], got[i], 1e-3)
	}
}

// The two paths of a factorised reduction see complementary pixels.
func TestSubsamplesOfASmallImage(t *testing.T) {
	got := eval(t, func(s *tfgraph.Scope) tensors {
		x := tfgraph.Const(s, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 3, 3, 1)
		return tensors{nn.Subsample(s, x), nn.ShiftSubsample(s, x)}
	})
	tftest.Near(t, "subsample", got[0], []float32{1, 3, 7, 9}, 0)
	tftest.Near(t, "shifted subsample", got[1], []float32{5, 0, 0, 0}, 0)
}

func TestZeroPaddedPoolsFollowKeras(t *testing.T) {
	win := nn.Window{Kernel: [2]int64{3, 3}, Stride: [2]int64{2, 2}, Padding: nn.Valid}
	got := eval(t, func(s *tfgraph.Scope) tensors {
		even := tfgraph.Filled(s, -9, 1, 4, 4, 1)
		odd := tfgraph.Filled(s, -9, 1, 3, 3, 1)
		pe, po := nn.ZeroPadSpatial(s, even, win.Kernel), nn.ZeroPadSpatial(s, odd, win.Kernel)
		return tensors{nn.AvgPool(s, pe, win), nn.AvgPool(s, po, win), nn.MaxPool(s, pe, win)}
	})
	tftest.Near(t, "even average", got[0], []float32{-9, -6, -6, -4}, 1e-5) // padded below and right only
	tftest.Near(t, "odd average", got[1], []float32{-4, -4, -4, -4}, 1e-5)  // padded on all sides
	tftest.Near(t, "even maximum", got[2], []float32{-9, 0, 0, 0}, 0)       // zeros win over negatives
}

func TestDilatedConvEqualsTheOperationsOwn(t *testing.T) {
	win := nn.Window{Kernel: [2]int64{3, 3}, Stride: [2]int64{1, 1}, Dilation: [2]int64{2, 2}, Padding: nn.Same}
	got := eval(t, func(s *tfgraph.Scope) tensors {
		x, w := input(s, 1, 2, 7, 6, 4), input(s, 2, 3, 3, 4, 5)
		own := s.One("Conv2D", tfgraph.Attrs{"strides": []int64{1, 1, 1, 1}, "padding": "SAME", "dilations": []int64{1, 2, 2, 1}}, x, w)
		return tensors{nn.Conv(s, x, w, win), own}
	})
	tftest.Near(t, "dilated convolution", got[0], got[1], 1e-4)
}

func TestNormsHaveZeroMeanAndUnitVariance(t *testing.T) {
	got := eval(t, func(s *tfgraph.Scope) tensors {
		x := tfgraph.Add(s, tfgraph.Scale(s, input(s, 3, 2, 4, 4, 3), 5), tfgraph.Scalarc(s, float32(7)))
		one, zero := tfgraph.Filled(s, 1, 3), tfgraph.Filled(s, 0, 3)
		mean := func(y tfgraph.Tensor, axes ...int32) tensors {
			return tensors{tfgraph.Mean(s, y, axes...), tfgraph.Mean(s, tfgraph.Square(s, y), axes...)}
		}
		y, _, _ := nn.BatchNormTrain(s, x, nn.BatchNormParams{Gamma: one, Beta: zero, Mean: zero, Variance: one}, 1e-6, 0.9)
		out := mean(y, 0, 1, 2)
		out = append(out, mean(nn.LayerNorm(s, x, one, zero, 1e-6), 1, 2, 3)...)
		return append(out, mean(nn.InstanceNorm(s, x, one, zero, 1e-6), 1, 2)...)
	})
	for i := 0; i < len(got); i += 2 {
		for j := range got[i] {
			if math.Abs(float64(got[i][j])) > 1e-4 || math.Abs(float64(got[i+1][j])-1) > 1e-3 {
				t.Errorf("norm %d, group %d: mean %g, mean square %g", i/2, j, got[i][j], got[i+1][j])
			}
		}
	}
}

func TestMovingStatisticsAreThoseOfSlim(t *testing.T) {
	got := eval(t, func(s *tfgraph.Scope) tensors {
		x := tfgraph.Const(s, []float32{1, 2, 3, 6}, 4, 1, 1, 1) // mean 3, unbiased variance 14/3
		p := nn.BatchNormParams{Gamma: tfgraph.Filled(s, 1, 1), Beta: tfgraph.Zeros(s, 1), Mean: tfgraph.Filled(s, 10, 1), Variance: tfgraph.Filled(s, 2, 1)}
		_, mean, variance := nn.BatchNormTrain(s, x, p, 1e-3, 0.9)
		return tensors{mean, variance}
	})
	tftest.Near(t, "moving mean", got[0], []float32{0.9*10 + 0.1*3}, 1e-6)
	tftest.Near(t, "moving variance", got[1], []float32{0.9*2 + 0.1*14.0/3}, 1e-6)
}

// Every layer's gradient against central differences of its own values.
func TestGradientsAgainstFiniteDifferences(t *testing.T) {
	win := func(k, stride, dil int64) nn.Window {
		return nn.Window{Kernel: [2]int64{k, k}, Stride: [2]int64{stride, stride}, Dilation: [2]int64{dil, dil}, Padding: nn.Same}
	}
	layers := map[string]func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor{
		"conv3x3": func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
			return nn.Conv(s, x, input(s, 9, 3, 3, 2, 3), win(3, 1, 1))
		},
		"conv3x3/2": func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
			return nn.Conv(s, x, input(s, 9, 3, 3, 2, 3), win(3, 2, 1))
		},
		"conv3x3 dilated": func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
			return nn.Conv(s, x, input(s, 9, 3, 3, 2, 3), win(3, 1, 2))
		},
		"depthwise5x5/2": func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
			return nn.Depthwise(s, x, input(s, 9, 5, 5, 2, 1), win(5, 2, 1))
		},
		"depthwise3x3 dilated": func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
			return nn.Depthwise(s, x, input(s, 9, 3, 3, 2, 1), win(3, 1, 2))
		},
		"avgpool":         func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor { return nn.AvgPool(s, x, win(3, 2, 1)) },
		"maxpool":         func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor { return nn.MaxPool(s, x, win(3, 2, 1)) },
		"shift subsample": nn.ShiftSubsample,
		"global mean":     nn.GlobalMean,
		"layer norm": func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
			return nn.LayerNorm(s, x, input(s, 8, 2), input(s, 7, 2), 1e-3)
		},
		"instance norm": func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
			return nn.InstanceNorm(s, x, input(s, 8, 2), input(s, 7, 2), 1e-3)
		},
		"batch norm": func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
			p := nn.BatchNormParams{Gamma: input(s, 8, 2), Beta: input(s, 7, 2), Mean: input(s, 6, 2), Variance: input(s, 5, 2)}
			y, _, _ := nn.BatchNormTrain(s, x, p, 1e-3, 0.9)
			return y
		},
	}
	for name, layer := range layers {
		t.Run(name, func(t *testing.T) { tftest.CheckGradient(t, layer, noise(4, 2*5*5*2), 2, 5, 5, 2) })
	}
}
