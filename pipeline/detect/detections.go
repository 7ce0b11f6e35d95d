package detect

import (
	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Detections are what a detector finds in a batch of images, best first; rows
// beyond an image's count are zero.
type Detections struct {
	Boxes   tfgraph.Tensor // [B,D,4] float32, normalised: 0..1 of the image's height and width
	Scores  tfgraph.Tensor // [B,D] float32
	Classes tfgraph.Tensor // [B,D] int32: ids from 1
	Count   tfgraph.Tensor // [B] int32
}

// Detect adds the planned detector to the graph, for images [B,H,W,3] prepared
// to -1..1; B may be unknown. Faults are the graph's.
func Detect(s *tfgraph.Scope, st *tfgraph.Store, plan *detector.Plan, images tfgraph.Tensor) Detections {
	b := &builder{plan: plan, st: st}
	features := b.features(s, images)
	codes, objectness := b.regions(s, features)
	found := b.proposals(s.Sub("proposals"), codes, objectness, b.anchors(s, false))
	classCodes, classes := b.judgeInChunks(s, features, b.normalised(s, found.boxes))
	return b.detections(s.Sub("detections"), found, classCodes, classes)
}

// size is that of the plan's images.
func (b *builder) size() (h, w int) { return b.plan.First.Model.Input[0], b.plan.First.Model.Input[1] }

func (b *builder) normalised(s *tfgraph.Scope, boxes tfgraph.Tensor) tfgraph.Tensor {
	h, w := b.size()
	return normalise(s, boxes, h, w)
}

// anchors are the plan's [A,4]. In training they are as they are, and inside
// [A] is 1 for those that do not leave the image, the only ones that count; in
// inference all count and are clipped (section 3).
type anchors struct{ boxes, inside tfgraph.Tensor }

func (b *builder) anchors(s *tfgraph.Scope, training bool) anchors {
	h, w := b.size()
	list := b.plan.AnchorBoxes()
	a := anchors{boxes: tfgraph.Const(s.Sub("anchors"), list, int64(len(list)/4), 4)}
	if !training {
		a.boxes = clip(s.Sub("anchors"), a.boxes, h, w)
		return a
	}
	marks := make([]float32, len(list)/4)
	for i, in := range detector.Inside(list, h, w) {
		if in {
			marks[i] = 1
		}
	}
	a.inside = tfgraph.Vector(s.Sub("anchors"), marks...)
	return a
}

// proposals are the boxes of each image that are most likely to hold an object
// (section 7). No gradient goes through them.
func (b *builder) proposals(s *tfgraph.Scope, codes, objectness tfgraph.Tensor, a anchors) picks {
	h, w := b.size()
	o := b.plan.Options
	boxes := tfgraph.ExpandDims(s, decode(s, codes, a.boxes), 2) // [B,A,1,4]
	scores := tfgraph.Slice(s, s.One("Softmax", nil, objectness), []int32{0, 0, 1}, []int32{-1, -1, 1})
	if a.inside.Valid() {
		scores = tfgraph.Mul(s, scores, tfgraph.ExpandDims(s, a.inside, 1)) // [B,A,1]
	}
	p := suppressIn(s, boxes, scores, o.Proposals, o.Proposals.Count, o.ClipOrder, h, w)
	p.boxes = tfgraph.StopGradient(s, p.boxes)
	return p
}

// judgeInChunks is judge, of so many boxes of an image at a time that their
// crops fit the memory: a chunk is not cropped before the one before it is
// judged.
func (b *builder) judgeInChunks(s *tfgraph.Scope, features, boxes tfgraph.Tensor) (codes, classes tfgraph.Tensor) {
	var allCodes, allClasses []tfgraph.Tensor
	at := s
	for from := 0; from < b.plan.Options.Proposals.Count; from += b.plan.Options.Chunk {
		part := tfgraph.Slice(s, boxes, []int32{0, int32(from), 0}, []int32{-1, int32(min(b.plan.Options.Chunk, b.plan.Options.Proposals.Count-from)), -1})
		c, k := b.judge(at, features, part)
		allCodes, allClasses = append(allCodes, c), append(allClasses, k)
		at = s.Sub("chunk_%d", len(allCodes)).After(c.Op(), k.Op())
		b.st = b.st.Shared()
	}
	return tfgraph.Concat(s, 1, allCodes...), tfgraph.Concat(s, 1, allClasses...)
}

// detections decodes the second stage's answers and leaves the best (section 11).
func (b *builder) detections(s *tfgraph.Scope, found picks, codes, classes tfgraph.Tensor) Detections {
	h, w := b.size()
	o := b.plan.Options
	boxes := decode(s, codes, tfgraph.ExpandDims(s, found.boxes, 2))                                  // [B,P,K,4]
	scores := tfgraph.Slice(s, s.One("Softmax", nil, classes), []int32{0, 0, 1}, []int32{-1, -1, -1}) // [B,P,K]
	real := tfgraph.ExpandDims(s, existing(s, found.count, int64(o.Proposals.Count)), 2)              // [B,P,1]
	scores = tfgraph.Select(s, isPositive(s, real), scores, tfgraph.Scalarc(s, float32(0)))           // [B,P,K]
	p := suppressIn(s, boxes, scores, o.Detections, o.PerClass, o.ClipOrder, h, w)
	ids := tfgraph.Add(s, p.classes, tfgraph.Scalarc(s, int32(1)))
	return Detections{
		Boxes: normalise(s, p.boxes, h, w), Scores: p.scores, Count: p.count,
		Classes: tfgraph.Mul(s, ids, tfgraph.Cast(s, existing(s, p.count, int64(o.Detections.Count)), tfgraph.Int32)),
	}
}

// existing is 1 for the first count [B] of n rows, else 0: float32 [B,n].
func existing(s *tfgraph.Scope, count tfgraph.Tensor, n int64) tfgraph.Tensor {
	count = tfgraph.ExpandDims(s, tfgraph.Cast(s, count, tfgraph.Float32), 1)
	return tfgraph.Cast(s, tfgraph.Less(s, counting(s, n), count), tfgraph.Float32)
}
