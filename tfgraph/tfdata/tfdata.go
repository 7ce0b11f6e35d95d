// Package tfdata builds tf.data input pipelines as graph nodes that
// TensorFlow's C++ runtime runs in its own threads.
//
//	Range ─► Map ─► Batch ─► Prefetch ─► Iterator ── Next ─► tensors of the training graph
//
// Every constructor takes the dataset before it and returns the next one; the
// element's types and static shapes are carried along.
//
// Caveat: an Iterator must be started (its Start operation run) in a session
// before Next can be used there, and starting it again begins anew.
package tfdata

import "github.com/nasnet-go/nasnet/tfgraph"

// Dataset is a node that yields elements.
type Dataset struct {
	node    tfgraph.Tensor // variant
	Element []tfgraph.Spec // types and shapes of one element's components
}

// Autotune lets tf.data choose a degree of parallelism or a buffer size.
const Autotune = int64(-1)

func attrs(element []tfgraph.Spec) tfgraph.Attrs {
	types := make([]tfgraph.DataType, len(element))
	shapes := make([]tfgraph.Shape, len(element))
	for i, e := range element {
		types[i], shapes[i] = e.DType, e.Shape
	}
	return tfgraph.Attrs{"output_types": types, "output_shapes": shapes}
}

func (d Dataset) with(s *tfgraph.Scope, typ string, element []tfgraph.Spec, more tfgraph.Attrs, inputs ...any) Dataset {
	a := attrs(element)
	for k, v := range more {
		a[k] = v
	}
	return Dataset{s.One(typ, a, inputs...), element}
}

// Range yields the int64 numbers start, start+1, … below stop; both are scalar
// tensors, so that a run can feed where to begin.
func Range(s *tfgraph.Scope, start, stop tfgraph.Tensor) Dataset { return RangeBy(s, start, stop, 1) }

// RangeBy yields start, start+step, … below stop.
func RangeBy(s *tfgraph.Scope, start, stop tfgraph.Tensor, step int64) Dataset {
	element := []tfgraph.Spec{{DType: tfgraph.Int64, Shape: tfgraph.Shape{}}}
	return Dataset{}.with(s, "RangeDataset", element, nil, start, stop, tfgraph.Scalarc(s, step))
}

// RecordAt is the record that begins at offset, int64 [1], of a TFRecord file,
// string [1]: a string scalar. Its checksums are verified. Nothing is read ahead:
// a buffer for one record costs as much as a tenth of decoding a photograph.
func RecordAt(s *tfgraph.Scope, file, offset tfgraph.Tensor) tfgraph.Tensor {
	element := []tfgraph.Spec{{DType: tfgraph.String, Shape: tfgraph.Shape{}}}
	node := s.One("TFRecordDatasetV2", nil, file, tfgraph.StringConst(s, ""), tfgraph.Scalarc(s, int64(0)), offset)
	one := Dataset{}.with(s, "TakeDataset", element, nil, node, tfgraph.Scalarc(s, int64(1)))
	return one.Single(s)[0]
}

// Slices yields the rows of a tensor along its first axis.
func Slices(s *tfgraph.Scope, x tfgraph.Tensor) Dataset {
	element := []tfgraph.Spec{{DType: x.DType(), Shape: tfgraph.Shape(x.Shape()[min(1, len(x.Shape())):])}}
	a := tfgraph.Attrs{"Toutput_types": []tfgraph.DataType{x.DType()}, "output_shapes": []tfgraph.Shape{element[0].Shape}}
	return Dataset{s.One("TensorSliceDataset", a, []tfgraph.Tensor{x}), element}
}

// Single is the components of the only element of a dataset, without an
// iterator: it serves as a function of the tensors the dataset is made of.
func (d Dataset) Single(s *tfgraph.Scope) []tfgraph.Tensor {
	op := s.Add("DatasetToSingleElement", attrs(d.Element), d.node)
	out := make([]tfgraph.Tensor, len(d.Element))
	for i := range out {
		out[i] = op.Output(i)
	}
	return out
}

