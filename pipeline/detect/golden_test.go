package detect

import (
	"math"
	"testing"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

type tensors = []tfgraph.Tensor

// golden are the arrays of one file of the reference.
type golden map[string]tftest.Array

func load(t *testing.T, file string) golden {
	t.Helper()
	return tftest.Npz(t, reftest.Shared(t, "golden", "detection", file))
}

// value is an array as a constant with leading axes of size 1 put before it.
func (g golden) value(s *tfgraph.Scope, name string, leading int) tfgraph.Tensor {
	a, ok := g[name]
	if !ok {
		return s.Fail("the reference has no %s", name)
	}
	shape := a.Shape
	for range leading {
		shape = append([]int64{1}, shape...)
	}
	return tfgraph.Const(s, a.Float32(), shape...)
}

// ints is value as int64.
func (g golden) ints(s *tfgraph.Scope, name string, leading int) tfgraph.Tensor {
	return tfgraph.Cast(s, g.value(s, name, leading), tfgraph.Int64)
}

// run builds and runs a graph; integers and booleans come back as floats.
func run(t *testing.T, build func(s *tfgraph.Scope) tensors) [][]float32 {
	t.Helper()
	return tftest.Run(t, func(s *tfgraph.Scope) ([]tfgraph.Tensor, tfgraph.Feeds, tfgraph.Operation) {
		out := build(s)
		for i := range out {
			out[i] = tfgraph.Cast(s, out[i], tfgraph.Float32)
		}
		return out, nil, tfgraph.Operation{}
	})
}

// same compares with arrays of the reference within a tolerance.
func (g golden) same(t *testing.T, got [][]float32, tol float64, names ...string) {
	t.Helper()
	for i, name := range names {
		tftest.Near(t, name, got[i], g[name].Float32(), tol)
	}
}

func TestBoxCodesOfTheReference(t *testing.T) {
	g := load(t, "box_coder.npz")
	got := run(t, func(s *tfgraph.Scope) tensors {
		anchors := g.value(s, "anchors", 0)
		return tensors{encode(s, g.value(s, "boxes", 0), anchors), decode(s, g.value(s, "codes", 0), anchors)}
	})
	g.same(t, got[:1], 2e-4, "encoded")
	g.same(t, got[1:], 2e-3, "decoded")
}

func TestOverlapsOfTheReference(t *testing.T) {
	g := load(t, "iou.npz")
	got := run(t, func(s *tfgraph.Scope) tensors {
		return tensors{overlaps(s, g.value(s, "a", 1), g.value(s, "b", 1))}
	})
	g.same(t, got, 1e-6, "iou")
}

func TestClippedAnchorsOfTheReference(t *testing.T) {
	g := load(t, "anchors.npz")
	a := detector.Anchors{Scales: []float64{0.0625, 0.125, 0.25}, Ratios: []float64{0.5, 1, 2}, Base: 256}
	boxes := a.Boxes(5, 7, 16)
	got := run(t, func(s *tfgraph.Scope) tensors {
		return tensors{clip(s, tfgraph.Const(s, boxes, int64(len(boxes)/4), 4), 80, 112)}
	})
	g.same(t, got, 1e-4, "small_clipped")
	var kept []float32
	for i, in := range detector.Inside(boxes, 80, 112) {
		if in {
			kept = append(kept, float32(i))
		}
	}
	tftest.Near(t, "small_kept", kept, g["small_kept"].Float32(), 0)
}

// objects are those of a file: classes from one-hot rows whose column 0 is the
// background.
func (g golden) objects(s *tfgraph.Scope, weights bool) Objects {
	n := g["gt_boxes"].Shape[0]
	o := Objects{Boxes: g.value(s, "gt_boxes", 1), Weights: tfgraph.Filled(s, 1, 1, n)}
	o.Classes = tfgraph.Sub(s, tfgraph.ArgMax(s, g.value(s, "gt_labels", 1)), tfgraph.Scalarc(s, int64(1)))
	if weights {
		o.Weights = g.value(s, "gt_weights", 1)
	}
	return o
}

func TestTargetsOfTheReference(t *testing.T) {
	g := load(t, "targets.npz")
	o := detector.Release()
	got := run(t, func(s *tfgraph.Scope) tensors {
		boxes, objects := g.value(s, "proposal_anchors", 1), g.objects(s, true)
		rows := match(s, objects, boxes, tfgraph.Tensor{}, o.RPN, true)
		x := assign(s, objects, boxes, rows, tfgraph.Tensor{})
		return tensors{rows, x.codes, x.codeWeights, x.matched, x.classWeights}
	})
	g.same(t, got[:1], 0, "proposal_match")
	g.same(t, got[1:], 2e-4, "proposal_reg_targets", "proposal_reg_weights", "proposal_cls_targets", "proposal_cls_weights")

	got = run(t, func(s *tfgraph.Scope) tensors {
		boxes, objects := g.value(s, "detection_anchors", 1), g.objects(s, true)
		rows := match(s, objects, boxes, tfgraph.Tensor{}, o.Second, false)
		x := assign(s, objects, boxes, rows, tfgraph.Tensor{})
		return tensors{rows, x.codes, x.codeWeights, tfgraph.OneHot(s, x.classes, 6), x.classWeights}
	})
	g.same(t, got[:1], 0, "detection_match")
	g.same(t, got[1:], 2e-4, "detection_reg_targets", "detection_reg_weights", "detection_cls_targets", "detection_cls_weights")
}

// Ties, touching thresholds and swapped corners.
func TestSuppressionOfTheReference(t *testing.T) {
	g := load(t, "nms.npz")
	for _, name := range []string{"rpn", "final", "half", "few"} {
		p := g[name+"_params"].Data
		o := detector.Suppression{Count: int(p[0]), IoU: p[1], Score: p[2]}
		got := run(t, func(s *tfgraph.Scope) tensors {
			boxes := tfgraph.ExpandDims(s, g.value(s, "boxes", 1), 2)
			x := suppress(s, boxes, tfgraph.ExpandDims(s, g.value(s, "scores", 1), 2), o, o.Count)
			return tensors{x.rows, x.count}
		})
		want := g[name+"_selected"].Float32()
		n := int(got[1][0])
		tftest.Near(t, name, got[0][:n], want, 0)
		for _, row := range got[0][n:] {
			if row != 0 {
				t.Errorf("%s: padding is %v", name, got[0][n:])
				break
			}
		}
	}
}

func TestDetectionsOfTheReference(t *testing.T) {
	g := load(t, "nms.npz")
	for _, c := range []struct {
		name, params string
		order        detector.ClipOrder
	}{
		{"clipfirst", "multi", detector.ClipFirst},
		{"clipfirst_short", "multi_short", detector.ClipFirst},
		{"multi", "multi", detector.SuppressFirst},
		{"multi_short", "multi_short", detector.SuppressFirst},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := g[c.params+"_params"].Data // valid rows, per class, total, IoU, score
			o := detector.Suppression{Count: int(p[2]), IoU: p[3], Score: p[4]}
			window := g["multi_window"].Data
			h, w := int(window[2]), int(window[3])
			got := run(t, func(s *tfgraph.Scope) tensors {
				exist := existing(s, tfgraph.Vector(s, int32(p[0])), 25)
				scores := tfgraph.Mul(s, g.value(s, "multi_in_scores", 1), tfgraph.ExpandDims(s, exist, 2))
				x := suppressIn(s, g.value(s, "multi_in_boxes", 1), scores, o, int(p[1]), c.order, h, w)
				return tensors{normalise(s, x.boxes, h, w), x.scores, x.classes, x.count}
			})
			g.same(t, got[:2], 1e-6, c.name+"_boxes", c.name+"_scores")
			g.same(t, got[2:], 0, c.name+"_classes", c.name+"_count")
		})
	}
}

