package tfgraph

// #include <stdlib.h>
// #include "tensorflow/c/c_api.h"
import "C"

import (
	"fmt"
	"unsafe"

	tf "github.com/wamuir/graft/tensorflow"
	attrpb "github.com/wamuir/graft/tensorflow/core/framework/attr_value_go_proto"
	funcpb "github.com/wamuir/graft/tensorflow/core/framework/function_go_proto"
	graphpb "github.com/wamuir/graft/tensorflow/core/framework/graph_go_proto"
	nodepb "github.com/wamuir/graft/tensorflow/core/framework/node_def_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	versionpb "github.com/wamuir/graft/tensorflow/core/framework/versions_go_proto"
	"google.golang.org/protobuf/proto"
)

// producer is the GraphDef version that TensorFlow 2.18 writes.
const producer = 1994

// Spec is the type and static shape of a value.
type Spec struct {
	DType DataType
	Shape Shape
}

// SpecOf returns what is statically known of t.
func SpecOf(t Tensor) Spec { return Spec{t.DType(), t.Shape()} }

// Func names a function of the graph's library, as an attribute of AddFuncOp.
type Func struct {
	Name    string
	Outputs []Spec
}

// Define adds a function to the graph's library: body receives one tensor an
// argument and returns the results. The name must be new in the graph.
//
// graft offers no function conversion, so the body is built as a graph of its
// own, handed over as a GraphDef to TF_GraphToFunction, and its FunctionDef is
// imported here.
func (s *Scope) Define(name string, args []Spec, body func(s *Scope, args []Tensor) []Tensor) Func {
	if s.g.err != nil {
		return Func{}
	}
	name = s.g.library + s.g.unique("function/" + name)[len("function/"):]
	inner := New()
	inner.library = name + "_"
	params := make([]Tensor, len(args))
	for i, a := range args {
		params[i] = Placeholder(inner.Root(), fmt.Sprintf("arg%d", i), a.DType, a.Shape)
	}
	results := body(inner.Root(), params)
	if inner.err != nil {
		s.Fail("function %s: %v", name, inner.err)
		return Func{}
	}
	f := Func{Name: name}
	for i, r := range results {
		if !r.ok {
			s.Fail("function %s: result %d is not a tensor of its body", name, i)
			return Func{}
		}
		f.Outputs = append(f.Outputs, SpecOf(r))
	}
	names := func(ts []Tensor) []string {
		list := make([]string, len(ts))
		for i, t := range ts {
			list[i] = t.Name()
		}
		return list
	}
	raw, err := inner.Definition()
	if err != nil {
		s.Fail("function %s: %v", name, err)
		return f
	}
	def, err := functionDef(raw, name, names(params), names(results))
	if err == nil {
		err = s.g.importLibrary(def, raw)
	}
	if err != nil {
		s.Fail("function %s: %v", name, err)
	}
	return f
}

// importLibrary adds one function to the graph's library, and those that its
// body's definition has.
func (g *Graph) importLibrary(def *funcpb.FunctionDef, body []byte) error {
	var inner graphpb.GraphDef
	if err := proto.Unmarshal(body, &inner); err != nil {
		return err
	}
	b, err := proto.Marshal(&graphpb.GraphDef{
		Versions: &versionpb.VersionDef{Producer: producer},
		Library:  &funcpb.FunctionDefLibrary{Function: append(inner.GetLibrary().GetFunction(), def)},
	})
	if err != nil {
		return err
	}
	return g.tf.Import(b, "")
}

// Branch is one of the ways of [Scope.Case].
type Branch func(s *Scope, args []Tensor) []Tensor

// Case computes one of several branches, which index, an int32 scalar, chooses;
// the last where it lies outside. All get args and give results of the same types.
func (s *Scope) Case(index Tensor, args []Tensor, branches ...Branch) []Tensor {
	specs, in := make([]Spec, len(args)), make([]DataType, len(args))
	for i, a := range args {
		specs[i], in[i] = SpecOf(a), a.DType()
	}
	fns := make([]Func, len(branches))
	for i, b := range branches {
		fns[i] = s.Define(fmt.Sprintf("case%d", i), specs, b)
	}
	if !s.OK() { // the branches were not built: nothing says how many outputs they have
		return make([]Tensor, max(1, len(args)))
	}
	var out []DataType
	var shapes []Shape
	for _, o := range fns[0].Outputs {
		out, shapes = append(out, o.DType), append(shapes, o.Shape)
	}
	op := s.AddFuncOp("StatelessCase", Attrs{"Tin": in, "Tout": out, "branches": fns, "output_shapes": shapes}, index, args)
	results := make([]Tensor, len(out))
	for i := range results {
		results[i] = op.Output(i)
	}
	return results
}

// functionDef converts a GraphDef to a FunctionDef through the C API. Arguments
// and results are named node:output.
func functionDef(graphDef []byte, name string, params, results []string) (*funcpb.FunctionDef, error) {
	status := C.TF_NewStatus()
	defer C.TF_DeleteStatus(status)
	cg := C.TF_NewGraph()
	defer C.TF_DeleteGraph(cg)
	if err := importInto(cg, graphDef, status); err != nil {
		return nil, err
	}
	ins, outs := cOutputs(cg, params), cOutputs(cg, results)
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	fn := C.TF_GraphToFunction(cg, cname, 0, -1, nil, C.int(len(ins)), ptr(ins), C.int(len(outs)), ptr(outs), nil, nil, nil, status)
	if err := statusErr(status); err != nil {
		return nil, err
	}
	defer C.TF_DeleteFunction(fn)
	buf := C.TF_NewBuffer()
	defer C.TF_DeleteBuffer(buf)
	C.TF_FunctionToFunctionDef(fn, buf, status)
	if err := statusErr(status); err != nil {
		return nil, err
	}
	var def funcpb.FunctionDef
	if err := proto.Unmarshal(C.GoBytes(buf.data, C.int(buf.length)), &def); err != nil {
		return nil, err
	}
	return &def, nil
}

