package detect

import (
	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Objects are the annotated boxes of a batch of images, padded to a common
// number: rows of weight 0 do not count.
type Objects struct {
	Boxes   tfgraph.Tensor // [B,G,4] float32
	Classes tfgraph.Tensor // [B,G] int64, from 0, without the background
	Weights tfgraph.Tensor // [B,G] float32
}

// What a box matches instead of an object's row.
const (
	background = -1
	ignored    = -2
)

// match finds the object of each box [B,N,4] (or [1,N,4]): its row, background
// or ignored, int64 [B,N] (section 5). The best object counts, of equal ones the
// first. With force every object of weight takes its best box besides, of equal
// ones the first; of two objects the upper row has it. Only boxes that inside,
// bool [N], marks are forced on; not Valid: all.
func match(s *tfgraph.Scope, o Objects, boxes, inside tfgraph.Tensor, c detector.Sampling, force bool) tfgraph.Tensor {
	iou := overlaps(s, o.Boxes, boxes) // [B,G,N]
	best := s.One("Max", nil, iou, tfgraph.Vector(s, int32(1)))
	number := func(n int64) tfgraph.Tensor { return tfgraph.Scalarc(s, n) }
	rows := tfgraph.Select(s, tfgraph.GreaterEqual(s, best, tfgraph.Scalarc(s, float32(c.Matched))), tfgraph.ArgMaxOf(s, iou, 1),
		tfgraph.Select(s, tfgraph.Less(s, best, tfgraph.Scalarc(s, float32(c.Unmatched))), number(background), number(ignored))) // [B,N]
	if !force {
		return rows
	}
	if inside.Valid() { // not 0: an object that meets none would be forced on one outside
		iou = tfgraph.Select(s, inside, iou, tfgraph.Scalarc(s, float32(-1)))
	}
	takes := tfgraph.OneHot(s, tfgraph.ArgMaxOf(s, iou, 2), int32(iou.Dim(2))) // [B,G,N]
	takes = tfgraph.Mul(s, takes, tfgraph.ExpandDims(s, positive(s, o.Weights), 2))
	taken := s.One("Max", nil, takes, tfgraph.Vector(s, int32(1)))
	return tfgraph.Select(s, isPositive(s, taken), tfgraph.ArgMaxOf(s, takes, 1), rows)
}

func isPositive(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
	return tfgraph.Greater(s, x, tfgraph.Scalarc(s, float32(0)))
}

// positive is 1 where x is more than 0, else 0.
func positive(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
	return tfgraph.Cast(s, isPositive(s, x), tfgraph.Float32)
}

// targets are what a stage is to answer for each box.
type targets struct {
	codes        tfgraph.Tensor // [B,N,4]; 0 without an object
	codeWeights  tfgraph.Tensor // [B,N]
	classes      tfgraph.Tensor // [B,N] int64: of the object plus 1; 0 for background and ignored
	classWeights tfgraph.Tensor // [B,N]
	matched      tfgraph.Tensor // [B,N] bool: the box has an object
}

// assign makes targets of a match. Boxes that exist, float32 [N] or [B,N] of 0
// and 1, does not mark have no weight; not Valid: all count.
func assign(s *tfgraph.Scope, o Objects, boxes, rows, exist tfgraph.Tensor) targets {
	t := targets{matched: tfgraph.GreaterEqual(s, rows, tfgraph.Scalarc(s, int64(0)))}
	at := tfgraph.Maximum(s, rows, tfgraph.Scalarc(s, int64(0)))
	zero, one := tfgraph.Scalarc(s, float32(0)), tfgraph.Scalarc(s, float32(1))
	codes := encode(s, tfgraph.GatherRows(s, o.Boxes, at), boxes)
	t.codes = tfgraph.Select(s, tfgraph.ExpandDims(s, t.matched, -1), codes, zero)
	weights := tfgraph.GatherRows(s, o.Weights, at)
	t.codeWeights = tfgraph.Select(s, t.matched, weights, zero)
	next := tfgraph.Add(s, tfgraph.GatherRows(s, o.Classes, at), tfgraph.Scalarc(s, int64(1)))
	t.classes = tfgraph.Select(s, t.matched, next, tfgraph.Scalarc(s, int64(0)))
	rest := tfgraph.Select(s, tfgraph.Equal(s, rows, tfgraph.Scalarc(s, int64(background))), one, zero)
	t.classWeights = tfgraph.Select(s, t.matched, weights, rest)
	if exist.Valid() {
		t.codeWeights, t.classWeights = tfgraph.Mul(s, t.codeWeights, exist), tfgraph.Mul(s, t.classWeights, exist)
	}
	return t
}
