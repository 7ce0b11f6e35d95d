package model

import (
	"fmt"
	"path"
)

// planner collects layers. The first error stays; everything after it is inert.
type planner struct {
	plan  *Plan
	stage string // that layers are counted to
	err   error
}

// ref is a layer's place in the plan.
type ref int

// scope is a place in slim's name space while planning.
type scope struct {
	p    *planner
	path string
	cell int
	aux  bool
}

func (s scope) sub(name string) scope {
	s.path = path.Join(s.path, name)
	return s
}

func (s scope) fail(format string, args ...any) ref {
	if s.p.err == nil {
		s.p.err = fmt.Errorf("model: /%s: %s", s.path, fmt.Sprintf(format, args...))
	}
	return 0
}

func (s scope) shape(x ref) [3]int { return s.p.plan.Layers[x].Shape }
func (s scope) height(x ref) int   { return s.shape(x)[0] }
func (s scope) channels(x ref) int { return s.shape(x)[2] }

// layer appends a layer named after the scope.
func (s scope) layer(l Layer, inputs ...ref) ref {
	l.Name, l.Cell, l.Stage, l.Aux = s.path, s.cell, s.p.stage, s.aux
	for _, x := range inputs {
		l.Inputs = append(l.Inputs, int(x))
	}
	s.p.plan.Layers = append(s.p.plan.Layers, l)
	return ref(len(s.p.plan.Layers) - 1)
}

func (s scope) relu(x ref) ref { return s.sub("relu").layer(Layer{Kind: ReLU, Shape: s.shape(x)}, x) }

// windowed is the output size of a window over n pixels.
func windowed(n, kernel, stride int, p Padding) int {
	if p == Valid {
		return (n-kernel)/stride + 1
	}
	return (n + stride - 1) / stride
}

// window is a convolution's or pool's geometry in both directions.
type window struct {
	kernel, stride [2]int
	dilation       int
	padding        Padding
}

func square(kernel, stride int) window {
	return window{kernel: [2]int{kernel, kernel}, stride: [2]int{stride, stride}, padding: Same}
}

func (s scope) windowLayer(kind Kind, x ref, channels int, w window) Layer {
	in := s.shape(x)
	for i, k := range w.kernel {
		if w.padding == Valid && in[i] < k {
			s.fail("a map of %dx%d is too small for a %dx%d window without padding; use a larger input", in[0], in[1], w.kernel[0], w.kernel[1])
		}
	}
	l := Layer{Kind: kind, Kernel: w.kernel, Stride: w.stride, Dilation: [2]int{w.dilation, w.dilation}, Padding: w.padding}
	l.Shape = [3]int{windowed(in[0], w.kernel[0], w.stride[0], w.padding), windowed(in[1], w.kernel[1], w.stride[1], w.padding), channels}
	return l
}

// conv is a convolution named after the scope: [H,W,C] -> [H',W',filters].
func (s scope) conv(x ref, filters int, w window) ref {
	l := s.windowLayer(Conv, x, filters, w)
	l.Variables = []Variable{{Name: s.path + "/weights", Shape: []int{w.kernel[0], w.kernel[1], s.channels(x), filters}, Trainable: true, L2: true, Init: FanOut}}
	return s.layer(l, x)
}

// separable is a depthwise and a pointwise convolution, nothing in between.
func (s scope) separable(x ref, filters int, w window) ref {
	c := s.channels(x)
	depthwise := s.windowLayer(DepthwiseConv, x, c, w)
	depthwise.Variables = []Variable{{Name: s.path + "/depthwise_weights", Shape: []int{w.kernel[0], w.kernel[1], c, 1}, Trainable: true, L2: true, Init: FanOut}}
	x = s.layer(depthwise, x)
	pointwise := s.windowLayer(Conv, x, filters, square(1, 1))
	pointwise.Variables = []Variable{{Name: s.path + "/pointwise_weights", Shape: []int{1, 1, c, filters}, Trainable: true, L2: true, Init: FanOut}}
	return s.layer(pointwise, x)
}

// norm is a batch norm named after the scope.
func (s scope) norm(x ref) ref {
	c := []int{s.channels(x)}
	return s.layer(Layer{Kind: BatchNorm, Shape: s.shape(x), Variables: []Variable{
		{Name: s.path + "/gamma", Shape: c, Trainable: true, Init: Ones},
		{Name: s.path + "/beta", Shape: c, Trainable: true, Init: Zeros},
		{Name: s.path + "/moving_mean", Shape: c, Init: Zeros},
		{Name: s.path + "/moving_variance", Shape: c, Init: Ones},
	}}, x)
}

// scaledNorm is a layer or instance norm named after the scope.
func (s scope) scaledNorm(kind Kind, x ref) ref {
	c := []int{s.channels(x)}
	return s.layer(Layer{Kind: kind, Shape: s.shape(x), Variables: []Variable{
		{Name: s.path + "/gamma", Shape: c, Trainable: true, Init: Ones},
		{Name: s.path + "/beta", Shape: c, Trainable: true, Init: Zeros},
	}}, x)
}

// pool is an average or maximum pool. Zero padding concerns stride 2 only.
func (s scope) pool(kind Kind, x ref, w window) ref {
	if s.p.plan.Model.Pooling == PoolZeroPadded && w.stride[0] == 2 && w.padding == Same {
		w.padding = ZeroPadded
	}
	return s.layer(s.windowLayer(kind, x, s.channels(x), w), x)
}

func (s scope) add(xs ...ref) ref { return s.layer(Layer{Kind: AddUp, Shape: s.shape(xs[0])}, xs...) }

func (s scope) concat(xs ...ref) ref {
	shape := s.shape(xs[0])
	shape[2] = 0
	for _, x := range xs {
		if s.height(x) != shape[0] {
			return s.fail("states of %d and %d pixels cannot be concatenated", shape[0], s.height(x))
		}
		shape[2] += s.channels(x)
	}
	if len(xs) == 1 {
		return xs[0]
	}
	return s.layer(Layer{Kind: ConcatChannels, Shape: shape}, xs...)
}

func (s scope) dense(x ref, classes int) ref {
	return s.layer(Layer{Kind: Dense, Shape: [3]int{1, 1, classes}, Variables: []Variable{
		{Name: s.path + "/weights", Shape: []int{s.channels(x), classes}, Trainable: true, L2: true, Init: FanOut},
		{Name: s.path + "/biases", Shape: []int{classes}, Trainable: true, Init: Zeros},
	}}, x)
}
