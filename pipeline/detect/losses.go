package detect

import (
	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
)

// Loss is a detector in training.
type Loss struct {
	Total   tfgraph.Tensor            // scalar, without weight decay
	Parts   map[string]tfgraph.Tensor // the four it is the sum of, and what the minibatches hold
	Updates []tfgraph.Operation       // of moving statistics
	Decayed []*tfgraph.Variable       // weights that take decay: the network's, not the heads'
}

// Train adds the planned detector in training for a batch of images [B,H,W,3],
// prepared to -1..1, with their objects, in pixels of the images; B is known.
// Keep, Noise and Plain of o count (see network.Options): paths are dropped and
// minibatches drawn as functions of the noise key.
func Train(s *tfgraph.Scope, st *tfgraph.Store, plan *detector.Plan, images tfgraph.Tensor, objects Objects, o network.Options) Loss {
	o.Training = true
	b := &builder{plan: plan, st: st, o: o}
	features := b.features(s, images)
	codes, objectness := b.regions(s, features)
	a := b.anchors(s, true)
	found := b.proposals(s.Sub("proposals"), codes, objectness, a)

	rs := s.Sub("rpn_loss")
	boxes := tfgraph.ExpandDims(rs, a.boxes, 0) // [1,A,4]
	rows := match(rs, objects, boxes, isPositive(rs, a.inside), plan.Options.RPN, true)
	t := assign(rs, objects, boxes, rows, a.inside).constant(rs)
	drawn := tfgraph.StopGradient(rs, sample(rs, t, plan.Options.RPN, siteKey(rs, o.Noise, 1)))
	rpn := rpnLoss(rs, t, drawn, codes, objectness, plan.Options.RPN)

	ss := s.Sub("second_loss")
	picked := b.minibatch(ss, found, objects, siteKey(ss, o.Noise, 2))
	b.o.Noise = siteKey(ss, o.Noise, 3) // of the second stage's drop path
	classCodes, classes := b.judge(s, features, b.normalised(ss, picked.boxes))
	second := secondLoss(ss, picked.targets, picked.exist, classCodes, classes, plan.Options.Second)

	parts := map[string]tfgraph.Tensor{
		"loss_rpn_boxes": rpn[0], "loss_objectness": rpn[1], "loss_boxes": second[0], "loss_classes": second[1],
		"proposals":        tfgraph.Mean(ss, tfgraph.Cast(ss, found.count, tfgraph.Float32)),
		"sampled_matching": tfgraph.Mean(ss, tfgraph.ReduceSum(ss, tfgraph.Cast(ss, picked.targets.matched, tfgraph.Float32), 1)),
	}
	total := tfgraph.Sum(s, rpn[0], rpn[1], second[0], second[1])
	return Loss{Total: total, Parts: parts, Updates: b.updates, Decayed: b.decayed}
}

// siteKey keeps the random numbers of a step's sites apart.
func siteKey(s *tfgraph.Scope, noise tfgraph.Tensor, site int64) tfgraph.Tensor {
	if !noise.Valid() {
		return s.Fail("training draws minibatches, but a noise key was not given")
	}
	return tfgraph.Add(s, noise, tfgraph.Vector(s, site<<40, int64(0)))
}

// constant are targets that no gradient goes through.
func (t targets) constant(s *tfgraph.Scope) targets {
	t.codes, t.codeWeights = tfgraph.StopGradient(s, t.codes), tfgraph.StopGradient(s, t.codeWeights)
	t.classes, t.classWeights = tfgraph.StopGradient(s, t.classes), tfgraph.StopGradient(s, t.classWeights)
	return t
}

// batch is the second stage's minibatch.
type batch struct {
	boxes   tfgraph.Tensor // [B,n,4]
	exist   tfgraph.Tensor // [B,n]: 1, or 0 for padding
	targets targets
}

// minibatch draws proposals of each image and says what they match. Padding is
// no background (section 6).
func (b *builder) minibatch(s *tfgraph.Scope, found picks, objects Objects, key tfgraph.Tensor) batch {
	c := b.plan.Options.Second
	assigned := func(boxes, exist tfgraph.Tensor) targets {
		return assign(s, objects, boxes, match(s, objects, boxes, tfgraph.Tensor{}, c, false), exist)
	}
	exist := existing(s, found.count, int64(b.plan.Options.Proposals.Count))
	drawn := sample(s, assigned(found.boxes, exist), c, key)
	kept, at := tfgraph.TopK(s, drawn, int64(c.Batch)) // those drawn, in their order, then others
	m := batch{exist: tfgraph.StopGradient(s, kept)}
	m.boxes = tfgraph.Mul(s, tfgraph.GatherRows(s, found.boxes, at), tfgraph.ExpandDims(s, kept, 2))
	m.boxes = tfgraph.StopGradient(s, m.boxes)
	m.targets = assigned(m.boxes, m.exist).constant(s)
	return m
}