// Batch groups n elements; a last smaller group is dropped if dropRemainder.
func (d Dataset) Batch(s *tfgraph.Scope, n int64, dropRemainder bool) Dataset {
	size := int64(-1)
	if dropRemainder {
		size = n
	}
	element := make([]tfgraph.Spec, len(d.Element))
	for i, e := range d.Element {
		element[i] = tfgraph.Spec{DType: e.DType, Shape: append(tfgraph.Shape{size}, e.Shape...)}
	}
	return d.with(s, "BatchDatasetV2", element, nil, d.node, tfgraph.Scalarc(s, n), boolean(s, dropRemainder))
}

// Unbatch yields the rows of the elements one by one.
func (d Dataset) Unbatch(s *tfgraph.Scope) Dataset {
	element := make([]tfgraph.Spec, len(d.Element))
	for i, e := range d.Element {
		element[i] = tfgraph.Spec{DType: e.DType, Shape: e.Shape[1:]}
	}
	return d.with(s, "UnbatchDataset", element, nil, d.node)
}

// MapFunc computes an element from another one. captured are the tensors of
// the outer graph given to Map.
type MapFunc func(s *tfgraph.Scope, element, captured []tfgraph.Tensor) []tfgraph.Tensor

// Map applies f to every element, parallel of them at once (Autotune: as many
// as pay), and yields the results in order.
func (d Dataset) Map(s *tfgraph.Scope, parallel int64, captured []tfgraph.Tensor, f MapFunc) Dataset {
	args := append([]tfgraph.Spec(nil), d.Element...)
	captureTypes := make([]tfgraph.DataType, len(captured))
	for i, c := range captured {
		args = append(args, tfgraph.SpecOf(c))
		captureTypes[i] = c.DType()
	}
	n := len(d.Element)
	fn := s.Define("map", args, func(s *tfgraph.Scope, all []tfgraph.Tensor) []tfgraph.Tensor { return f(s, all[:n], all[n:]) })
	a := attrs(fn.Outputs)
	a["f"], a["Targuments"] = fn, captureTypes
	a["deterministic"] = "true"
	a["use_inter_op_parallelism"] = true
	op := s.AddFuncOp("ParallelMapDatasetV2", a, d.node, captured, tfgraph.Scalarc(s, parallel))
	return Dataset{op.Output(0), fn.Outputs}
}

// Prefetch computes up to n elements ahead of their use.
func (d Dataset) Prefetch(s *tfgraph.Scope, n int64) Dataset {
	return d.with(s, "PrefetchDataset", d.Element, nil, d.node, tfgraph.Scalarc(s, n))
}

// Options sets how the pipeline is run: at most threads at once (0: one a core).
func (d Dataset) Options(s *tfgraph.Scope, threads int64) Dataset {
	if threads <= 0 {
		return d
	}
	return d.with(s, "PrivateThreadPoolDataset", d.Element, nil, d.node, tfgraph.Scalarc(s, threads))
}

// OneThreadEach keeps every operation of the pipeline in one thread: where Map
// computes many elements at once, handing parts of one to other threads only costs.
func (d Dataset) OneThreadEach(s *tfgraph.Scope) Dataset {
	return d.with(s, "MaxIntraOpParallelismDataset", d.Element, nil, d.node, tfgraph.Scalarc(s, int64(1)))
}

// Iterator hands out a dataset's elements, one a run.
type Iterator struct {
	Start tfgraph.Operation // begins the dataset from its first element
	Next  []tfgraph.Tensor  // the components of the next element
}

// Iterate adds an iterator over the dataset. name is unique in the session.
func (d Dataset) Iterate(s *tfgraph.Scope, name string) Iterator {
	a := attrs(d.Element)
	a["shared_name"], a["container"] = name, ""
	it := s.One("IteratorV2", a, []any{}...)
	next := s.Add("IteratorGetNext", attrs(d.Element), it)
	out := Iterator{Start: s.Add("MakeIterator", nil, d.node, it)}
	for i := range d.Element {
		out.Next = append(out.Next, next.Output(i))
	}
	return out
}

func boolean(s *tfgraph.Scope, b bool) tfgraph.Tensor {
	x := tfgraph.Scalarc(s, int32(0))
	if b {
		x = tfgraph.Scalarc(s, int32(1))
	}
	return tfgraph.Cast(s, x, tfgraph.Bool)
}
