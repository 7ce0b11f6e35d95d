package network

import (
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
)

// layer adds layer i and returns its output.
func (b *builder) layer(s *tfgraph.Scope, i int) tfgraph.Tensor {
	l := b.plan.Layers[i]
	x := b.input(l, 0)
	switch l.Kind {
	case model.ReLU:
		return b.relu(s, x)
	case model.Conv:
		return b.conv(s, l, x)
	case model.DepthwiseConv:
		if b.forCPU() {
			return nn.DepthwiseOnCPU(s, x, b.variable(s, l, 0).Read, window(l))
		}
		return nn.Depthwise(s, x, b.variable(s, l, 0).Read, window(l))
	case model.BatchNorm:
		return b.batchNorm(s, l, x)
	case model.LayerNorm:
		return nn.LayerNorm(s, x, b.variable(s, l, 0).Read, b.variable(s, l, 1).Read, b.epsilon())
	case model.InstanceNorm:
		return nn.InstanceNorm(s, x, b.variable(s, l, 0).Read, b.variable(s, l, 1).Read, b.epsilon())
	case model.AvgPool, model.MaxPool:
		return b.pool(s, l, x)
	case model.Subsample:
		return nn.Subsample(s, x)
	case model.ShiftSubsample:
		return nn.ShiftSubsample(s, x)
	case model.AddUp:
		return b.add(s, l)
	case model.ConcatChannels:
		return tfgraph.Concat(s, 3, b.inputs(l)...)
	case model.GlobalMean:
		return nn.GlobalMean(s, x)
	case model.Flatten:
		return tfgraph.Reshape(s, x, -1, x.Dim(1)*x.Dim(2)*x.Dim(3))
	case model.Dense:
		return b.dense(s, l, x)
	case model.DropPath:
		return b.dropPath(s, i, x)
	case model.Dropout:
		return b.dropout(s, i, x)
	}
	return s.Fail("no graph for a layer of kind %v", l.Kind)
}

// relu is shared by all operations of a cell that read x: so is its gradient.
func (b *builder) relu(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
	y, ok := b.relus[x]
	if !ok {
		y = nn.ReLU(s, x)
		b.relus[x] = y
	}
	return y
}

func (b *builder) input(l model.Layer, i int) tfgraph.Tensor {
	if i >= len(l.Inputs) {
		return tfgraph.Tensor{}
	}
	return b.out[l.Inputs[i]]
}

func (b *builder) inputs(l model.Layer) []tfgraph.Tensor {
	ts := make([]tfgraph.Tensor, len(l.Inputs))
	for i := range ts {
		ts[i] = b.input(l, i)
	}
	return ts
}

// variable makes (or finds) variable i of the layer. In training its weight
// decay is noted.
func (b *builder) variable(s *tfgraph.Scope, l model.Layer, i int) *tfgraph.Variable {
	spec := l.Variables[i]
	v := Variable(s, b.st, spec)
	if spec.L2 && b.o.Training {
		b.res.Decayed = append(b.res.Decayed, v)
	}
	return v
}

// Variable makes (or finds) a planned variable.
func Variable(s *tfgraph.Scope, st *tfgraph.Store, spec model.Variable) *tfgraph.Variable {
	return st.Get(s, spec.Name, sizes(spec), spec.Trainable, initializer(spec.Init))
}

func initializer(i model.Init) tfgraph.Initializer {
	switch i {
	case model.Zeros:
		return tfgraph.ZerosInit
	case model.Ones:
		return tfgraph.OnesInit
	case model.SmallNormal:
		return tfgraph.TruncatedNormalInit(0.01)
	case model.Glorot:
		return tfgraph.GlorotUniformInit
	}
	return tfgraph.FanOutInit
}

func window(l model.Layer) nn.Window {
	pair := func(p [2]int) [2]int64 { return [2]int64{int64(p[0]), int64(p[1])} }
	w := nn.Window{Kernel: pair(l.Kernel), Stride: pair(l.Stride), Dilation: pair(l.Dilation), Padding: nn.Same}
	if l.Padding != model.Same {
		w.Padding = nn.Valid
	}
	return w
}

func (b *builder) conv(s *tfgraph.Scope, l model.Layer, x tfgraph.Tensor) tfgraph.Tensor {
	w, win := b.variable(s, l, 0).Read, window(l)
	pointwise := win.Kernel == [2]int64{1, 1} && win.Stride == [2]int64{1, 1}
	if pointwise && b.forCPU() {
		return nn.PointwiseMatMul(s, x, w)
	}
	if l.Padding == model.Shifted {
		return nn.ShiftedConv(s, x, w, b.variable(s, l, 1).Read)
	}
	y := nn.Conv(s, x, w, win)
	if len(l.Variables) == 1 {
		return y
	}
	return s.One("BiasAdd", nil, y, b.variable(s, l, 1).Read)
}

// dense is a product and a bias. For running forward they stand apart:
// TensorFlow 2.18's fusion of both packs the weights anew in every run, which took
// 4 of the 13 ms of a mobile network's one image.
func (b *builder) dense(s *tfgraph.Scope, l model.Layer, x tfgraph.Tensor) tfgraph.Tensor {
	w, bias := b.variable(s, l, 0).Read, b.variable(s, l, 1).Read
	if b.o.Training {
		return nn.Dense(s, x, w, bias)
	}
	return tfgraph.Add(s, tfgraph.EnsureShape(s, tfgraph.MatMul(s, x, w)), bias) // [N,F]
}

