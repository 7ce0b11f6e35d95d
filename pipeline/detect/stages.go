package detect

import (
	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
)

// builder adds a detector's parts to a graph.
type builder struct {
	plan *detector.Plan
	st   *tfgraph.Store
	o    network.Options

	updates []tfgraph.Operation
	decayed []*tfgraph.Variable
}

// note keeps what a stage leaves for the optimizer.
func (b *builder) note(out network.Output) network.Output {
	b.updates, b.decayed = append(b.updates, out.Updates...), append(b.decayed, out.Decayed...)
	return out
}

// first is the first stage on images [B,H,W,3], prepared to -1..1.
func (b *builder) first(s *tfgraph.Scope, images tfgraph.Tensor) network.Output {
	o := b.o
	o.FrozenNorm = b.plan.Options.FirstNorm == detector.NormFrozen
	return b.note(network.Build(s, b.st, b.plan.First, images, o))
}

// features are the first stage's map [B,H',W',C].
func (b *builder) features(s *tfgraph.Scope, images tfgraph.Tensor) tfgraph.Tensor {
	return b.first(s, images).Pooled
}

// regions is the region proposal network: codes [B,A,4] and logits of
// background and object [B,A,2], in the order of the anchors.
func (b *builder) regions(s *tfgraph.Scope, features tfgraph.Tensor) (codes, objectness tfgraph.Tensor) {
	l := b.plan.RPN
	x := s.One("Relu6", nil, b.biased(s, l.Conv, features)) // [B,H',W',channels]
	anchors := int64(b.plan.AnchorCount())
	codes = tfgraph.Reshape(s, b.biased(s, l.Boxes, x), -1, anchors, 4)
	return codes, tfgraph.Reshape(s, b.biased(s, l.Objectness, x), -1, anchors, 2)
}

// biased is a convolution or a dense layer with biases.
func (b *builder) biased(s *tfgraph.Scope, l model.Layer, x tfgraph.Tensor) tfgraph.Tensor {
	s = s.Sub("%s", l.Name)
	weights, biases := network.Variable(s, b.st, l.Variables[0]).Read, network.Variable(s, b.st, l.Variables[1]).Read
	if l.Kind == model.Dense {
		return nn.Dense(s, x, weights, biases)
	}
	pair := func(p [2]int) [2]int64 { return [2]int64{int64(p[0]), int64(p[1])} }
	return s.One("BiasAdd", nil, nn.Conv(s, x, weights, nn.Window{Kernel: pair(l.Kernel), Stride: pair(l.Stride), Padding: nn.Same}), biases)
}

// crop resamples the features inside boxes [B,P,4], normalised, to n x n places:
// [B·P,n,n,C] (section 8).
func crop(s *tfgraph.Scope, features, boxes tfgraph.Tensor, n int) tfgraph.Tensor {
	p := boxes.Dim(1)
	flat := tfgraph.Reshape(s, boxes, -1, 4)
	rows := tfgraph.Reshape(s, tfgraph.Cast(s, tfgraph.Slice(s, tfgraph.ShapeOf(s, flat), []int32{0}, []int32{1}), tfgraph.Int32))
	count := s.One("Range", nil, tfgraph.Scalarc(s, int32(0)), rows, tfgraph.Scalarc(s, int32(1)))
	image := tfgraph.FloorDiv(s, count, tfgraph.Scalarc(s, int32(p)))
	crops := s.One("CropAndResize", tfgraph.Attrs{"method": "bilinear", "extrapolation_value": float32(0)}, features, flat, image, tfgraph.Vector(s, int32(n), int32(n)))
	return tfgraph.Reshape(s, crops, -1, int64(n), int64(n), features.Dim(3))
}

// second is the second stage on crops [B·P,n,n,C].
func (b *builder) second(s *tfgraph.Scope, crops tfgraph.Tensor) network.Output {
	o := b.o
	o.FrozenNorm = b.plan.Options.SecondNorm == detector.NormFrozen
	var states []tfgraph.Tensor
	from := int32(0)
	for _, l := range b.plan.Second.Layers {
		if l.Kind == model.Input {
			states = append(states, tfgraph.Slice(s, crops, []int32{0, 0, 0, from}, []int32{-1, -1, -1, int32(l.Shape[2])}))
			from += int32(l.Shape[2])
		}
	}
	return b.note(network.BuildStage(s, b.st, b.plan.Second, states, o))
}

// judge is the second stage with its heads on boxes [B,P,4], normalised: codes
// of each class [B,P,K,4] and logits of background and classes [B,P,1+K].
func (b *builder) judge(s *tfgraph.Scope, features, boxes tfgraph.Tensor) (codes, classes tfgraph.Tensor) {
	pooled := b.second(s, crop(s.Sub("crop"), features, boxes, b.plan.Options.Crop)).Pooled
	p, k := boxes.Dim(1), int64(b.plan.Options.Classes)
	codes = tfgraph.Reshape(s, b.biased(s, b.plan.Heads.Boxes, pooled), -1, p, k, 4)
	return codes, tfgraph.Reshape(s, b.biased(s, b.plan.Heads.Classes, pooled), -1, p, 1+k)
}
