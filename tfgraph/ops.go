package tfgraph

import (
	"fmt"
	"math"

	tf "github.com/wamuir/graft/tensorflow"
)

// Placeholder is a value that a run feeds. A nil shape is unknown.
func Placeholder(s *Scope, name string, dtype DataType, shape Shape) Tensor {
	return s.AddNamed(name, "Placeholder", Attrs{"dtype": dtype, "shape": shape}).Output(0)
}

// PlaceholderWithDefault is a value that a run may feed, and is x otherwise.
func PlaceholderWithDefault(s *Scope, name string, x Tensor) Tensor {
	return s.AddNamed(name, "PlaceholderWithDefault", Attrs{"shape": Shape(x.Shape())}, x).Output(0)
}

// EnsureShape is x, whose shape is checked once more when it is computed. Graph
// optimization fuses nothing across it.
func EnsureShape(s *Scope, x Tensor) Tensor {
	return s.One("EnsureShape", Attrs{"shape": Shape(x.Shape())}, x)
}

// ConstValue is a constant with the given content.
func ConstValue(s *Scope, v *Value) Tensor {
	if v == nil {
		return s.Fail("constant without a value")
	}
	return s.One("Const", Attrs{"dtype": v.DataType(), "value": v})
}

// Const is a constant of data in the given shape; a scalar has no sizes.
func Const[T Number](s *Scope, data []T, shape ...int64) Tensor {
	v, err := NewValue(data, shape...)
	if err != nil {
		return s.Fail("constant: %v", err)
	}
	return ConstValue(s, v)
}

// Scalarc is a scalar constant.
func Scalarc[T Number](s *Scope, x T) Tensor { return ConstValue(s, Scalar(x)) }

// Vector is a one-dimensional constant.
func Vector[T Number](s *Scope, data ...T) Tensor { return Const(s, data, int64(len(data))) }

// StringConst is a string scalar.
func StringConst(s *Scope, x string) Tensor {
	v, err := tf.NewTensor(x)
	if err != nil {
		return s.Fail("string constant: %v", err)
	}
	return ConstValue(s, v)
}

// StringsConst is a string vector.
func StringsConst(s *Scope, list []string) Tensor {
	v, err := tf.NewTensor(list)
	if err != nil {
		return s.Fail("string constant: %v", err)
	}
	return ConstValue(s, v)
}

// Zeros is a float32 tensor of zeros.
func Zeros(s *Scope, shape ...int64) Tensor { return Filled(s, 0, shape...) }

// Filled is a float32 tensor with one value throughout. Equal ones of a graph
// are one tensor: hundreds of variables begin as the same zeros and ones, and a
// node each would take a good part of the time to the first step.
func Filled(s *Scope, x float32, shape ...int64) Tensor {
	if len(s.control) > 0 {
		return s.One("Fill", nil, Vector(s, shape...), Scalarc(s, x))
	}
	key := fmt.Sprintf("%s %08x %v", s.device, math.Float32bits(x), shape)
	if t, ok := s.g.filled[key]; ok {
		return t
	}
	t := s.One("Fill", nil, Vector(s, shape...), Scalarc(s, x))
	s.g.filled[key] = t
	return t
}

// Element-wise operations, with broadcasting.

