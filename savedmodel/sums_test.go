package savedmodel

import (
	"testing"

	funcpb "github.com/wamuir/graft/tensorflow/core/framework/function_go_proto"
	graphpb "github.com/wamuir/graft/tensorflow/core/framework/graph_go_proto"
	nodepb "github.com/wamuir/graft/tensorflow/core/framework/node_def_go_proto"
)

func TestSumsOfConvolutionsAreSeen(t *testing.T) {
	node := func(name, op string, inputs ...string) *nodepb.NodeDef {
		return &nodepb.NodeDef{Name: name, Op: op, Input: inputs}
	}
	conv, bias := node("conv", "Conv2D", "x", "w"), node("bias", "BiasAdd", "conv", "b")
	for _, c := range []struct {
		name  string
		nodes []*nodepb.NodeDef
		want  bool
	}{
		{"convolution, bias, sum", []*nodepb.NodeDef{conv, bias, node("sum", "AddV2", "bias:0", "y")}, true},
		{"the other summand", []*nodepb.NodeDef{conv, bias, node("sum", "AddN", "y", "bias")}, true},
		{"a bias added as a tensor", []*nodepb.NodeDef{conv, node("bias", "AddV2", "b", "conv"), node("sum", "Add", "bias", "y")}, true},
		{"a batch norm", []*nodepb.NodeDef{conv, node("norm", "FusedBatchNormV3", "conv", "g", "b", "m", "v"), node("sum", "AddV2", "norm:0", "y")}, true},
		{"a batch norm written out", []*nodepb.NodeDef{
			conv, node("s", "Const"), node("o", "Const"), node("scaled", "Mul", "conv", "s"), node("shifted", "AddV2", "o", "scaled"), node("sum", "AddV2", "y", "shifted"),
		}, true},
		{"the same with variables", []*nodepb.NodeDef{
			conv, node("s", "ReadVariableOp", "h"), node("o", "ReadVariableOp", "i"), node("scaled", "Mul", "conv", "s"), node("shifted", "AddV2", "scaled", "o"), node("sum", "AddV2", "y", "shifted"),
		}, false},
		{"no sum", []*nodepb.NodeDef{conv, bias, node("relu", "Relu", "bias")}, false},
		{"kept apart", []*nodepb.NodeDef{conv, bias, node("apart", "EnsureShape", "bias"), node("sum", "AddV2", "apart", "y")}, false},
		{"no bias", []*nodepb.NodeDef{conv, node("sum", "AddV2", "conv", "y")}, false},
		{"a cycle", []*nodepb.NodeDef{node("sum", "AddV2", "sum", "sum")}, false},
	} {
		if got := sumsConvolutions(&graphpb.GraphDef{Node: c.nodes}); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		library := &funcpb.FunctionDefLibrary{Function: []*funcpb.FunctionDef{{NodeDef: c.nodes}}}
		if got := sumsConvolutions(&graphpb.GraphDef{Library: library}); got != c.want {
			t.Errorf("%s, in a function: %v, want %v", c.name, got, c.want)
		}
	}
}