func TestCropsOfTheReference(t *testing.T) {
	g := load(t, "crop_and_resize.npz")
	got := run(t, func(s *tfgraph.Scope) tensors {
		image := g.value(s, "image", 0)
		three := g.cropsOfEach(s, image, 3)
		loss := tfgraph.ReduceSum(s, tfgraph.Mul(s, three, g.value(s, "dy_3", 0)))
		return tensors{g.cropsOfEach(s, image, 17), three, g.cropsOfEach(s, image, 1), tfgraph.Gradients(s, tensors{loss}, tensors{image})[0]}
	})
	g.same(t, got[:3], 2e-6, "crop_17", "crop_3", "crop_1")
	g.same(t, got[3:], 1e-5, "image_grad_3")
}

func TestLossesOfTheReference(t *testing.T) {
	g := load(t, "losses.npz")
	o := detector.Release()
	got := run(t, func(s *tfgraph.Scope) tensors {
		objects := g.objects(s, false)
		codes, logits := g.value(s, "rpn_encodings", 1), g.value(s, "rpn_logits", 1)
		x := assign(s, objects, g.value(s, "anchors", 1), g.ints(s, "rpn_match", 1), tfgraph.Tensor{}).constant(s)
		l := rpnLoss(s, x, g.value(s, "rpn_sampled", 1), codes, logits, o.RPN)
		d := tfgraph.Gradients(s, tensors{tfgraph.Add(s, l[0], l[1])}, tensors{codes, logits})
		return tensors{tfgraph.Stack(s, 0, l[0], l[1]), d[0], d[1]}
	})
	g.same(t, got[:1], 2e-5, "rpn_losses")
	g.same(t, got[1:], 1e-5, "rpn_encodings_grad", "rpn_logits_grad")

	got = run(t, func(s *tfgraph.Scope) tensors {
		objects, boxes := g.objects(s, false), g.value(s, "proposals", 1)
		codes, logits := g.value(s, "box_encodings", 1), g.value(s, "class_logits", 1)
		exist := existing(s, tfgraph.Vector(s, int32(g["num_proposals"].Data[0])), 16)
		rows := match(s, objects, boxes, tfgraph.Tensor{}, o.Second, false)
		x := assign(s, objects, boxes, rows, exist).constant(s)
		l := secondLoss(s, x, exist, codes, logits, o.Second)
		d := tfgraph.Gradients(s, tensors{tfgraph.Add(s, l[0], l[1])}, tensors{codes, logits})
		return tensors{tfgraph.Stack(s, 0, l[0], l[1]), d[0], d[1], rows}
	})
	g.same(t, got[:1], 2e-5, "box_losses")
	g.same(t, got[1:3], 1e-5, "box_encodings_grad", "class_logits_grad")
	valid := int(g["num_proposals"].Data[0])
	tftest.Near(t, "box_match", got[3][:valid], g["box_match"].Float32()[:valid], 0)
}

// nearRelative compares within a share of the largest number.
func nearRelative(t *testing.T, what string, got, want []float32, tol float64) {
	t.Helper()
	largest := 0.0
	for _, x := range want {
		largest = max(largest, math.Abs(float64(x)))
	}
	tftest.Near(t, what, got, want, tol*largest)
}
