package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// cornerBox is a box in plain Go.
type cornerBox [4]float32

func (b cornerBox) area() float32 { return (b[2] - b[0]) * (b[3] - b[1]) }

func (b cornerBox) iou(c cornerBox) float32 {
	h, w := min(b[2], c[2])-max(b[0], c[0]), min(b[3], c[3])-max(b[1], c[1])
	if h <= 0 || w <= 0 {
		return 0
	}
	return h * w / (b.area() + c.area() - h*w)
}

func (b cornerBox) clipped(h, w float32) cornerBox {
	return cornerBox{min(max(b[0], 0), h), min(max(b[1], 0), w), min(max(b[2], 0), h), min(max(b[3], 0), w)}
}

// pick is a box that suppression leaves.
type pick struct {
	box        cornerBox
	score      float32
	class, row int
}

// greedy is suppression as sections 7 and 11 of reference detection.md tell it, one
// box at a time: boxes [n][q], scores [n][classes].
func greedy(boxes [][]cornerBox, scores [][]float32, o detector.Suppression, perClass int, order detector.ClipOrder, h, w float32) []pick {
	var all []pick
	for class := range scores[0] {
		var list, kept []pick
		for row := range scores {
			b := boxes[row][min(class, len(boxes[row])-1)]
			if order == detector.ClipFirst {
				b = b.clipped(h, w)
			}
			if scores[row][class] > float32(o.Score) && (order == detector.SuppressFirst || b.area() > 0) {
				list = append(list, pick{b, scores[row][class], class, row})
			}
		}
		slices.SortStableFunc(list, func(a, b pick) int {
			return int(math.Copysign(1, float64(b.score-a.score))) * truth(a.score != b.score)
		})
		for _, p := range list {
			free := !slices.ContainsFunc(kept, func(k pick) bool { return k.box.iou(p.box) > float32(o.IoU) })
			if free && len(kept) < perClass {
				kept = append(kept, p)
			}
		}
		all = append(all, kept...)
	}
	slices.SortStableFunc(all, func(a, b pick) int {
		return int(math.Copysign(1, float64(b.score-a.score))) * truth(a.score != b.score)
	})
	for i := range all {
		all[i].box = all[i].box.clipped(h, w)
	}
	all = slices.DeleteFunc(all, func(p pick) bool { return p.box.area() <= 0 })
	return all[:min(o.Count, len(all))]
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestSuppressionIsTheGreedyOne compares random boxes on a coarse grid, so that
// scores and overlaps tie, over several images and sizes down to one box.
func TestSuppressionIsTheGreedyOne(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		images, n, classes := 1+r.IntN(3), 1+r.IntN(24), 1+r.IntN(4)
		q := []int{1, classes}[r.IntN(2)]
		o := detector.Suppression{Count: 1 + r.IntN(20), IoU: []float64{0, 0.25, 0.5, 0.7, 1}[r.IntN(5)], Score: []float64{0, 0.25}[r.IntN(2)]}
		perClass, order := 1+r.IntN(12), []detector.ClipOrder{detector.ClipFirst, detector.SuppressFirst}[r.IntN(2)]
		const h, w = 16, 24
		var flatBoxes, flatScores []float32
		var want [][]pick
		for range images {
			boxes, scores := make([][]cornerBox, n), make([][]float32, n)
			for i := range n {
				for range q {
					y, x := float32(r.IntN(12)*2-4), float32(r.IntN(16)*2-4)
					b := cornerBox{y, x, y + float32(r.IntN(6)*2), x + float32(r.IntN(6)*2)}
					boxes[i] = append(boxes[i], b)
					flatBoxes = append(flatBoxes, b[:]...)
				}
				for range classes {
					scores[i] = append(scores[i], float32(r.IntN(9))/8)
				}
				flatScores = append(flatScores, scores[i]...)
			}
			want = append(want, greedy(boxes, scores, o, perClass, order, h, w))
		}
		got := run(t, func(s *tfgraph.Scope) tensors {
			p := suppressIn(s, tfgraph.Const(s, flatBoxes, int64(images), int64(n), int64(q), 4), tfgraph.Const(s, flatScores, int64(images), int64(n), int64(classes)), o, perClass, order, h, w)
			return tensors{p.boxes, p.scores, p.classes, p.rows, p.count}
		})
		for i, list := range want {
			name := fmt.Sprintf("seed %d, image %d (%s, %+v, %d a class)", seed, i, order, o, perClass)
			if int(got[4][i]) != len(list) {
				t.Fatalf("%s: %g boxes are left, want %d", name, got[4][i], len(list))
			}
			for k := range o.Count {
				at := i*o.Count + k
				var p pick
				if k < len(list) {
					p = list[k]
				}
				if g := (pick{cornerBox(got[0][4*at : 4*at+4]), got[1][at], int(got[2][at]), int(got[3][at])}); g != p {
					t.Fatalf("%s: place %d is %+v, want %+v", name, k, g, p)
				}
			}
		}
	}
}

// Codes that overflow make boxes that are cut off at the image; boxes that are no
// numbers are dropped.
func TestBoxesWithoutBounds(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	got := run(t, func(s *tfgraph.Scope) tensors {
		codes := boxes(s, 0, 0, 900, 900, nan, 0, 0, 0, 1e38, 1e38, 0, 0, 0, 0, -900, -900)
		b := decode(s, codes, boxes(s, 2, 2, 6, 6))
		scores := tfgraph.Const(s, []float32{0.4, 0.9, 0.8, 0.7}, 1, 4, 1)
		o := detector.Suppression{Count: 4, IoU: 0.5}
		p := suppressIn(s, tfgraph.ExpandDims(s, b, 2), scores, o, 4, detector.ClipFirst, 10, 20)
		x := suppressIn(s, tfgraph.ExpandDims(s, boxes(s, -inf, -inf, inf, inf), 2), tfgraph.Filled(s, 0.5, 1, 1, 1), o, 4, detector.ClipFirst, 10, 20)
		return tensors{p.boxes, p.count, x.boxes, x.count}
	})
	want := append([]float32{0, 0, 10, 20}, make([]float32, 12)...)
	tftest.Near(t, "box", got[0], want, 0)
	tftest.Near(t, "count", got[1], []float32{1}, 0)
	tftest.Near(t, "infinite box", got[2], want, 0)
	tftest.Near(t, "count of it", got[3], []float32{1}, 0)
}

