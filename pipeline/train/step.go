package train

import (
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// Inputs are what a tower is built from.
type Inputs struct {
	Images tfgraph.Tensor // [N,H,W,C] float32
	Labels tfgraph.Tensor // [N] int64
	Keep   tfgraph.Tensor // [cells] float32: drop path's keep probabilities
	Noise  tfgraph.Tensor // [2] int64: key of this step's random masks
}

// Tower is a network in training, as the caller builds it.
type Tower struct {
	Loss     tfgraph.Tensor      // scalar: what is minimised, without weight decay
	Accuracy tfgraph.Tensor      // scalar: share of the batch that is right
	Updates  []tfgraph.Operation // of moving statistics
	Decayed  []*tfgraph.Variable // weights that take decay
}

// Build adds a tower to the graph.
type Build func(s *tfgraph.Scope, st *tfgraph.Store, in Inputs) Tower

// Source hands out batches. Its tensors are part of the graph.
type Source struct {
	Images, Labels tfgraph.Tensor
	// Start begins at a position: the number of examples already consumed.
	Start func(sess *tfgraph.Session, position int64) error
}

// step is the graph of one training step.
type step struct {
	rate, keep, number   tfgraph.Tensor // fed
	loss, accuracy, norm tfgraph.Tensor // fetched
	train                tfgraph.Operation
}

// newStep adds the step to the graph: tower, gradients, updates, averages.
func newStep(s *tfgraph.Scope, st *tfgraph.Store, src Source, build Build, o Options) step {
	fs := s.Sub("feeds")
	x := step{
		rate:   tfgraph.Placeholder(fs, "learning_rate", tfgraph.Float32, tfgraph.Shape{}),
		keep:   tfgraph.Placeholder(fs, "keep", tfgraph.Float32, tfgraph.Shape{int64(o.DropPath.Cells)}),
		number: tfgraph.Placeholder(fs, "step", tfgraph.Int64, tfgraph.Shape{}),
	}
	noise := tfgraph.Stack(fs, 0, tfgraph.Scalarc(fs, o.Seed), x.number) // [2]
	tower := build(s, st, Inputs{Images: src.Images, Labels: src.Labels, Keep: x.keep, Noise: noise})
	x.loss, x.accuracy = tower.Loss, tower.Accuracy
	vars := st.Trainable()
	reads := make([]tfgraph.Tensor, len(vars))
	for i, v := range vars {
		reads[i] = v.Read
	}
	us := s.Sub("update")
	grads := tfgraph.Gradients(s, []tfgraph.Tensor{tower.Loss}, reads)
	if !s.OK() {
		return x
	}
	grads = optim.Decay(us, vars, grads, tower.Decayed, o.WeightDecay)
	x.norm = optim.GlobalNorm(us, optim.Norms(us, grads))
	if o.ClipNorm > 0 {
		grads = optim.Clip(us, grads, x.norm, o.ClipNorm)
	}
	averaged := st.All()
	updates := append(o.Rule.Apply(us, st, optim.Update{Vars: vars, Grads: grads, Rate: x.rate, Count: x.number}), tower.Updates...)
	if o.EMA > 0 { // moving statistics are averaged too, as slim does
		avg := optim.Averages{Decay: o.EMA, Updates: x.number}
		updates = append(updates, avg.Apply(s.Sub("average").After(tfgraph.Group(us, "updated", updates...)), st, averaged)...)
	}
	x.train = tfgraph.Group(s, "train_step", updates...)
	return x
}
