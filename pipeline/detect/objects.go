package detect

import (
	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// ObjectsOf reads the objects of a batch from rows of numbers, float32 [B,G,6]:
// ymin, xmin, ymax, xmax as shares of the image, the class from 0, the weight.
func ObjectsOf(s *tfgraph.Scope, plan *detector.Plan, rows tfgraph.Tensor) Objects {
	column := func(from, n int32) tfgraph.Tensor {
		return tfgraph.Slice(s, rows, []int32{0, 0, from}, []int32{-1, -1, n})
	}
	flat := func(x tfgraph.Tensor) tfgraph.Tensor { return tfgraph.Reshape(s, x, rows.Dim(0), rows.Dim(1)) }
	in := plan.First.Model.Input
	return Objects{
		Boxes:   tfgraph.Mul(s, column(0, 4), frame(s, in[0], in[1])),
		Classes: tfgraph.Cast(s, flat(column(4, 1)), tfgraph.Int64), Weights: flat(column(5, 1)),
	}
}
