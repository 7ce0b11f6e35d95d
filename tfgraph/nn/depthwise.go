package nn

import "github.com/nasnet-go/nasnet/tfgraph"

// Depthwise convolves each channel of x [N,H,W,C] with its own kernel,
// w [kh,kw,C,1].
func Depthwise(s *tfgraph.Scope, x, w tfgraph.Tensor, win Window) tfgraph.Tensor {
	attrs := tfgraph.Attrs{"strides": win.strides(), "padding": string(win.Padding)}
	return s.One("DepthwiseConv2dNative", attrs, x, spread(s, w, win.Dilation)) // [N,H',W',C]
}

// DepthwiseOnCPU is Depthwise with another way to the same gradient of w where
// the window is wider than three columns: oneDNN's kernel is then six to ten
// times slower than for three (docs/results/bench-train.csv), so the gradient
// is put together from windows of three columns.
func DepthwiseOnCPU(s *tfgraph.Scope, x, w tfgraph.Tensor, win Window) tfgraph.Tensor {
	y := Depthwise(s, x, w, win)
	wide := win.Kernel[1] == 5 || win.Kernel[1] == 7
	if wide && x.Dim(2) > win.Kernel[1]/2 && win.Stride == [2]int64{1, 1} && win.Dilation[0] <= 1 && win.Dilation[1] <= 1 && win.Padding == Same {
		s.OverrideGradient(w, y, func(s *tfgraph.Scope, dy tfgraph.Tensor) tfgraph.Tensor {
			return wideFilterGradient(s, x, dy, win.Kernel)
		})
	}
	return y
}

// wideFilterGradient is the gradient of a kernel [kh,kw,C,1], kw 5 or 7, of
// stride 1 and Same padding. Column c of it is the sum of x[j-kw/2+c]*dy[j]. A
// window of three columns over dy shifted by d gives columns kw/2-1-d to
// kw/2+1-d, but for what the shift has moved over the border.
func wideFilterGradient(s *tfgraph.Scope, x, dy tfgraph.Tensor, kernel [2]int64) tfgraph.Tensor {
	kh := kernel[0]
	d := int32(kernel[1]/2 - 1) // the shift: 1 or 2
	none := [2]int32{}
	padded := tfgraph.Pad(s, dy, none, none, [2]int32{d, d}, none) // [N,H,W+2d,C]
	shifted := func(from int32) tfgraph.Tensor {
		return filterGradient(s, x, tfgraph.Slice(s, padded, []int32{0, 0, from, 0}, []int32{-1, -1, int32(dy.Dim(2)), -1}), kh, 3)
	}
	columns := func(g tfgraph.Tensor, from, n int32) tfgraph.Tensor {
		return tfgraph.Slice(s, g, []int32{0, from, 0, 0}, []int32{-1, n, -1, -1})
	}
	left, right := shifted(2*d), shifted(0)
	if kernel[1] == 7 {
		return tfgraph.Concat(s, 1, columns(left, 0, 2), filterGradient(s, x, dy, kh, 3), columns(right, 1, 2)) // [kh,7,C,1]
	}
	// The middle column lacks what dy's first column gives.
	first := func(t tfgraph.Tensor) tfgraph.Tensor {
		return tfgraph.Slice(s, t, []int32{0, 0, 0, 0}, []int32{-1, -1, 1, -1}) // [N,H,1,C]
	}
	middle := tfgraph.Add(s, columns(left, 2, 1), filterGradient(s, first(x), first(dy), kh, 1))
	return tfgraph.Concat(s, 1, columns(left, 0, 2), middle, columns(right, 1, 2)) // [kh,5,C,1]
}

// filterGradient is TensorFlow's, for a kernel [kh,kw,C,1] of stride 1.
func filterGradient(s *tfgraph.Scope, x, dy tfgraph.Tensor, kh, kw int64) tfgraph.Tensor {
	attrs := tfgraph.Attrs{"strides": []int64{1, 1, 1, 1}, "padding": string(Same)}
	size := tfgraph.Vector(s, int32(kh), int32(kw), int32(x.Dim(3)), 1)
	return s.One("DepthwiseConv2dNativeBackpropFilter", attrs, x, size, dy)
}