// Sizes that no stride divides, one proposal, one detection.
func TestOddDetectors(t *testing.T) {
	for _, c := range []struct{ h, w, proposals int }{{65, 97, 20}, {47, 64, 1}, {33, 130, 3}} {
		p := smallPlan(t, func(o *detector.Options) {
			o.Proposals.Count, o.Second.Batch = c.proposals, min(o.Second.Batch, c.proposals)
			if c.proposals == 1 {
				o.Detections.Count, o.PerClass, o.Crop = 1, 1, 1
			}
		})
		m := p.Model
		m.Input = [3]int{c.h, c.w, 3}
		p, err := detector.Build(detector.Detector{Model: m, Options: p.Options})
		if err != nil {
			t.Fatal(err)
		}
		st, err := network.Constants(p.Whole(), p.Whole().RandomValues(3))
		if err != nil {
			t.Fatal(err)
		}
		got := run(t, func(s *tfgraph.Scope) tensors {
			images := tfgraph.Const(s, noise(2*c.h*c.w*3), 2, int64(c.h), int64(c.w), 3)
			d := Detect(s, st, p, images)
			return tensors{d.Boxes, d.Scores, d.Classes, d.Count}
		})
		for image := range 2 {
			count := int(got[3][image])
			if most := min(p.Options.Detections.Count, c.proposals*p.Options.Classes); count < 1 || count > most {
				t.Errorf("%+v: image %d has %d detections, want 1 to %d", c, image, count, most)
			}
			for k := range p.Options.Detections.Count {
				at := image*p.Options.Detections.Count + k
				b, class := cornerBox(got[0][4*at:4*at+4]), got[2][at]
				full := b.area() > 0 && b == b.clipped(1, 1) && got[1][at] > 0 && class >= 1 && class <= 3
				empty := b == cornerBox{} && got[1][at] == 0 && class == 0
				if k < count && !full || k >= count && !empty {
					t.Errorf("%+v: place %d of %d: %v, score %g, class %g", c, k, count, b, got[1][at], class)
				}
			}
		}
	}
}

// noise are n numbers in -1..1.
func noise(n int) []float32 {
	r := rand.New(rand.NewPCG(9, 9))
	x := make([]float32, n)
	for i := range x {
		x[i] = r.Float32()*2 - 1
	}
	return x
}

// losses trains once on images with objects, rows of [boxes, class, weight], all
// anchors and proposals drawn, nothing dropped: total, the four parts, proposals.
func losses(t *testing.T, images []float32, rows []float32, n int64) []float32 {
	t.Helper()
	p := smallPlan(t, func(o *detector.Options) {
		o.RPN.Batch, o.RPN.Positive, o.Second.Batch, o.Second.Positive = 4096, 1, o.Proposals.Count, 1
	})
	return tftest.Run(t, func(s *tfgraph.Scope) ([]tfgraph.Tensor, tfgraph.Feeds, tfgraph.Operation) {
		st := tfgraph.NewStore(7)
		objects := ObjectsOf(s, p, tfgraph.Const(s, rows, n, int64(len(rows))/6/n, 6))
		o := network.Options{Keep: tfgraph.Filled(s, 1, int64(p.TotalCells())), Noise: tfgraph.Vector(s, int64(3), 5)}
		l := Train(s, st, p, tfgraph.Const(s, images, n, 64, 64, 3), objects, o)
		return tensors{tfgraph.Stack(s, 0, l.Total, l.Parts["loss_rpn_boxes"], l.Parts["loss_objectness"], l.Parts["loss_boxes"], l.Parts["loss_classes"], l.Parts["sampled_matching"])}, nil, st.Init(s)
	})[0]
}

// The loss of a batch is the mean of its images', whatever each has on it: many
// objects, one that fills the image, none.
func TestABatchIsTheMeanOfItsImages(t *testing.T) {
	const size, rowSize = 64 * 64 * 3, 3 * 6
	images := noise(3 * size)
	rows := []float32{
		0.1, 0.1, 0.6, 0.5, 0, 1, 0.3, 0.5, 0.9, 0.9, 2, 1, 0.1, 0.1, 0.6, 0.5, 1, 1, // two of them the same box
		0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	}
	batch := losses(t, images, rows, 3)
	mean := make([]float32, len(batch))
	for i := range 3 {
		one := losses(t, images[i*size:][:size], rows[i*rowSize:][:rowSize], 1)
		if i == 2 && (one[1] != 0 || one[3] != 0 || one[5] != 0 || !(one[2] > 0) || !(one[4] > 0)) {
			t.Errorf("an image without objects has the losses %v: want none of boxes, some of classes", one)
		}
		for k := range mean {
			mean[k] += one[k] / 3
		}
	}
	for k := range mean {
		if far := math.Abs(float64(batch[k] - mean[k])); !(far <= 1e-4*math.Abs(float64(mean[k]))+1e-5) {
			t.Errorf("number %d of the batch is %g, the mean of its images %g", k, batch[k], mean[k])
		}
	}
}
