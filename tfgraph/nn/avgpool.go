package nn

import "github.com/nasnet-go/nasnet/tfgraph"

// fewChannels is below what the CPU kernel of AvgPool's gradient is fast for: at
// 8 channels it takes eight times as long as at 16 (docs/results/bench-train.csv).
const fewChannels = 16

// AvgPoolOnCPU is AvgPool, for few channels as a depthwise convolution with
// ones, divided by the number of elements inside the image, whose gradient is
// cheaper.
func AvgPoolOnCPU(s *tfgraph.Scope, x tfgraph.Tensor, win Window) tfgraph.Tensor {
	h, w, c := x.Dim(1), x.Dim(2), x.Dim(3)
	if c >= fewChannels || h < 1 || w < 1 || win.Kernel == [2]int64{1, 1} {
		return AvgPool(s, x, win)
	}
	sums := Depthwise(s, x, tfgraph.Filled(s, 1, win.Kernel[0], win.Kernel[1], c, 1), win) // [N,H',W',C]
	share := make([]float32, 0, sums.Dim(1)*sums.Dim(2))
	for i := range sums.Dim(1) {
		rows := inside(i, h, win.Kernel[0], win.Stride[0], win.Padding)
		for j := range sums.Dim(2) {
			share = append(share, 1/float32(rows*inside(j, w, win.Kernel[1], win.Stride[1], win.Padding)))
		}
	}
	return tfgraph.Mul(s, sums, tfgraph.Const(s, share, 1, sums.Dim(1), sums.Dim(2), 1))
}

// inside is how many elements of a window of k lie within size at output i.
func inside(i, size, k, stride int64, padding Padding) int64 {
	first := i * stride
	if padding == Same {
		out := (size + stride - 1) / stride
		first -= max(0, (out-1)*stride+k-size) / 2
	}
	return min(first+k, size) - max(first, 0)
}
