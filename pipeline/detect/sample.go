package detect

import (
	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// sample draws a minibatch of each image's boxes: 1 for those drawn, else 0,
// float32 [B,N]. At most the positive share of it matches objects, drawn without
// replacement among those of weight; background fills it up as far as there is
// any (section 6). The draw is a pure function of key, int64 [2].
func sample(s *tfgraph.Scope, t targets, c detector.Sampling, key tfgraph.Tensor) tfgraph.Tensor {
	n := t.classWeights.Dim(1)
	u := tfgraph.StatelessUniform(s, tfgraph.ShapeOf(s, t.classWeights), key)
	lots := tfgraph.Mul(s, tfgraph.Sub(s, tfgraph.Scalarc(s, float32(1)), u), positive(s, t.classWeights)) // in (0,1], or 0
	matched := tfgraph.Cast(s, t.matched, tfgraph.Float32)
	unmatched := tfgraph.Sub(s, tfgraph.Scalarc(s, float32(1)), matched)

	most := min(int64(c.Positive*float64(c.Batch)), n)
	objects, at := tfgraph.TopK(s, tfgraph.Mul(s, lots, matched), most) // [B,most]
	drawn := positive(s, objects)
	mask := marks(s, at, drawn, n)

	size := min(int64(c.Batch), n)
	others, at := tfgraph.TopK(s, tfgraph.Mul(s, lots, unmatched), size) // [B,size]
	left := tfgraph.Sub(s, tfgraph.Scalarc(s, float32(c.Batch)), tfgraph.ReduceSum(s, drawn, 1))
	within := tfgraph.Less(s, counting(s, size), tfgraph.ExpandDims(s, left, 1)) // [B,size]
	kept := tfgraph.Mul(s, positive(s, others), tfgraph.Cast(s, within, tfgraph.Float32))
	return tfgraph.Add(s, mask, marks(s, at, kept, n))
}

// counting is 0, 1, … n-1 as float32.
func counting(s *tfgraph.Scope, n int64) tfgraph.Tensor {
	numbers := make([]float32, n)
	for i := range numbers {
		numbers[i] = float32(i)
	}
	return tfgraph.Vector(s, numbers...)
}

// marks puts values [B,k] at places int32 [B,k] of rows of n: [B,n]. B is
// static.
func marks(s *tfgraph.Scope, at, values tfgraph.Tensor, n int64) tfgraph.Tensor {
	batch, k := at.Dim(0), at.Dim(1)
	if batch < 0 || k < 0 {
		return s.Fail("a minibatch is drawn of a batch of unknown size, %v", at.Shape())
	}
	first := make([]int32, batch)
	for i := range first {
		first[i] = int32(int64(i) * n)
	}
	places := tfgraph.Reshape(s, tfgraph.Add(s, at, tfgraph.Const(s, first, batch, 1)), batch*k, 1)
	flat := s.One("ScatterNd", nil, places, tfgraph.Reshape(s, values, batch*k), tfgraph.Vector(s, int32(batch*n)))
	return tfgraph.Reshape(s, flat, batch, n)
}
