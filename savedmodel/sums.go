package savedmodel

import (
	"slices"
	"strings"

	graphpb "github.com/wamuir/graft/tensorflow/core/framework/graph_go_proto"
	nodepb "github.com/wamuir/graft/tensorflow/core/framework/node_def_go_proto"
)

// sumsConvolutions tells whether a node adds something to what a convolution and a
// bias make, in the graph or in a function. TensorFlow may fuse the three into one
// kernel, and oneDNN's (2.18, fuse_add_src_ in mkl_conv_ops.cc) keeps the other
// summand in the kernel itself: two runs at once corrupt the heap.
func sumsConvolutions(g *graphpb.GraphDef) bool {
	if nodesOf(g.GetNode()).sumConvolutions() {
		return true
	}
	for _, f := range g.GetLibrary().GetFunction() {
		if nodesOf(f.GetNodeDef()).sumConvolutions() {
			return true
		}
	}
	return false
}

// nodes are a graph's or a function's, by name.
type nodes map[string]*nodepb.NodeDef

func nodesOf(list []*nodepb.NodeDef) nodes {
	by := nodes{}
	for _, n := range list {
		by[n.GetName()] = n
	}
	return by
}

// input is the node that n's i-th input comes from; nil: none of these.
func (by nodes) input(n *nodepb.NodeDef, i int) *nodepb.NodeDef {
	if i >= len(n.GetInput()) {
		return nil
	}
	name, _, _ := strings.Cut(n.GetInput()[i], ":")
	return by[name]
}

func (by nodes) sumConvolutions() bool {
	for _, n := range by {
		if !slices.Contains([]string{"Add", "AddV2", "AddN"}, n.GetOp()) {
			continue
		}
		for i := range n.GetInput() {
			if by.biased(by.input(n, i)) {
				return true
			}
		}
	}
	return false
}

// biased reports a convolution with something behind it that is a bias, or that
// grappler may make one: a batch norm with constants becomes weights and a bias.
func (by nodes) biased(n *nodepb.NodeDef) bool {
	isConv := func(n *nodepb.NodeDef) bool { return slices.Contains(convolutions, n.GetOp()) }
	for range 8 { // no cycle is followed for ever
		from, other := by.input(n, 0), by.input(n, 1)
		switch n.GetOp() {
		case "BiasAdd", "Identity", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3":
		case "Add", "AddV2", "Sub", "Mul":
			switch sum := strings.HasPrefix(n.GetOp(), "Add"); {
			case sum && (isConv(from) || isConv(other)):
				return true
			case from.GetOp() == "Const":
				from = other
			case other.GetOp() != "Const":
				return false
			}
		default:
			return false
		}
		if isConv(from) {
			return true
		}
		n = from
	}
	return false
}

var convolutions = []string{"Conv2D", "DepthwiseConv2dNative", "Conv3D"}
