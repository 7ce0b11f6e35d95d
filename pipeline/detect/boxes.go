package detect

import "github.com/nasnet-go/nasnet/tfgraph"

// codeScale multiplies the codes of centres and of sizes (section 4).
const (
	centreScale = 10
	sizeScale   = 5
)

// epsilon is added to sizes before they are encoded.
const epsilon = 1e-8

// corners are the four columns of boxes [...,4], each [...].
func corners(s *tfgraph.Scope, boxes tfgraph.Tensor) (ymin, xmin, ymax, xmax tfgraph.Tensor) {
	op := s.Add("Unpack", tfgraph.Attrs{"num": 4, "axis": -1}, boxes)
	return op.Output(0), op.Output(1), op.Output(2), op.Output(3)
}

// centred are boxes [...,4] by centre and size.
func centred(s *tfgraph.Scope, boxes tfgraph.Tensor) (y, x, h, w tfgraph.Tensor) {
	ymin, xmin, ymax, xmax := corners(s, boxes)
	h, w = tfgraph.Sub(s, ymax, ymin), tfgraph.Sub(s, xmax, xmin)
	y = tfgraph.Add(s, ymin, tfgraph.Scale(s, h, 0.5))
	x = tfgraph.Add(s, xmin, tfgraph.Scale(s, w, 0.5))
	return y, x, h, w
}

// encode writes boxes [...,4] as codes against anchors [...,4]:
//
//	ty = 10 (y - ya)/ha   tx = 10 (x - xa)/wa   th = 5 ln(h/ha)   tw = 5 ln(w/wa)
func encode(s *tfgraph.Scope, boxes, anchors tfgraph.Tensor) tfgraph.Tensor {
	y, x, h, w := centred(s, boxes)
	ya, xa, ha, wa := centred(s, anchors)
	for _, size := range []*tfgraph.Tensor{&h, &w, &ha, &wa} {
		*size = tfgraph.Add(s, *size, tfgraph.Scalarc(s, float32(epsilon)))
	}
	shift := func(a, b, size tfgraph.Tensor) tfgraph.Tensor {
		return tfgraph.Scale(s, tfgraph.Div(s, tfgraph.Sub(s, a, b), size), centreScale)
	}
	ratio := func(a, b tfgraph.Tensor) tfgraph.Tensor {
		return tfgraph.Scale(s, tfgraph.Log(s, tfgraph.Div(s, a, b)), sizeScale)
	}
	return tfgraph.Stack(s, -1, shift(y, ya, ha), shift(x, xa, wa), ratio(h, ha), ratio(w, wa))
}

// decode inverts encode. Sizes are not limited: a bad code may give an infinite
// box.
func decode(s *tfgraph.Scope, codes, anchors tfgraph.Tensor) tfgraph.Tensor {
	ty, tx, th, tw := corners(s, codes)
	ya, xa, ha, wa := centred(s, anchors)
	span := func(t, size, tSize, at tfgraph.Tensor) (from, to tfgraph.Tensor) {
		centre := tfgraph.Add(s, tfgraph.Mul(s, tfgraph.Scale(s, t, 1./centreScale), size), at)
		half := tfgraph.Scale(s, tfgraph.Mul(s, tfgraph.Exp(s, tfgraph.Scale(s, tSize, 1./sizeScale)), size), 0.5)
		return tfgraph.Sub(s, centre, half), tfgraph.Add(s, centre, half)
	}
	ymin, ymax := span(ty, ha, th, ya)
	xmin, xmax := span(tx, wa, tw, xa)
	return tfgraph.Stack(s, -1, ymin, xmin, ymax, xmax)
}

// overlaps is the IoU of each of a [B,G,4] with each of b [B,N,4] (or [1,N,4]):
// [B,G,N], 0 where they do not meet.
func overlaps(s *tfgraph.Scope, a, b tfgraph.Tensor) tfgraph.Tensor {
	a, b = tfgraph.ExpandDims(s, a, 2), tfgraph.ExpandDims(s, b, 1) // [B,G,1,4], [B,1,N,4]
	ay1, ax1, ay2, ax2 := corners(s, a)
	by1, bx1, by2, bx2 := corners(s, b)
	meet := func(from, from2, to, to2 tfgraph.Tensor) tfgraph.Tensor {
		d := tfgraph.Sub(s, tfgraph.Minimum(s, to, to2), tfgraph.Maximum(s, from, from2))
		return tfgraph.Maximum(s, d, tfgraph.Scalarc(s, float32(0)))
	}
	shared := tfgraph.Mul(s, meet(ay1, by1, ay2, by2), meet(ax1, bx1, ax2, bx2)) // [B,G,N]
	all := tfgraph.Sub(s, tfgraph.Add(s, area(s, a), area(s, b)), shared)
	return tfgraph.DivNoNan(s, shared, all)
}

// area of boxes [...,4]: [...].
func area(s *tfgraph.Scope, boxes tfgraph.Tensor) tfgraph.Tensor {
	ymin, xmin, ymax, xmax := corners(s, boxes)
	return tfgraph.Mul(s, tfgraph.Sub(s, ymax, ymin), tfgraph.Sub(s, xmax, xmin))
}

// clip cuts boxes [...,4] off at the border of an image of h x w pixels.
func clip(s *tfgraph.Scope, boxes tfgraph.Tensor, h, w int) tfgraph.Tensor {
	boxes = tfgraph.Maximum(s, boxes, tfgraph.Scalarc(s, float32(0)))
	return tfgraph.Minimum(s, boxes, frame(s, h, w))
}

// normalise divides boxes [...,4] by the image's size.
func normalise(s *tfgraph.Scope, boxes tfgraph.Tensor, h, w int) tfgraph.Tensor {
	return tfgraph.Div(s, boxes, frame(s, h, w))
}

// frame is the size of an image, as an edge each.
func frame(s *tfgraph.Scope, h, w int) tfgraph.Tensor {
	return tfgraph.Vector(s, float32(h), float32(w), float32(h), float32(w))
}