func importInto(cg *C.TF_Graph, def []byte, status *C.TF_Status) error {
	data := C.CBytes(def)
	defer C.free(data)
	buf := C.TF_NewBufferFromString(data, C.size_t(len(def)))
	defer C.TF_DeleteBuffer(buf)
	opts := C.TF_NewImportGraphDefOptions()
	defer C.TF_DeleteImportGraphDefOptions(opts)
	C.TF_GraphImportGraphDef(cg, buf, opts, status)
	return statusErr(status)
}

func cOutputs(cg *C.TF_Graph, names []string) []C.TF_Output {
	out := make([]C.TF_Output, len(names))
	for i, name := range names {
		node, index := endpoint(name)
		cname := C.CString(node)
		out[i].oper = C.TF_GraphOperationByName(cg, cname)
		out[i].index = C.int(index)
		C.free(unsafe.Pointer(cname))
	}
	return out
}

func ptr(l []C.TF_Output) *C.TF_Output {
	if len(l) == 0 {
		return nil
	}
	return &l[0]
}

func statusErr(status *C.TF_Status) error {
	if C.TF_GetCode(status) == C.TF_OK {
		return nil
	}
	return fmt.Errorf("%s", C.GoString(C.TF_Message(status)))
}

// AddFuncOp adds an operation that has a [Func] among its attributes (tf.data
// maps, If, While). graft cannot set such an attribute, so the node is imported
// as a GraphDef with its inputs mapped to the graph's tensors.
func (s *Scope) AddFuncOp(typ string, attrs Attrs, inputs ...any) Operation {
	if s.g.err != nil {
		return Operation{}
	}
	ins, ok := s.inputs(typ, inputs)
	if !ok {
		return Operation{}
	}
	node := &nodepb.NodeDef{Name: s.g.unique(s.join(typ)), Op: typ, Device: s.device, Attr: map[string]*attrpb.AttrValue{}}
	for k, v := range attrs {
		a, err := attrValue(v)
		if err != nil {
			s.Fail("%s: attribute %s: %v", typ, k, err)
			return Operation{}
		}
		node.Attr[k] = a
	}
	var opts tf.GraphImportOptions
	for i, in := range flatten(ins) {
		alias := fmt.Sprintf("mapped%d", i)
		node.Input = append(node.Input, alias+":0")
		opts.AddInputMapping(alias, 0, in)
	}
	b, err := proto.Marshal(&graphpb.GraphDef{Versions: &versionpb.VersionDef{Producer: producer}, Node: []*nodepb.NodeDef{node}})
	if err == nil {
		err = s.g.tf.ImportWithOptions(b, opts)
	}
	if err != nil {
		s.Fail("%s: %v", typ, err)
		return Operation{}
	}
	return Operation{s.g.tf.Operation(node.Name)}
}

func flatten(ins []tf.Input) []tf.Output {
	var out []tf.Output
	for _, in := range ins {
		switch in := in.(type) {
		case tf.Output:
			out = append(out, in)
		case tf.OutputList:
			out = append(out, in...)
		}
	}
	return out
}

// attrValue is the protobuf form of one attribute.
func attrValue(v any) (*attrpb.AttrValue, error) {
	switch v := v.(type) {
	case Func:
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_Func{Func: &attrpb.NameAttrList{Name: v.Name}}}, nil
	case []Func:
		list := &attrpb.AttrValue_ListValue{}
		for _, f := range v {
			list.Func = append(list.Func, &attrpb.NameAttrList{Name: f.Name})
		}
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_List{List: list}}, nil
	case string:
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_S{S: []byte(v)}}, nil
	case int:
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_I{I: int64(v)}}, nil
	case int64:
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_I{I: v}}, nil
	case bool:
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_B{B: v}}, nil
	case DataType:
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_Type{Type: typespb.DataType(v)}}, nil
	case []DataType:
		list := &attrpb.AttrValue_ListValue{}
		for _, t := range v {
			list.Type = append(list.Type, typespb.DataType(t))
		}
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_List{List: list}}, nil
	case Shape:
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_Shape{Shape: shapeProto(v)}}, nil
	case []Shape:
		list := &attrpb.AttrValue_ListValue{}
		for _, sh := range v {
			list.Shape = append(list.Shape, shapeProto(sh))
		}
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_List{List: list}}, nil
	}
	return nil, fmt.Errorf("type %T is not supported here", v)
}

func shapeProto(sh Shape) *shapepb.TensorShapeProto {
	if sh == nil {
		return &shapepb.TensorShapeProto{UnknownRank: true}
	}
	p := &shapepb.TensorShapeProto{}
	for _, d := range sh {
		p.Dim = append(p.Dim, &shapepb.TensorShapeProto_Dim{Size: d})
	}
	return p
}
