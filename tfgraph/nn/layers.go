package nn

import (
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Padding says how a window treats the border.
type Padding string

// Same centres the window and ignores what lies outside (average pools divide
// by the real elements); Valid stays inside.
const (
	Same  Padding = "SAME"
	Valid Padding = "VALID"
)

// Window is a convolution's or pool's geometry, {height, width} each.
type Window struct {
	Kernel   [2]int64
	Stride   [2]int64
	Dilation [2]int64 // zero value: 1
	Padding  Padding
}

func (w Window) strides() []int64 { return []int64{1, w.Stride[0], w.Stride[1], 1} }
func (w Window) size() []int64    { return []int64{1, w.Kernel[0], w.Kernel[1], 1} }

// ReLU is max(x, 0).
func ReLU(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor { return s.One("Relu", nil, x) }

// Conv convolves x [N,H,W,C] with kernel w [kh,kw,C,F], without bias.
func Conv(s *tfgraph.Scope, x, w tfgraph.Tensor, win Window) tfgraph.Tensor {
	attrs := tfgraph.Attrs{"strides": win.strides(), "padding": string(win.Padding)}
	return s.One("Conv2D", attrs, x, spread(s, w, win.Dilation)) // [N,H',W',F]
}

// ShiftedConv is ShiftSubsample and a 1x1 convolution w [1,1,C,F] with bias [F],
// without a copy of the map: [N,H,W,C] -> [N,ceil(H/2),ceil(W/2),F]. The
// convolution of stride 2 begins at the zero before the first pixel; what it makes
// of that row and column is cut off.
func ShiftedConv(s *tfgraph.Scope, x, w, bias tfgraph.Tensor) tfgraph.Tensor {
	y := s.One("Conv2D", tfgraph.Attrs{
		"strides": []int64{1, 2, 2, 1}, "padding": "EXPLICIT", "explicit_paddings": []int64{0, 0, 1, 1, 1, 1, 0, 0},
	}, x, w) // [N,H/2+1,W/2+1,F]
	y = s.One("BiasAdd", nil, y, bias)
	return tfgraph.Slice(s, y, []int32{0, 1, 1, 0}, []int32{-1, -1, -1, -1})
}

// spread puts the zeros of a dilated window into its kernel: [kh,kw,C,F] ->
// [(kh-1)*d+1,(kw-1)*d+1,C,F]. The operations' own dilation is not used because
// the C API's gradient of Conv2D drops that attribute (TensorFlow 2.18,
// cc/gradients/nn_grad.cc) and so is wrong without an error.
func spread(s *tfgraph.Scope, w tfgraph.Tensor, d [2]int64) tfgraph.Tensor {
	d = [2]int64{max(1, d[0]), max(1, d[1])}
	if d == [2]int64{1, 1} {
		return w
	}
	kh, kw, c, f := w.Dim(0), w.Dim(1), w.Dim(2), w.Dim(3)
	none := [2]int32{}
	w = tfgraph.Reshape(s, w, kh, 1, kw, 1, c, f)
	w = tfgraph.Pad(s, w, none, [2]int32{0, int32(d[0] - 1)}, none, [2]int32{0, int32(d[1] - 1)}, none, none)
	w = tfgraph.Reshape(s, w, kh*d[0], kw*d[1], c, f)
	return tfgraph.Slice(s, w, []int32{0, 0, 0, 0}, []int32{int32((kh-1)*d[0] + 1), int32((kw-1)*d[1] + 1), -1, -1})
}

// PointwiseMatMul is a 1x1 convolution of stride 1 as a matrix product. Its
// values are those of Conv; on CPUs the gradient of its filter is cheaper,
// which makes whole training steps 5 to 15 % faster.
func PointwiseMatMul(s *tfgraph.Scope, x, w tfgraph.Tensor) tfgraph.Tensor {
	h, wd, c, f := x.Dim(1), x.Dim(2), w.Dim(2), w.Dim(3)
	rows := tfgraph.Reshape(s, x, -1, c)                      // [N*H*W,C]
	y := tfgraph.MatMul(s, rows, tfgraph.Reshape(s, w, c, f)) // [N*H*W,F]
	return tfgraph.Reshape(s, y, -1, h, wd, f)                // [N,H,W,F]
}

// AvgPool averages windows; with Same padding it divides by the elements that
// lie inside the image.
func AvgPool(s *tfgraph.Scope, x tfgraph.Tensor, win Window) tfgraph.Tensor {
	return s.One("AvgPool", tfgraph.Attrs{"ksize": win.size(), "strides": win.strides(), "padding": string(win.Padding)}, x)
}

// MaxPool takes the largest element of windows.
func MaxPool(s *tfgraph.Scope, x tfgraph.Tensor, win Window) tfgraph.Tensor {
	return s.One("MaxPool", tfgraph.Attrs{"ksize": win.size(), "strides": win.strides(), "padding": string(win.Padding)}, x)
}

// ZeroPadSpatial surrounds images with zeros so that a Valid window of the
// given kernel and stride 2 lands where Keras' correct_pad puts it: before =
// k/2 - (1 - size%2), after = k/2 (keras/src/applications/imagenet_utils.py).
func ZeroPadSpatial(s *tfgraph.Scope, x tfgraph.Tensor, kernel [2]int64) tfgraph.Tensor {
	before := func(i int) int32 { return int32(kernel[i]/2 - (1 - x.Dim(1+i)%2)) }
	after := func(i int) int32 { return int32(kernel[i] / 2) }
	return tfgraph.Pad(s, x, [2]int32{}, [2]int32{before(0), after(0)}, [2]int32{before(1), after(1)}, [2]int32{})
}

// Subsample keeps every second row and column, beginning with the first: slim's
// 1x1 average pool of stride 2. [N,H,W,C] -> [N,ceil(H/2),ceil(W/2),C].
func Subsample(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
	if even(x) {
		return corner(s, x, 0)
	}
	return AvgPool(s, x, Window{Kernel: [2]int64{1, 1}, Stride: [2]int64{2, 2}, Padding: Valid})
}

// ShiftSubsample keeps the other pixels: it appends a row and a column of
// zeros, drops the first ones and subsamples. The second path of slim's
// factorised reduction; the same shape as Subsample's.
func ShiftSubsample(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
	if even(x) { // the zeros are not among what is kept
		return corner(s, x, 1)
	}
	padded := tfgraph.Pad(s, x, [2]int32{}, [2]int32{0, 1}, [2]int32{0, 1}, [2]int32{}) // [N,H+1,W+1,C]
	shifted := tfgraph.Slice(s, padded, []int32{0, 1, 1, 0}, []int32{-1, -1, -1, -1})   // [N,H,W,C]
	return Subsample(s, shifted)
}

func even(x tfgraph.Tensor) bool {
	h, w := x.Dim(1), x.Dim(2)
	return h > 0 && w > 0 && h%2 == 0 && w%2 == 0
}

// corner keeps pixel (i,i) of every square of 2x2: one slice, whose gradient is
// one padding, and cheaper than a pool's.
func corner(s *tfgraph.Scope, x tfgraph.Tensor, i int64) tfgraph.Tensor {
	h, w, c := x.Dim(1), x.Dim(2), x.Dim(3)
	squares := tfgraph.Reshape(s, x, -1, 2, w/2, 2*c) // [N*H/2,2,W/2,2C]
	kept := tfgraph.Slice(s, squares, []int32{0, int32(i), 0, int32(i * c)}, []int32{-1, 1, -1, int32(c)})
	return tfgraph.Reshape(s, kept, -1, h/2, w/2, c)
}

// GlobalMean averages over height and width: [N,H,W,C] -> [N,C].
func GlobalMean(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
	return tfgraph.Mean(s, x, 1, 2)
}

// Dense is x [N,C] times w [C,F] plus b [F].
func Dense(s *tfgraph.Scope, x, w, b tfgraph.Tensor) tfgraph.Tensor {
	return s.One("BiasAdd", nil, tfgraph.MatMul(s, x, w), b) // [N,F]
}

// BatchNormTrain normalises x [N,H,W,C] with the batch's own mean and (biased)
// variance. moved are the moving statistics [C] after this batch: decay * old +
// (1-decay) * batch, where the batch's variance is the unbiased one, times
// n/(n-1) (golden/slim README). decay must be below 1.
func BatchNormTrain(s *tfgraph.Scope, x tfgraph.Tensor, p BatchNormParams, epsilon, decay float32) (y, movedMean, movedVariance tfgraph.Tensor) {
	op := s.Add("FusedBatchNormV3", tfgraph.Attrs{
		"epsilon": epsilon, "is_training": true, "exponential_avg_factor": 1 - decay,
	}, x, p.Gamma, p.Beta, p.Mean, p.Variance)
	return op.Output(0), op.Output(1), op.Output(2)
}

// BatchNormParams are a batch norm's tensors, [C] each.
type BatchNormParams struct{ Gamma, Beta, Mean, Variance tfgraph.Tensor }

// BatchNorm normalises x [N,H,W,C] with the moving statistics: x*scale + shift,
// scale = gamma/sqrt(variance+epsilon), shift = beta - mean*scale. Written out
// because the CPU kernel of the fused operation is several times slower in
// inference, and because with constant weights TensorFlow then folds scale into
// the convolution before it.
func BatchNorm(s *tfgraph.Scope, x tfgraph.Tensor, p BatchNormParams, epsilon float32) tfgraph.Tensor {
	root := tfgraph.Rsqrt(s, tfgraph.Add(s, p.Variance, tfgraph.Scalarc(s, epsilon)))
	scale := tfgraph.Mul(s, root, p.Gamma)                         // [C]
	shift := tfgraph.Sub(s, p.Beta, tfgraph.Mul(s, p.Mean, scale)) // [C]
	return s.One("BiasAdd", nil, tfgraph.Mul(s, x, scale), shift)
}

// LayerNorm normalises each example over height, width and channels, then
// scales and shifts by channel (gamma, beta [C]).
func LayerNorm(s *tfgraph.Scope, x, gamma, beta tfgraph.Tensor, epsilon float32) tfgraph.Tensor {
	return normalize(s, x, gamma, beta, epsilon, 1, 2, 3)
}

// InstanceNorm normalises each channel of each example over height and width,
// then scales and shifts by channel (gamma, beta [C]).
func InstanceNorm(s *tfgraph.Scope, x, gamma, beta tfgraph.Tensor, epsilon float32) tfgraph.Tensor {
	return normalize(s, x, gamma, beta, epsilon, 1, 2)
}

func normalize(s *tfgraph.Scope, x, gamma, beta tfgraph.Tensor, epsilon float32, axes ...int32) tfgraph.Tensor {
	centred := tfgraph.Sub(s, x, tfgraph.MeanKeep(s, x, axes...))
	variance := tfgraph.MeanKeep(s, tfgraph.Square(s, centred), axes...)
	scale := tfgraph.Mul(s, tfgraph.Rsqrt(s, tfgraph.Add(s, variance, tfgraph.Scalarc(s, epsilon))), gamma)
	return tfgraph.Add(s, tfgraph.Mul(s, centred, scale), beta) // [N,H,W,C]
}
