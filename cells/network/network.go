package network

import (
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Options says which graph of the network is built.
type Options struct {
	// Training uses batch statistics, builds the auxiliary head, and drops
	// paths and units as the model says.
	Training bool
	// Keep holds the keep probability of each cell's paths, float32
	// [Plan.TotalCells], in training; see ScheduledDropPath in package train.
	// Not needed where the model drops no path.
	Keep tfgraph.Tensor
	// Noise is the key of this step's random masks, int64 [2], such as
	// {seed, step}. Needed in training where the model drops anything.
	Noise tfgraph.Tensor
	// FrozenNorm normalises by the moving statistics in training too, and does
	// not update them; gamma and beta stay trainable.
	FrozenNorm bool
	// Plain keeps operations as the model has them, as GPUs like them. By default
	// training writes some in ways with the same values and cheaper gradients on CPUs.
	Plain bool
}

// Output is what a network computes.
type Output struct {
	Logits    tfgraph.Tensor            // [N,classes]
	AuxLogits tfgraph.Tensor            // [N,classes], in training with an auxiliary head
	Pooled    tfgraph.Tensor            // [N,penultimate]
	EndPoints map[string]tfgraph.Tensor // by slim's names
	Updates   []tfgraph.Operation       // of the moving statistics, in training
	Decayed   []*tfgraph.Variable       // weights that take L2 decay, in training
}

// Build adds the planned network for images [N,H,W,C] to the graph. Faults are
// the graph's (see tfgraph.Graph.Err).
func Build(s *tfgraph.Scope, st *tfgraph.Store, plan *model.Plan, images tfgraph.Tensor, o Options) Output {
	return BuildStage(s, st, plan, []tfgraph.Tensor{images}, o)
}

// BuildStage is Build for a plan with several inputs, in their order.
func BuildStage(s *tfgraph.Scope, st *tfgraph.Store, plan *model.Plan, inputs []tfgraph.Tensor, o Options) Output {
	b := &builder{st: st, plan: plan, o: o, out: make([]tfgraph.Tensor, len(plan.Layers)), relus: map[tfgraph.Tensor]tfgraph.Tensor{}}
	if o.Training {
		b.dropMasks(s.Sub("drop_path"), inputs[0])
	}
	for i, l := range plan.Layers {
		switch {
		case l.Kind == model.Input:
			b.out[i], inputs = inputs[0], inputs[1:]
		case !l.Aux || o.Training:
			b.out[i] = b.layer(s.Sub("%s", l.Name), i)
		}
	}
	return b.output()
}

type builder struct {
	st    *tfgraph.Store
	plan  *model.Plan
	o     Options
	out   []tfgraph.Tensor                  // of each layer
	masks map[int]tfgraph.Tensor            // of drop-path layers
	relus map[tfgraph.Tensor]tfgraph.Tensor // by input
	res   Output
}

func (b *builder) output() Output {
	b.res.Logits = b.out[b.plan.Logits]
	b.res.Pooled = b.out[b.plan.Pooled]
	if b.o.Training && b.plan.AuxLogits >= 0 {
		b.res.AuxLogits = b.out[b.plan.AuxLogits]
	}
	b.res.EndPoints = map[string]tfgraph.Tensor{}
	for _, e := range b.plan.EndPoints {
		if b.out[e.Layer].Valid() {
			b.res.EndPoints[e.Name] = b.out[e.Layer]
		}
	}
	return b.res
}
