package tfgraph

import (
	"fmt"
	"sort"

	tf "github.com/wamuir/graft/tensorflow"
)

// Tensor is one output of an operation. The zero value is inert: its shape is
// unknown, and an operation that receives it does nothing.
type Tensor struct {
	out tf.Output
	ok  bool
}

// Valid reports whether the tensor stands for an output of a graph.
func (t Tensor) Valid() bool { return t.ok }

// Op returns the operation that computes the tensor.
func (t Tensor) Op() Operation {
	if !t.ok {
		return Operation{}
	}
	return Operation{t.out.Op}
}

// Name returns "operation:index", TensorFlow's name of the tensor.
func (t Tensor) Name() string {
	if !t.ok {
		return "invalid"
	}
	return fmt.Sprintf("%s:%d", t.out.Op.Name(), t.out.Index)
}

// DType returns the element type, 0 for an invalid tensor.
func (t Tensor) DType() DataType {
	if !t.ok {
		return 0
	}
	return t.out.DataType()
}

// Shape returns the static shape, -1 for an unknown size; nil if the rank is
// unknown (or the tensor invalid). A scalar has an empty, non-nil shape.
func (t Tensor) Shape() []int64 {
	if !t.ok {
		return nil
	}
	sh := t.out.Shape()
	if sh.NumDimensions() < 0 {
		return nil
	}
	dims := make([]int64, sh.NumDimensions())
	for i := range dims {
		dims[i] = sh.Size(i)
	}
	return dims
}

// Dim returns size i of the shape, counted from the end if negative; -1 if it
// is not known.
func (t Tensor) Dim(i int) int64 {
	sh := t.Shape()
	if i < 0 {
		i += len(sh)
	}
	if i < 0 || i >= len(sh) {
		return -1
	}
	return sh[i]
}

// Operation is a node of the graph, used as a run target or a dependency.
type Operation struct{ op *tf.Operation }

// Valid reports whether the operation exists.
func (o Operation) Valid() bool { return o.op != nil }

// Name returns the node's name.
func (o Operation) Name() string {
	if o.op == nil {
		return "invalid"
	}
	return o.op.Name()
}

// Output returns output i, inert if the operation is invalid.
func (o Operation) Output(i int) Tensor {
	if o.op == nil || i >= o.op.NumOutputs() {
		return Tensor{}
	}
	return Tensor{out: o.op.Output(i), ok: true}
}

// Attrs are an operation's attributes: string, int, int64, []int64, float32,
// bool, DataType, []DataType, [Shape], []Shape, *Value, and [Func] in AddFuncOp.
type Attrs map[string]any

// Shape is a static shape as an attribute; nil means unknown rank, -1 an
// unknown size.
type Shape []int64

func (s Shape) tf() tf.Shape {
	if s == nil {
		return tf.Shape{}
	}
	return tf.MakeShape(s...)
}

// Add adds an operation of TensorFlow type typ to the scope and returns it.
// Inputs are Tensor or []Tensor (a list input), in the order of the op's
// definition. The node is named after the type.
func (s *Scope) Add(typ string, attrs Attrs, inputs ...any) Operation {
	return s.AddNamed(typ, typ, attrs, inputs...)
}

// AddNamed is Add with a node name of the caller's.
func (s *Scope) AddNamed(name, typ string, attrs Attrs, inputs ...any) Operation {
	if s.g.err != nil {
		return Operation{}
	}
	ins, ok := s.inputs(typ, inputs)
	if !ok {
		return Operation{}
	}
	op, err := s.g.tf.AddOperation(tf.OpSpec{
		Type: typ, Name: s.g.unique(s.join(name)), Input: ins, Attrs: tfAttrs(attrs),
		ControlDependencies: s.control, Device: s.device,
	})
	if err != nil {
		s.Fail("%s: %v", typ, err)
		return Operation{}
	}
	return Operation{op}
}

// One is Add for an operation whose first output is all that is wanted.
func (s *Scope) One(typ string, attrs Attrs, inputs ...any) Tensor {
	return s.Add(typ, attrs, inputs...).Output(0)
}

func (s *Scope) join(name string) string {
	if s.path == "" {
		return name
	}
	return s.path + "/" + name
}

// inputs converts operands; a missing one means an error that was not recorded
// where it arose, which is a fault of the builder and is reported here.
func (s *Scope) inputs(typ string, inputs []any) ([]tf.Input, bool) {
	ins := make([]tf.Input, len(inputs))
	for i, in := range inputs {
		switch in := in.(type) {
		case Tensor:
			if !in.ok {
				s.Fail("%s: input %d is not a tensor of the graph", typ, i)
				return nil, false
			}
			ins[i] = in.out
		case []Tensor:
			list := make(tf.OutputList, len(in))
			for j, t := range in {
				if !t.ok {
					s.Fail("%s: input %d[%d] is not a tensor of the graph", typ, i, j)
					return nil, false
				}
				list[j] = t.out
			}
			ins[i] = list
		default:
			s.Fail("%s: input %d is a %T, want Tensor or []Tensor", typ, i, in)
			return nil, false
		}
	}
	return ins, true
}

// tfAttrs converts the conveniences of Attrs to what graft takes.
func tfAttrs(attrs Attrs) map[string]any {
	out := make(map[string]any, len(attrs))
	for k, v := range attrs {
		switch v := v.(type) {
		case int:
			out[k] = int64(v)
		case Shape:
			out[k] = v.tf()
		case []Shape:
			list := make([]tf.Shape, len(v))
			for i, sh := range v {
				list[i] = sh.tf()
			}
			out[k] = list
		default:
			out[k] = v
		}
	}
	return out
}

// Group returns an operation that is done when all of ops are.
func Group(s *Scope, name string, ops ...Operation) Operation {
	return s.After(ops...).AddNamed(name, "NoOp", nil)
}

func outputs(ts []Tensor) []tf.Output {
	out := make([]tf.Output, len(ts))
	for i, t := range ts {
		out[i] = t.out
	}
	return out
}

// OpCounts returns how many operations of each type the graph has, most
// frequent first.
func (g *Graph) OpCounts() []OpCount {
	count := map[string]int{}
	for _, op := range g.tf.Operations() {
		count[op.Type()]++
	}
	list := make([]OpCount, 0, len(count))
	for t, n := range count {
		list = append(list, OpCount{t, n})
	}
	sort.Slice(list, func(i, j int) bool {
		return list[i].Count > list[j].Count || list[i].Count == list[j].Count && list[i].Type < list[j].Type
	})
	return list
}

// OpCount is a row of OpCounts.
type OpCount struct {
	Type  string
	Count int
}
