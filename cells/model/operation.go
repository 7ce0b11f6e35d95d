package model

import (
	"fmt"

	"github.com/nasnet-go/nasnet/cells"
)

// operation plans one operation of the space: [H,W,C] -> [⌈H/s⌉,⌈W/s⌉,f]. Every
// convolution is preceded by a ReLU and followed by a batch norm.
func (s scope) operation(op cells.Op, x ref, f, stride int) ref {
	switch op {
	case cells.Skip:
		if stride == 2 {
			return s.factorized(s.relu(x), f, 2) // quark0/darts cnn/operations.py FactorizedReduce
		}
		return s.operation(cells.Identity, x, f, stride)
	case cells.Identity:
		if stride == 1 && s.channels(x) == f {
			return x
		}
		return s.reluConv(x, "1x1", "bn_1", f, square(1, stride))
	case cells.Sep3x3, cells.Sep5x5, cells.Sep7x7:
		return s.stackedSeparable(x, f, int(op[3]-'0'), stride)
	case cells.Avg3x3:
		return s.project(s.sub("avg_pool").pool(AvgPool, x, square(3, stride)), f)
	case cells.DilSeparable3x3, cells.DilSeparable5x5:
		return s.dilatedSeparable(x, f, int(op[6]-'0'), stride)
	case cells.Max2x2, cells.Max3x3, cells.Max5x5, cells.Max7x7:
		return s.project(s.sub("max_pool").pool(MaxPool, x, square(int(op[3]-'0'), stride)), f)
	case cells.Conv1x1:
		return s.reluConv(x, "1x1", "bn_1", f, square(1, stride))
	case cells.Conv3x3:
		return s.reluConv(x, "3x3", "bn_3x3", f, square(3, stride))
	case cells.Dil3x3:
		w := square(3, stride)
		w.dilation = 2 // the rate is not in the paper; AmoebaNet's code offers 2, 4 and 6
		return s.reluConv(x, "dil_3x3_2", "bn_dil_3x3_2", f, w)
	case cells.Conv1x3_3x1:
		return s.factorConv(x, f, 3, stride)
	case cells.Conv1x7_7x1:
		return s.factorConv(x, f, 7, stride)
	case cells.Conv3x3Narrow:
		return s.bottleneck(x, f, func(x ref, f int) ref { return s.reluConv(x, "3x3", "bn", f, square(3, stride)) })
	case cells.Conv1x7Narrow:
		return s.bottleneck(x, f, func(x ref, f int) ref { return s.factorConv(x, f, 7, stride) })
	}
	return s.fail("unknown operation %q", op)
}

func (s scope) reluConv(x ref, conv, norm string, f int, w window) ref {
	return s.sub(norm).norm(s.sub(conv).conv(s.relu(x), f, w))
}

// stackedSeparable applies a separable convolution twice; the first one has the
// stride and maps to f channels (slim _stacked_separable_conv).
func (s scope) stackedSeparable(x ref, f, k, stride int) ref {
	for i := 1; i <= 2; i++ {
		conv := s.sub(fmt.Sprintf("separable_%dx%d_%d", k, k, i)).separable(s.relu(x), f, square(k, stride))
		x = s.sub(fmt.Sprintf("bn_sep_%dx%d_%d", k, k, i)).norm(conv)
		stride = 1
	}
	return x
}

// factorConv is 1xk, then kx1, each with its own long axis strided
// (tensorflow/tpu amoeba_net network_utils.py).
func (s scope) factorConv(x ref, f, k, stride int) ref {
	a, b := fmt.Sprintf("1x%d", k), fmt.Sprintf("%dx1", k)
	x = s.reluConv(x, a, "bn_"+a, f, window{kernel: [2]int{1, k}, stride: [2]int{1, stride}, padding: Same})
	return s.reluConv(x, b, "bn_"+b, f, window{kernel: [2]int{k, 1}, stride: [2]int{stride, 1}, padding: Same})
}

// project brings a pool's output to f channels, without a ReLU.
func (s scope) project(x ref, f int) ref {
	if s.channels(x) == f {
		return x
	}
	return s.sub("bn_1").norm(s.sub("1x1").conv(x, f, square(1, 1)))
}

// bottleneck runs op at a quarter of the filters, between two 1x1 convolutions;
// where a quarter is nothing, op alone (tensorflow/tpu amoeba_net
// network_utils.py _apply_operation).
func (s scope) bottleneck(x ref, f int, op func(x ref, f int) ref) ref {
	narrow := f / 4
	if narrow < 1 {
		return op(x, f)
	}
	x = s.reluConv(x, "pre_1x1", "pre_bn", narrow, square(1, 1)) // [H,W,f/4]
	return s.reluConv(op(x, narrow), "post_1x1", "post_bn", f, square(1, 1))
}

// dilatedSeparable is one depthwise-separable convolution of dilation 2
// (quark0/darts cnn/operations.py DilConv).
func (s scope) dilatedSeparable(x ref, f, k, stride int) ref {
	w := square(k, stride)
	w.dilation = 2
	conv := s.sub(fmt.Sprintf("dil_separable_%dx%d", k, k)).separable(s.relu(x), f, w)
	return s.sub(fmt.Sprintf("bn_dil_sep_%dx%d", k, k)).norm(conv)
}
