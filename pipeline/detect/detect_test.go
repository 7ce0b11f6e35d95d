package detect

import (
	"math/rand/v2"
	"testing"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// boxes is a constant [1,n,4].
func boxes(s *tfgraph.Scope, corners ...float32) tfgraph.Tensor {
	return tfgraph.Const(s, corners, 1, int64(len(corners)/4), 4)
}

func TestCodesByHand(t *testing.T) {
	got := run(t, func(s *tfgraph.Scope) tensors {
		anchor := boxes(s, 0, 0, 10, 20)
		code := encode(s, boxes(s, 5, 0, 15, 20), anchor) // half an anchor lower
		return tensors{code, decode(s, code, anchor)}
	})
	tftest.Near(t, "code", got[0], []float32{5, 0, 0, 0}, 1e-5)
	tftest.Near(t, "box", got[1], []float32{5, 0, 15, 20}, 1e-4)
}

func TestOverlapsByHand(t *testing.T) {
	got := run(t, func(s *tfgraph.Scope) tensors {
		return tensors{overlaps(s, boxes(s, 0, 0, 2, 2, 0, 0, 0, 0), boxes(s, 0, 1, 2, 3, 2, 0, 4, 2, 0, 0, 2, 2, 0, 0, 0, 0))}
	})
	tftest.Near(t, "IoU", got[0], []float32{1. / 3, 0, 1, 0, 0, 0, 0, 0}, 1e-6)
}

// Rules of reference detection.md section 5, a box for each.
func TestMatchByHand(t *testing.T) {
	c := detector.Sampling{Matched: 0.7, Unmatched: 0.3}
	got := run(t, func(s *tfgraph.Scope) tensors {
		o := Objects{
			Boxes:   boxes(s, 0, 0, 10, 10, 0, 0, 10, 9, 50, 50, 60, 60, 0, 0, 0, 0),
			Weights: tfgraph.Const(s, []float32{1, 0.5, 1, 0}, 1, 4), Classes: tfgraph.Const(s, []int64{3, 1, 2, 0}, 1, 4),
		}
		// Equal to object 0; half of it; far away; beside object 2.
		b := boxes(s, 0, 0, 10, 10, 0, 0, 5, 10, 80, 80, 90, 90, 58, 58, 68, 68)
		rows, forced := match(s, o, b, tfgraph.Tensor{}, c, false), match(s, o, b, tfgraph.Tensor{}, c, true)
		inside := tfgraph.Cast(s, tfgraph.Vector(s, float32(0), 1, 1, 0), tfgraph.Bool)
		x := assign(s, o, b, forced, tfgraph.Tensor{})
		return tensors{rows, forced, match(s, o, b, inside, c, true), x.classes, x.classWeights, x.codeWeights}
	})
	tftest.Near(t, "rows", got[0], []float32{0, ignored, background, background}, 0)
	// Objects 0 and 1 both have the first box as their best: the upper one takes it.
	tftest.Near(t, "forced", got[1], []float32{0, ignored, background, 2}, 0)
	// Inside are the two in the middle: all overlap object 2 alike, so the first of them is its best, too.
	tftest.Near(t, "forced inside", got[2], []float32{0, 0, background, background}, 0)
	tftest.Near(t, "classes", got[3], []float32{4, 0, 0, 3}, 0)
	tftest.Near(t, "class weights", got[4], []float32{1, 0, 1, 1}, 0)
	tftest.Near(t, "code weights", got[5], []float32{1, 0, 0, 1}, 0)
}

func TestNoObjectIsAllBackground(t *testing.T) {
	got := run(t, func(s *tfgraph.Scope) tensors {
		o := Objects{Boxes: tfgraph.Zeros(s, 1, 2, 4), Weights: tfgraph.Zeros(s, 1, 2), Classes: tfgraph.Const(s, []int64{0, 0}, 1, 2)}
		return tensors{match(s, o, boxes(s, 0, 0, 1, 1, 3, 3, 4, 4), tfgraph.Tensor{}, detector.Release().RPN, true)}
	})
	tftest.Near(t, "rows", got[0], []float32{background, background}, 0)
}

// Counts of reference detection.md section 6.
func TestMinibatchesHoldWhatTheReferenceDraws(t *testing.T) {
	o := detector.Release()
	for _, c := range []struct {
		c                                  detector.Sampling
		objects, others                    int
		wantObjects, wantOthers, ignoredOf int
	}{
		{o.RPN, 300, 4800, 128, 128, 7},
		{o.RPN, 10, 4800, 10, 246, 7},
		{o.RPN, 300, 20, 128, 20, 7},
		{o.Second, 40, 100, 16, 48, 0},
		{o.Second, 3, 5, 3, 5, 3},
	} {
		n := int64(c.objects + c.others + c.ignoredOf)
		matched, weights := make([]float32, 2*n), make([]float32, 2*n)
		r := rand.New(rand.NewPCG(3, 4))
		for image := range 2 {
			place := r.Perm(int(n))
			for i := range c.objects + c.others {
				at := image*int(n) + place[i]
				weights[at] = 1
				if i < c.objects {
					matched[at] = 1
				}
			}
		}
		got := run(t, func(s *tfgraph.Scope) tensors {
			x := targets{
				matched: tfgraph.Cast(s, tfgraph.Const(s, matched, 2, n), tfgraph.Bool), classWeights: tfgraph.Const(s, weights, 2, n),
			}
			drawn := sample(s, x, c.c, tfgraph.Vector(s, int64(1), 2))
			return tensors{drawn, sample(s, x, c.c, tfgraph.Vector(s, int64(1), 2)), sample(s, x, c.c, tfgraph.Vector(s, int64(1), 3))}
		})
		tftest.Near(t, "the same key", got[1], got[0], 0)
		if n > int64(c.c.Batch) && tftest.MaxAbsDiff(got[0], got[2]) == 0 {
			t.Errorf("%d and %d boxes: another key draws the same", c.objects, c.others)
		}
		for image := range 2 {
			objects, others := 0, 0
			for i := range n {
				at := int64(image)*n + i
				switch {
				case got[0][at] == 0:
				case weights[at] == 0 || got[0][at] != 1:
					t.Fatalf("box %d is drawn %g times with weight %g", at, got[0][at], weights[at])
				case matched[at] == 1:
					objects++
				default:
					others++
				}
			}
			if objects != c.wantObjects || others != c.wantOthers {
				t.Errorf("%d and %d boxes: %d and %d drawn, want %d and %d", c.objects, c.others, objects, others, c.wantObjects, c.wantOthers)
			}
		}
	}
}

func TestSuppressionByHand(t *testing.T) {
	o := detector.Suppression{Count: 3, IoU: 0.5, Score: 0.1}
	got := run(t, func(s *tfgraph.Scope) tensors {
		// Two that overlap, one whose part inside the image is empty, one apart, one that scores too little.
		b := tfgraph.ExpandDims(s, boxes(s, 0, 0, 10, 10, 0, 1, 10, 11, -9, 0, 0, 9, 20, 20, 40, 30, 5, 5, 6, 6), 2)
		scores := tfgraph.Const(s, []float32{0.8, 0.8, 0.9, 0.3, 0.1}, 1, 5, 1)
		x := suppressIn(s, b, scores, o, 3, detector.ClipFirst, 30, 30)
		y := suppressIn(s, b, scores, o, 3, detector.SuppressFirst, 30, 30)
		return tensors{x.rows, x.scores, x.boxes, x.count, y.rows, y.count}
	})
	tftest.Near(t, "rows", got[0], []float32{0, 3, 0}, 0)
	tftest.Near(t, "scores", got[1], []float32{0.8, 0.3, 0}, 0)
	tftest.Near(t, "boxes", got[2], []float32{0, 0, 10, 10, 20, 20, 30, 30, 0, 0, 0, 0}, 0)
	tftest.Near(t, "count", got[3], []float32{2}, 0)
	tftest.Near(t, "rows, clipped afterwards", got[4], []float32{0, 3, 0}, 0)
	tftest.Near(t, "count, clipped afterwards", got[5], []float32{2}, 0)
}

func TestLossesByHand(t *testing.T) {
	c := detector.Sampling{BoxWeight: 2, ClassWeight: 1}
	got := run(t, func(s *tfgraph.Scope) tensors {
		o := Objects{Boxes: boxes(s, 0, 0, 10, 10), Weights: tfgraph.Filled(s, 1, 1, 1), Classes: tfgraph.Const(s, []int64{1}, 1, 1)}
		b := boxes(s, 0, 0, 10, 10, 50, 50, 60, 60)
		rows := match(s, o, b, tfgraph.Tensor{}, detector.Release().Second, false)
		x := assign(s, o, b, rows, tfgraph.Tensor{})
		codes := boxes(s, 0.5, 0, 0, -3, 9, 9, 9, 9)
		rpn := rpnLoss(s, x, tfgraph.Filled(s, 1, 1, 2), codes, tfgraph.Zeros(s, 1, 2, 2), c)
		each := tfgraph.Stack(s, 2, tfgraph.Filled(s, 7, 1, 2, 4), codes) // of class 0, of class 1: [1,2,2,4]
		second := secondLoss(s, x, tfgraph.Filled(s, 1, 1, 2), each, tfgraph.Zeros(s, 1, 2, 3), c)
		return tensors{tfgraph.Stack(s, 0, rpn[0], rpn[1], second[0], second[1])}
	})
	boxLoss := float32(2 * (0.125 + 2.5) / 2)
	tftest.Near(t, "losses", got[0], []float32{boxLoss, 0.693147, boxLoss, 1.098612}, 1e-5)
}

// smallPlan is a detector that a test can run.
func smallPlan(t *testing.T, change func(*detector.Options)) *detector.Plan {
	t.Helper()
	m, err := model.Preset("nasnet-a-mobile")
	if err != nil {
		t.Fatal(err)
	}
	m.Filters, m.NormalCells, m.Input, m.StemMultiplier, m.DropPathKeep = 8, 3, [3]int{64, 64, 3}, 0.25, 0.7
	o := detector.Release()
	o.Classes, o.Anchors.Scales, o.Anchors.Base, o.RPNChannels = 3, []float64{0.5, 1}, 32, 16
	o.Proposals.Count, o.Second.Batch, o.RPN.Batch, o.Crop, o.Objects = 20, 12, 32, 5, 4
	if change != nil {
		change(&o)
	}
	p, err := detector.Build(detector.Detector{Model: m, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pictures are noise in -1..1, [n,64,64,3].
func pictures(n int64) []float32 {
	r := rand.New(rand.NewPCG(8, 8))
	x := make([]float32, n*64*64*3)
	for i := range x {
		x[i] = r.Float32()*2 - 1
	}
	return x
}

// An image's detections depend on neither the others of its batch nor on the
// chunks that the second stage takes.
func TestDetectionsDependOnTheImageAlone(t *testing.T) {
	const n = 3
	g := tfgraph.New()
	s, st := g.Root(), tfgraph.NewStore(7)
	images := tfgraph.Placeholder(s, "images", tfgraph.Float32, tfgraph.Shape{-1, 64, 64, 3})
	whole := Detect(s, st, smallPlan(t, func(o *detector.Options) { o.Chunk = 50 }), images)
	chunks := Detect(s.Sub("chunks"), st.Shared(), smallPlan(t, func(o *detector.Options) { o.Chunk = 7 }), images)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	if _, err := sess.Run(nil, nil, st.Init(s)); err != nil {
		t.Fatal(err)
	}
	find := func(d Detections, data []float32, n int64) [][]float32 {
		v, err := tfgraph.NewValue(data, n, 64, 64, 3)
		if err != nil {
			t.Fatal(err)
		}
		classes := tfgraph.Cast(s, d.Classes, tfgraph.Float32)
		out, err := sess.Run(tfgraph.Feeds{images: v}, tensors{d.Boxes, d.Scores, classes, tfgraph.Cast(s, d.Count, tfgraph.Float32)})
		if err != nil {
			t.Fatal(err)
		}
		return tftest.Floats(t, out)
	}
	data := pictures(n)
	all, parts := find(whole, data, n), find(chunks, data, n)
	names := []string{"boxes", "scores", "classes", "count"}
	for i, name := range names {
		tftest.Near(t, name+" in chunks", parts[i], all[i], 1e-5)
	}
	for image := range int64(n) {
		if all[3][image] == 0 {
			t.Errorf("image %d: nothing was detected", image)
		}
		one := find(whole, data[image*64*64*3:][:64*64*3], 1)
		for i, name := range names {
			size := int64(len(all[i])) / n
			tftest.Near(t, name+" of one image", one[i], all[i][image*size:][:size], 1e-5)
		}
	}
	for i, x := range all[0] {
		if x < 0 || x > 1 {
			t.Fatalf("number %d of the boxes is %g, want 0..1", i, x)
		}
	}
}

// Folded norms and shared steps find the same.
func TestTheInferencePlanDetectsTheSame(t *testing.T) {
	p := smallPlan(t, nil)
	values := p.Whole().RandomValues(4)
	folded, foldedValues, err := p.Inference(values)
	if err != nil {
		t.Fatal(err)
	}
	found := func(p *detector.Plan, values model.Values) [][]float32 {
		st, err := network.Constants(p.Whole(), values)
		if err != nil {
			t.Fatal(err)
		}
		return run(t, func(s *tfgraph.Scope) tensors {
			d := Detect(s, st, p, tfgraph.Const(s, pictures(2), 2, 64, 64, 3))
			return tensors{d.Boxes, d.Scores, d.Classes, d.Count}
		})
	}
	want, got := found(p, values), found(folded, foldedValues)
	if want[3][0] == 0 {
		t.Fatal("nothing is detected, so nothing is compared")
	}
	for i, name := range []string{"boxes", "scores", "classes", "count"} {
		tftest.Near(t, name, got[i], want[i], 1e-3)
	}
	delete(values, "Conv/biases")
	if _, _, err := p.Inference(values); err == nil {
		t.Error("a missing value is not an error")
	}
}

// train adds a training graph and returns its losses and all gradients' sizes.
func train(t *testing.T, p *detector.Plan, seed int64) (losses, norms []float32, updates int) {
	t.Helper()
	got := tftest.Run(t, func(s *tfgraph.Scope) ([]tfgraph.Tensor, tfgraph.Feeds, tfgraph.Operation) {
		st := tfgraph.NewStore(7)
		images := tfgraph.Const(s, pictures(2), 2, 64, 64, 3)
		objects := Objects{
			Boxes:   tfgraph.Const(s, []float32{4, 4, 40, 30, 20, 30, 60, 60, 10, 10, 30, 30, 0, 0, 0, 0}, 2, 2, 4),
			Classes: tfgraph.Const(s, []int64{0, 2, 1, 0}, 2, 2), Weights: tfgraph.Const(s, []float32{1, 1, 1, 0}, 2, 2),
		}
		o := network.Options{Keep: tfgraph.Filled(s, 0.8, int64(p.TotalCells())), Noise: tfgraph.Vector(s, seed, 5)}
		l := Train(s, st, p, images, objects, o)
		updates = len(l.Updates)
		var reads, sizes tensors
		for _, v := range st.Trainable() {
			reads = append(reads, v.Read)
		}
		for _, d := range tfgraph.Gradients(s, tensors{l.Total}, reads) {
			sizes = append(sizes, nn.L2(s, tensors{d}))
		}
		if want := len(p.Variables()); s.OK() && len(st.All()) != want {
			t.Errorf("%d variables, want %d", len(st.All()), want)
		}
		return tensors{tfgraph.Stack(s, 0, l.Total, l.Parts["loss_rpn_boxes"], l.Parts["loss_objectness"], l.Parts["loss_boxes"], l.Parts["loss_classes"]), tfgraph.Stack(s, 0, sizes...)}, nil, st.Init(s)
	})
	return got[0], got[1], updates
}

func TestTrainingReachesEveryVariable(t *testing.T) {
	p := smallPlan(t, nil)
	losses, norms, updates := train(t, p, 1)
	if updates != 0 {
		t.Errorf("frozen batch norms have %d updates", updates)
	}
	for i, x := range losses {
		if !(x > 0 && x < 1e5) { // large: frozen norms do not normalise what was never trained
			t.Errorf("loss %d is %g", i, x)
		}
	}
	tftest.Near(t, "sum", losses[:1], []float32{losses[1] + losses[2] + losses[3] + losses[4]}, 1e-4)
	for i, x := range norms {
		if !(x >= 0 && x < 1e12) {
			t.Errorf("gradient %d: %g", i, x)
		}
	}
	again, _, _ := train(t, p, 1)
	tftest.Near(t, "the same key", again, losses, 1e-5)
	other, _, _ := train(t, p, 2)
	if tftest.MaxAbsDiff(other, losses) < 1e-5 {
		t.Error("another key drops the same paths and draws the same boxes")
	}
	_, _, updates = train(t, smallPlan(t, func(o *detector.Options) { o.FirstNorm = detector.NormBatch }), 1)
	norms2 := 0
	for _, l := range p.First.Layers {
		if l.Kind == model.BatchNorm {
			norms2++
		}
	}
	if updates != 2*norms2 {
		t.Errorf("batch norms of the first stage have %d updates, want %d", updates, 2*norms2)
	}
}