// smooth is d²/2 for |d| <= 1, else |d| - 1/2, summed over the last axis.
func smooth(s *tfgraph.Scope, d tfgraph.Tensor) tfgraph.Tensor {
	size := s.One("Abs", nil, d)
	near := tfgraph.Minimum(s, size, tfgraph.Scalarc(s, float32(1)))
	// near²/2 + (size - near) is the same and has one gradient throughout.
	return tfgraph.ReduceSum(s, tfgraph.Add(s, tfgraph.Scale(s, tfgraph.Square(s, near), 0.5), tfgraph.Sub(s, size, near)), int32(len(d.Shape())-1))
}

// rpnLoss are the losses of codes [B,A,4] and of objectness [B,A,2], over the
// anchors drawn [B,A]: for each image divided by their number, mean over images
// (section 10).
func rpnLoss(s *tfgraph.Scope, t targets, drawn, codes, objectness tfgraph.Tensor, c detector.Sampling) [2]tfgraph.Tensor {
	n := tfgraph.Maximum(s, tfgraph.ReduceSum(s, drawn, 1), tfgraph.Scalarc(s, float32(1))) // [B]
	mean := func(losses tfgraph.Tensor, weight float64) tfgraph.Tensor {
		return tfgraph.Scale(s, tfgraph.Mean(s, tfgraph.Div(s, tfgraph.ReduceSum(s, losses, 1), n)), float32(weight))
	}
	boxes := tfgraph.Mul(s, tfgraph.Mul(s, drawn, t.codeWeights), smooth(s, tfgraph.Sub(s, codes, t.codes)))
	object := tfgraph.Cast(s, t.matched, tfgraph.Int64) // whichever class
	entropy := tfgraph.Mul(s, drawn, crossEntropies(s, objectness, object))
	return [2]tfgraph.Tensor{mean(boxes, c.BoxWeight), mean(entropy, c.ClassWeight)}
}

// secondLoss are the losses of codes [B,P,K,4], of which that of the target's
// class counts, and of classes [B,P,1+K], over rows that exist [B,P]: divided by
// their number in each image and by the number of images, summed (section 10).
func secondLoss(s *tfgraph.Scope, t targets, exist, codes, classes tfgraph.Tensor, c detector.Sampling) [2]tfgraph.Tensor {
	n := tfgraph.Maximum(s, tfgraph.ReduceSum(s, exist, 1), tfgraph.Scalarc(s, float32(1))) // [B]
	mean := func(losses tfgraph.Tensor, weight float64) tfgraph.Tensor {
		losses = tfgraph.ReduceSum(s, tfgraph.Mul(s, exist, losses), 1)
		return tfgraph.Scale(s, tfgraph.Mean(s, tfgraph.Div(s, losses, n)), float32(weight))
	}
	k := classes.Dim(2)
	own := tfgraph.OneHot(s, tfgraph.Sub(s, t.classes, tfgraph.Scalarc(s, int64(1))), int32(k-1)) // [B,P,K]; none for background
	all := smooth(s, tfgraph.Sub(s, codes, tfgraph.ExpandDims(s, t.codes, 2)))                    // [B,P,K]
	boxes := tfgraph.Mul(s, t.codeWeights, tfgraph.ReduceSum(s, tfgraph.Mul(s, own, all), 2))
	entropy := tfgraph.Mul(s, t.classWeights, crossEntropies(s, classes, t.classes))
	return [2]tfgraph.Tensor{mean(boxes, c.BoxWeight), mean(entropy, c.ClassWeight)}
}

// crossEntropies are those of logits [B,N,K] against classes int64 [B,N]: [B,N].
func crossEntropies(s *tfgraph.Scope, logits, classes tfgraph.Tensor) tfgraph.Tensor {
	n, k := logits.Dim(1), logits.Dim(2)
	flat := tfgraph.Reshape(s, logits, -1, k)
	wanted := tfgraph.StopGradient(s, nn.Targets(s, tfgraph.Reshape(s, classes, -1), int32(k), 0))
	losses := nn.CrossEntropies(s, flat, wanted)
	return tfgraph.Reshape(s, losses, -1, n)
}
