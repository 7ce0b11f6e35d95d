package nn_test

import (
	"fmt"
	"testing"

	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
)

// Values and gradients are those of TensorFlow's pool at every border.
func TestAvgPoolOnCPU(t *testing.T) {
	for _, kernel := range [][2]int64{{3, 3}, {2, 3}, {5, 1}} {
		for _, size := range [][2]int64{{4, 4}, {5, 3}, {7, 8}} {
			for _, stride := range []int64{1, 2} {
				for _, padding := range []nn.Padding{nn.Same, nn.Valid} {
					if size[0] < kernel[0] || size[1] < kernel[1] {
						continue // without oneDNN TensorFlow 2.18's gradient of such a pool is not its values'
					}
					win := nn.Window{Kernel: kernel, Stride: [2]int64{stride, stride}, Padding: padding}
					got := eval(t, func(s *tfgraph.Scope) tensors {
						x := input(s, 3, 2, size[0], size[1], 4)
						pair := func(pool func(*tfgraph.Scope, tfgraph.Tensor, nn.Window) tfgraph.Tensor) (y, dx tfgraph.Tensor) {
							y = pool(s, x, win)
							loss := tfgraph.ReduceSum(s, tfgraph.Square(s, tfgraph.Square(s, y)))
							return y, tfgraph.Gradients(s, tensors{loss}, tensors{x})[0]
						}
						want, wantGrad := pair(nn.AvgPool)
						y, grad := pair(nn.AvgPoolOnCPU)
						return tensors{want, y, wantGrad, grad}
					})
					what := fmt.Sprintf("kernel %v on %v, stride %d, %s", kernel, size, stride, padding)
					near(t, what, got[1], got[0])
					near(t, what+": gradient", got[3], got[2])
				}
			}
		}
	}
}

// Even and odd sizes take different ways to the same pixels.
func TestSubsampleKeepsEverySecondPixel(t *testing.T) {
	for _, size := range [][2]int64{{4, 6}, {5, 6}, {5, 7}} {
		h, w := size[0], size[1]
		pixels := noise(5, int(2*h*w*3))
		got := eval(t, func(s *tfgraph.Scope) tensors {
			x := tfgraph.Const(s, pixels, 2, h, w, 3)
			return tensors{nn.Subsample(s, x), nn.ShiftSubsample(s, x)}
		})
		for shift, y := range got {
			k := 0
			for n := range int64(2) {
				for i := int64(shift); i < h+int64(shift); i += 2 {
					for j := int64(shift); j < w+int64(shift); j += 2 {
						for c := range int64(3) {
							want := float32(0)
							if i < h && j < w {
								want = pixels[((n*h+i)*w+j)*3+c]
							}
							if k < len(y) && y[k] != want {
								t.Fatalf("%dx%d, shift %d: [%d,%d,%d,%d] is %g, want %g", h, w, shift, n, i, j, c, y[k], want)
							}
							k++
						}
					}
				}
			}
			if k != len(y) {
				t.Errorf("%dx%d, shift %d: %d values, want %d", h, w, shift, len(y), k)
			}
		}
	}
}
