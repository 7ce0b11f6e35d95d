package nn_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
)

// The gradient that is put together from narrow windows is that of the wide one,
// at every border, for weights that two operations read, and for more windows
// than it is made for.
func TestWideFilterGradient(t *testing.T) {
	for _, kernel := range [][2]int64{{3, 3}, {5, 5}, {7, 7}, {1, 7}, {3, 5}} {
		for _, size := range [][3]int64{{4, 4, 3}, {5, 3, 8}, {2, 4, 1}, {9, 8, 5}} {
			h, w, c := size[0], size[1], size[2]
			for _, stride := range []int64{1, 2} {
				got := eval(t, func(s *tfgraph.Scope) tensors {
					win := nn.Window{Kernel: kernel, Stride: [2]int64{stride, stride}, Padding: nn.Same}
					x := input(s, 1, 2, h, w, c)
					grad := func(depthwise func(*tfgraph.Scope, tfgraph.Tensor, tfgraph.Tensor, nn.Window) tfgraph.Tensor) tfgraph.Tensor {
						k := input(s, 2, kernel[0], kernel[1], c, 1)
						y := depthwise(s, x, k, win)
						z := depthwise(s, tfgraph.Square(s, x), k, win)
						loss := tfgraph.ReduceSum(s, tfgraph.Square(s, tfgraph.Add(s, y, z)))
						return tfgraph.Gradients(s, []tfgraph.Tensor{loss}, []tfgraph.Tensor{k})[0]
					}
					return tensors{grad(nn.Depthwise), grad(nn.DepthwiseOnCPU)}
				})
				near(t, fmt.Sprintf("kernel %v on %v, stride %d", kernel, size, stride), got[1], got[0])
			}
		}
	}
}

// near compares to 1e-5 of the largest.
func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	most, worst := 0.0, 0.0
	for i := range want {
		most, worst = max(most, math.Abs(float64(want[i]))), max(worst, math.Abs(float64(got[i]-want[i])))
	}
	if worst > 1e-5*most || most == 0 {
		t.Errorf("%s: %g of %g apart", what, worst, most)
	}
}
