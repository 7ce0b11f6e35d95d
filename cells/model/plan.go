package model

import "fmt"

// Kind names what a layer does.
type Kind string

// The kinds of layers. Images are [H,W,C] a batch entry.
const (
	Input          Kind = "input"
	ReLU           Kind = "relu"
	Conv           Kind = "conv"           // with a bias only in plans for inference
	DepthwiseConv  Kind = "depthwise_conv" // one kernel a channel, without bias
	BatchNorm      Kind = "batch_norm"
	LayerNorm      Kind = "layer_norm"
	InstanceNorm   Kind = "instance_norm"
	AvgPool        Kind = "avg_pool"
	MaxPool        Kind = "max_pool"
	Subsample      Kind = "subsample"       // every second pixel, from the first
	ShiftSubsample Kind = "shift_subsample" // the other pixels; a zero row and column at the end
	AddUp          Kind = "add"
	ConcatChannels Kind = "concat"
	GlobalMean     Kind = "global_mean" // over height and width
	Flatten        Kind = "flatten"
	Dropout        Kind = "dropout"
	Dense          Kind = "dense" // with bias
	DropPath       Kind = "drop_path"
)

// Padding says how a window treats the border.
type Padding string

// Same and Valid are TensorFlow's; ZeroPadded is Keras' explicit zeros followed
// by a Valid window (reference nasnet.md section 8).
const (
	Same       Padding = "same"
	Valid      Padding = "valid"
	ZeroPadded Padding = "zero_padded"
	Shifted    Padding = "shifted" // windows begin one pixel later than Valid ones; zeros below and to the right
)

// Init names a variable's first value.
type Init string

// FanOut is slim's truncated normal scaled by the fan-out; SmallNormal a
// truncated normal of deviation 0.01; Glorot uniform, scaled by the mean of
// fan-in and fan-out.
const (
	FanOut      Init = "fan_out"
	Zeros       Init = "zeros"
	Ones        Init = "ones"
	SmallNormal Init = "small_normal"
	Glorot      Init = "glorot_uniform"
)

// Variable is a weight or a moving statistic.
type Variable struct {
	Name      string // as in slim's checkpoints: cell_0/1x1/weights
	Shape     []int
	Trainable bool
	L2        bool // takes weight decay
	Init      Init
}

// Size is the number of its elements.
func (v Variable) Size() int64 {
	n := int64(1)
	for _, d := range v.Shape {
		n *= int64(d)
	}
	return n
}

// Layer is one step of the network. Its inputs come earlier in the list.
type Layer struct {
	Name      string // slim's scope, such as cell_0/comb_iter_0/left/separable_5x5_1
	Kind      Kind
	Inputs    []int
	Shape     [3]int // of the output: height, width, channels; vectors are 1,1,C
	Kernel    [2]int // of convolutions and pools
	Stride    [2]int
	Dilation  [2]int // 0 means 1
	Padding   Padding
	Cell      int // number in the order of drop path, stem cells first; -1 outside of cells
	Stage     string
	Aux       bool // of the auxiliary head: only in training
	Variables []Variable
}

// EndPoint names a layer's output as slim does.
type EndPoint struct {
	Name  string
	Layer int
}

// Plan is a network as a list of layers, each after its inputs.
type Plan struct {
	Model      Model
	Layers     []Layer
	EndPoints  []EndPoint
	Logits     int // of a stage that Split makes: its output, as is Pooled
	AuxLogits  int // -1 without an auxiliary head
	Pooled     int
	TotalCells int // of drop path: stem cells, normal and reduction cells
}

// Variables lists all variables in slim's order of creation.
func (p *Plan) Variables() []Variable {
	var list []Variable
	for _, l := range p.Layers {
		list = append(list, l.Variables...)
	}
	return list
}

// LastMap names the end point of the last map: the last cell's output.
func (p *Plan) LastMap() string { return fmt.Sprintf("Cell_%d", p.Model.NormalCells-1) }
