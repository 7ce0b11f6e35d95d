package detect

import (
	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// picks are the boxes that suppression leaves of each image, best first; rows
// beyond an image's count are zero.
type picks struct {
	boxes   tfgraph.Tensor // [B,count,4]
	scores  tfgraph.Tensor // [B,count]
	rows    tfgraph.Tensor // [B,count] int32: which box
	classes tfgraph.Tensor // [B,count] int32: of which class
	count   tfgraph.Tensor // [B] int32
}

// maxRanks is how many numbers float32 tells apart.
const maxRanks = 1 << 24

// suppress leaves of boxes [B,N,q,4] with scores [B,N,C] those that score more
// than all that overlap them, class by class, and the best count of them. A
// box of q = 1 stands for all classes. Of equal scores the lower class and then
// the upper row is first, throughout.
//
// TensorFlow's kernel takes equal scores in any order, so it gets ranks instead
// of scores: they are all different.
func suppress(s *tfgraph.Scope, boxes, scores tfgraph.Tensor, o detector.Suppression, perClass int) picks {
	n, classes := scores.Dim(1), scores.Dim(2)
	all := n * classes
	if n < 0 || classes < 0 || all >= maxRanks {
		return picks{boxes: s.Fail("suppression of %d boxes of %d classes: want a known number, below %d in all", n, classes, maxRanks)}
	}
	flat := tfgraph.Reshape(s, tfgraph.Transpose(s, scores, 0, 2, 1), -1, all) // [B,C·N]
	sorted, order := tfgraph.TopK(s, flat, all)
	_, rank := tfgraph.TopK(s, s.One("Neg", nil, order), all) // [B,C·N]: the place of each in order
	points := tfgraph.Sub(s, tfgraph.Scalarc(s, float32(all)), tfgraph.Cast(s, rank, tfgraph.Float32))
	points = tfgraph.Select(s, tfgraph.Greater(s, flat, tfgraph.Scalarc(s, float32(o.Score))), points, tfgraph.Scalarc(s, float32(0)))
	points = tfgraph.Transpose(s, tfgraph.Reshape(s, points, -1, classes, n), 0, 2, 1) // [B,N,C]

	op := s.Add("CombinedNonMaxSuppression", tfgraph.Attrs{"clip_boxes": false, "pad_per_class": false}, boxes, points,
		tfgraph.Scalarc(s, int32(min(int64(perClass), n))), tfgraph.Scalarc(s, int32(o.Count)), tfgraph.Scalarc(s, float32(o.IoU)), tfgraph.Scalarc(s, float32(0.5)))
	p := picks{boxes: op.Output(0), count: op.Output(3)}
	place := tfgraph.Sub(s, tfgraph.Scalarc(s, float32(all)), op.Output(1)) // of padding: all
	place = tfgraph.Cast(s, tfgraph.Minimum(s, place, tfgraph.Scalarc(s, float32(all-1))), tfgraph.Int32)
	valid := isPositive(s, op.Output(1))
	p.scores = tfgraph.Select(s, valid, tfgraph.GatherRows(s, sorted, place), tfgraph.Scalarc(s, float32(0)))
	at := tfgraph.Select(s, valid, tfgraph.GatherRows(s, order, place), tfgraph.Scalarc(s, int32(0)))
	p.classes = tfgraph.FloorDiv(s, at, tfgraph.Scalarc(s, int32(n)))
	p.rows = tfgraph.FloorMod(s, at, tfgraph.Scalarc(s, int32(n)))
	return p
}

// suppressIn is suppress with boxes clipped to an image of h x w pixels, before
// or behind it (sections 7, 11). Empty boxes are dropped there.
func suppressIn(s *tfgraph.Scope, boxes, scores tfgraph.Tensor, o detector.Suppression, perClass int, order detector.ClipOrder, h, w int) picks {
	if order == detector.SuppressFirst {
		count := o.Count
		o.Count = int(min(int64(perClass), scores.Dim(1)) * scores.Dim(2)) // none is cut before empty ones are dropped
		p := suppress(s, boxes, scores, o, perClass)
		p.boxes = clip(s, p.boxes, h, w)
		return p.dropEmpty(s, count)
	}
	boxes = clip(s, boxes, h, w)
	full := isPositive(s, area(s, boxes)) // [B,N,q]
	return suppress(s, boxes, tfgraph.Select(s, full, scores, tfgraph.Scalarc(s, float32(0))), o, perClass)
}

// dropEmpty drops boxes without area and keeps the first count of the rest.
func (p picks) dropEmpty(s *tfgraph.Scope, count int) picks {
	n := p.scores.Dim(1)
	full := tfgraph.LogicalAnd(s, isPositive(s, area(s, p.boxes)), isPositive(s, p.scores))
	first := tfgraph.Sub(s, tfgraph.Scalarc(s, float32(n)), counting(s, n)) // n, n-1, … 1
	places, at := tfgraph.TopK(s, tfgraph.Select(s, full, first, tfgraph.Scalarc(s, float32(0))), min(int64(count), n))
	valid := positive(s, places)
	pick := func(x tfgraph.Tensor) tfgraph.Tensor {
		x = tfgraph.GatherRows(s, x, at)
		return padded(s, tfgraph.Mul(s, x, tfgraph.Cast(s, valid, x.DType())), count)
	}
	boxes := tfgraph.Mul(s, tfgraph.GatherRows(s, p.boxes, at), tfgraph.ExpandDims(s, valid, 2))
	return picks{
		boxes: padded(s, boxes, count), scores: pick(p.scores), rows: pick(p.rows), classes: pick(p.classes),
		count: tfgraph.Cast(s, tfgraph.ReduceSum(s, valid, 1), tfgraph.Int32),
	}
}

// padded appends rows of zeros to x [B,n,...] up to so many.
func padded(s *tfgraph.Scope, x tfgraph.Tensor, rows int) tfgraph.Tensor {
	missing := int32(rows) - int32(x.Dim(1))
	if missing <= 0 {
		return x
	}
	paddings := make([][2]int32, len(x.Shape()))
	paddings[1][1] = missing
	return tfgraph.Pad(s, x, paddings...)
}