// forCPU reports whether gradients matter and are taken on a CPU.
func (b *builder) forCPU() bool { return b.o.Training && !b.o.Plain }

func (b *builder) pool(s *tfgraph.Scope, l model.Layer, x tfgraph.Tensor) tfgraph.Tensor {
	win := window(l)
	if l.Padding == model.ZeroPadded {
		x = nn.ZeroPadSpatial(s, x, win.Kernel)
	}
	switch {
	case l.Kind == model.MaxPool:
		return nn.MaxPool(s, x, win)
	case b.forCPU():
		return nn.AvgPoolOnCPU(s, x, win)
	}
	return nn.AvgPool(s, x, win)
}

func (b *builder) epsilon() float32 { return float32(b.plan.Model.BatchNorm.Epsilon) }

func (b *builder) batchNorm(s *tfgraph.Scope, l model.Layer, x tfgraph.Tensor) tfgraph.Tensor {
	v := make([]*tfgraph.Variable, 4) // gamma, beta, moving mean, moving variance
	for i := range v {
		v[i] = b.variable(s, l, i)
	}
	p := nn.BatchNormParams{Gamma: v[0].Read, Beta: v[1].Read, Mean: v[2].Read, Variance: v[3].Read}
	if !b.o.Training || b.o.FrozenNorm {
		return nn.BatchNorm(s, x, p, b.epsilon())
	}
	y, mean, variance := nn.BatchNormTrain(s, x, p, b.epsilon(), float32(b.plan.Model.BatchNorm.Decay))
	b.res.Updates = append(b.res.Updates, v[2].Assign(s, mean), v[3].Assign(s, variance))
	return y
}

func (b *builder) add(s *tfgraph.Scope, l model.Layer) tfgraph.Tensor {
	sum := b.summand(s, l, 0)
	for i := 1; i < len(l.Inputs); i++ {
		sum = tfgraph.Add(s, sum, b.summand(s, l, i))
	}
	return sum
}

// summand is what a sum reads. TensorFlow would fuse a convolution with a bias and
// the sum behind it into one operation, whose oneDNN kernel (2.18,
// mkl_conv_ops.cc) keeps the summand in the kernel itself: two runs of one session
// at once then corrupt the heap. A check of the shape between them stands in the
// way.
func (b *builder) summand(s *tfgraph.Scope, l model.Layer, i int) tfgraph.Tensor {
	x, from := b.input(l, i), b.plan.Layers[l.Inputs[i]]
	if from.Kind == model.Conv && len(from.Variables) == 2 {
		return tfgraph.EnsureShape(s, x)
	}
	return x
}

// dropMasks draws the masks of all drop-path layers of this step at once.
func (b *builder) dropMasks(s *tfgraph.Scope, images tfgraph.Tensor) {
	if b.plan.Model.DropPathKeep >= 1 {
		return
	}
	var layers []int
	var cells []int32
	for i, l := range b.plan.Layers {
		if l.Kind == model.DropPath {
			layers, cells = append(layers, i), append(cells, int32(l.Cell))
		}
	}
	if len(layers) == 0 {
		return
	}
	if !b.o.Keep.Valid() || !b.o.Noise.Valid() {
		s.Fail("the model drops paths (drop_path_keep %g), but keep probabilities or a noise key were not given", b.plan.Model.DropPathKeep)
		return
	}
	keep := tfgraph.Gather(s, b.o.Keep, tfgraph.Vector(s, cells...)) // [sites]
	n := tfgraph.Slice(s, tfgraph.ShapeOf(s, images), []int32{0}, []int32{1})
	shape := tfgraph.Concat(s, 0, tfgraph.Vector(s, int64(len(layers))), n)
	u := tfgraph.StatelessUniform(s, shape, b.o.Noise) // [sites,N]
	b.masks = map[int]tfgraph.Tensor{}
	for i, mask := range nn.DropMasks(s, keep, u, len(layers)) {
		b.masks[layers[i]] = mask
	}
}

func (b *builder) dropPath(s *tfgraph.Scope, i int, x tfgraph.Tensor) tfgraph.Tensor {
	if mask, ok := b.masks[i]; ok {
		return tfgraph.Mul(s, x, mask)
	}
	return x
}

// dropoutSite keeps dropout's random numbers apart from those of drop path.
const dropoutSite = 1 << 29

func (b *builder) dropout(s *tfgraph.Scope, i int, x tfgraph.Tensor) tfgraph.Tensor {
	keep := float32(b.plan.Model.DropoutKeep)
	if !b.o.Training || keep >= 1 {
		return x
	}
	if !b.o.Noise.Valid() {
		return s.Fail("the model drops units (dropout_keep %g), but a noise key was not given", keep)
	}
	key := tfgraph.Add(s, b.o.Noise, tfgraph.Vector(s, dropoutSite+int64(i), int64(0)))
	return nn.Dropout(s, x, tfgraph.StatelessUniform(s, tfgraph.ShapeOf(s, x), key), keep)
}