func Add(s *Scope, a, b Tensor) Tensor      { return s.One("AddV2", nil, a, b) }
func Sub(s *Scope, a, b Tensor) Tensor      { return s.One("Sub", nil, a, b) }
func Mul(s *Scope, a, b Tensor) Tensor      { return s.One("Mul", nil, a, b) }
func Div(s *Scope, a, b Tensor) Tensor      { return s.One("RealDiv", nil, a, b) }
func FloorDiv(s *Scope, a, b Tensor) Tensor { return s.One("FloorDiv", nil, a, b) }
func FloorMod(s *Scope, a, b Tensor) Tensor { return s.One("FloorMod", nil, a, b) }
func Maximum(s *Scope, a, b Tensor) Tensor  { return s.One("Maximum", nil, a, b) }
func Minimum(s *Scope, a, b Tensor) Tensor  { return s.One("Minimum", nil, a, b) }
func Equal(s *Scope, a, b Tensor) Tensor    { return s.One("Equal", nil, a, b) }
func Less(s *Scope, a, b Tensor) Tensor     { return s.One("Less", nil, a, b) }
func GreaterEqual(s *Scope, a, b Tensor) Tensor {
	return s.One("GreaterEqual", nil, a, b)
}
func Greater(s *Scope, a, b Tensor) Tensor    { return s.One("Greater", nil, a, b) }
func DivNoNan(s *Scope, a, b Tensor) Tensor   { return s.One("DivNoNan", nil, a, b) } // 0 where b is 0
func LogicalAnd(s *Scope, a, b Tensor) Tensor { return s.One("LogicalAnd", nil, a, b) }
func Square(s *Scope, a Tensor) Tensor        { return s.One("Square", nil, a) }
func Sqrt(s *Scope, a Tensor) Tensor          { return s.One("Sqrt", nil, a) }
func Rsqrt(s *Scope, a Tensor) Tensor         { return s.One("Rsqrt", nil, a) }
func Exp(s *Scope, a Tensor) Tensor           { return s.One("Exp", nil, a) }
func Log(s *Scope, a Tensor) Tensor           { return s.One("Log", nil, a) }
func Floor(s *Scope, a Tensor) Tensor         { return s.One("Floor", nil, a) }

// Scale is x times a constant.
func Scale(s *Scope, x Tensor, k float32) Tensor { return Mul(s, x, Scalarc(s, k)) }

// Select is a where cond holds, else b, with broadcasting.
func Select(s *Scope, cond, a, b Tensor) Tensor { return s.One("SelectV2", nil, cond, a, b) }

// Sum adds several tensors of one shape.
func Sum(s *Scope, ts ...Tensor) Tensor {
	if len(ts) == 1 {
		return ts[0]
	}
	return s.One("AddN", nil, ts)
}

// Cast converts the element type.
func Cast(s *Scope, x Tensor, to DataType) Tensor {
	if x.DType() == to {
		return x
	}
	return s.One("Cast", Attrs{"DstT": to}, x)
}

// Identity is x under a name of its own.
func Identity(s *Scope, name string, x Tensor) Tensor {
	return s.AddNamed(name, "Identity", nil, x).Output(0)
}

// Reshape gives x another shape; one size may be -1.
func Reshape(s *Scope, x Tensor, shape ...int64) Tensor {
	return s.One("Reshape", nil, x, Vector(s, shape...))
}

// ExpandDims inserts an axis of size 1.
func ExpandDims(s *Scope, x Tensor, axis int32) Tensor {
	return s.One("ExpandDims", nil, x, Scalarc(s, axis))
}

// ShapeOf is x's shape at run time, int64 [rank].
func ShapeOf(s *Scope, x Tensor) Tensor {
	return s.One("Shape", Attrs{"out_type": Int64}, x)
}

// Concat joins tensors along an axis.
func Concat(s *Scope, axis int32, ts ...Tensor) Tensor {
	if len(ts) == 1 {
		return ts[0]
	}
	return s.One("ConcatV2", nil, ts, Scalarc(s, axis))
}

// Stack packs tensors of one shape along a new axis.
func Stack(s *Scope, axis int, ts ...Tensor) Tensor {
	return s.One("Pack", Attrs{"axis": axis}, ts)
}

// Pad surrounds x with zeros; paddings are {before, after} an axis.
func Pad(s *Scope, x Tensor, paddings ...[2]int32) Tensor {
	flat := make([]int32, 0, 2*len(paddings))
	for _, p := range paddings {
		flat = append(flat, p[0], p[1])
	}
	return s.One("Pad", nil, x, Const(s, flat, int64(len(paddings)), 2))
}

// Slice cuts size elements from begin along each axis; -1 means all the rest.
func Slice(s *Scope, x Tensor, begin, size []int32) Tensor {
	return s.One("Slice", nil, x, Vector(s, begin...), Vector(s, size...))
}

// Gather picks rows of params along axis 0.
func Gather(s *Scope, params, indices Tensor) Tensor {
	return s.One("GatherV2", nil, params, indices, Scalarc(s, int32(0)))
}

// GatherRows picks params[b, indices[b, ...]]: rows of each example of a batch.
func GatherRows(s *Scope, params, indices Tensor) Tensor {
	return s.One("GatherV2", Attrs{"batch_dims": 1}, params, indices, Scalarc(s, int32(1)))
}

// GatherNd picks params at indices [..., k] over its first k axes.
func GatherNd(s *Scope, params, indices Tensor) Tensor {
	return s.One("GatherNd", nil, params, indices)
}

// MatMul is a times b, [n,k] x [k,m].
func MatMul(s *Scope, a, b Tensor) Tensor { return s.One("MatMul", nil, a, b) }

// Mean averages over axes; without axes over all of them.
func Mean(s *Scope, x Tensor, axes ...int32) Tensor { return reduce(s, "Mean", x, false, axes) }

// MeanKeep is Mean that keeps the reduced axes with size 1.
func MeanKeep(s *Scope, x Tensor, axes ...int32) Tensor { return reduce(s, "Mean", x, true, axes) }

// ReduceSum adds over axes; without axes over all of them.
func ReduceSum(s *Scope, x Tensor, axes ...int32) Tensor { return reduce(s, "Sum", x, false, axes) }

func reduce(s *Scope, op string, x Tensor, keep bool, axes []int32) Tensor {
	if len(axes) == 0 {
		axes = make([]int32, len(x.Shape()))
		for i := range axes {
			axes[i] = int32(i)
		}
	}
	return s.One(op, Attrs{"keep_dims": keep}, x, Vector(s, axes...))
}

// OneHot turns int64 classes [n] into float32 [n, depth].
func OneHot(s *Scope, classes Tensor, depth int32) Tensor {
	return s.One("OneHot", nil, classes, Scalarc(s, depth), Scalarc(s, float32(1)), Scalarc(s, float32(0)))
}

// ArgMax is the index of the largest element along the last axis, int64.
func ArgMax(s *Scope, x Tensor) Tensor { return ArgMaxOf(s, x, -1) }

// ArgMaxOf is the index of the first of the largest elements along an axis, int64.
func ArgMaxOf(s *Scope, x Tensor, axis int32) Tensor {
	return s.One("ArgMax", nil, x, Scalarc(s, axis))
}

// TopK are the k largest elements along the last axis, largest first, and their
// indices, int32; of equal ones the first comes first. It has no gradient.
func TopK(s *Scope, x Tensor, k int64) (values, indices Tensor) {
	op := s.Add("TopKV2", Attrs{"sorted": true}, x, Scalarc(s, int32(k)))
	return op.Output(0), op.Output(1)
}

// Transpose reorders axes.
func Transpose(s *Scope, x Tensor, axes ...int32) Tensor {
	return s.One("Transpose", nil, x, Vector(s, axes...))
}

// StopGradient is x for which nothing before it gets a gradient.
func StopGradient(s *Scope, x Tensor) Tensor { return s.One("StopGradient", nil, x) }

// StatelessUniform is uniform [0,1) float32 noise of a run-time shape, a pure
// function of seed, an int64 [2].
func StatelessUniform(s *Scope, shape, seed Tensor) Tensor {
	return s.One("StatelessRandomUniform", Attrs{"dtype": Float32}, shape, seed)
}

// StatelessInts are uniform int32 in [low, high), a pure function of seed.
func StatelessInts(s *Scope, shape, seed Tensor, low, high int32) Tensor {
	return s.One("StatelessRandomUniformInt", nil, shape, seed, Scalarc(s, low), Scalarc(s, high))
}
