package train

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// Inputs are what a tower is built from.
type Inputs struct {
	Images tfgraph.Tensor // [N,H,W,C] float32
	Labels tfgraph.Tensor // [N] int64, or what the source gives
	Keep   tfgraph.Tensor // [cells] float32: drop path's keep probabilities
	Noise  tfgraph.Tensor // [2] int64: key of this batch's random masks
}

// Tower is a network in training, as the caller builds it.
type Tower struct {
	Loss     tfgraph.Tensor            // scalar: what is minimised, without weight decay
	Accuracy tfgraph.Tensor            // scalar: share of the batch that is right; may be missing
	Parts    map[string]tfgraph.Tensor // scalars for the metrics, such as loss_aux
	Updates  []tfgraph.Operation       // of moving statistics
	Decayed  []*tfgraph.Variable       // weights that take decay
}

// Build adds a tower to the graph. With several devices it is called once: the
// tower's operations are copied to the others.
type Build func(s *tfgraph.Scope, st *tfgraph.Store, in Inputs) Tower

// Source hands out batches. Its tensors are part of the graph; every run that
// fetches them takes the next batch.
type Source struct {
	Images, Labels tfgraph.Tensor
	// Start begins at a position: the number of examples already consumed. The
	// batches that follow must be a function of the position alone.
	Start func(sess *tfgraph.Session, position int64) error
}

// step is the graph of one training step.
type step struct {
	rate, keep, number, batch tfgraph.Tensor      // fed
	scalars                   tfgraph.Tensor      // [names]: fetched
	norms                     tfgraph.Tensor      // [vars]: half the squared norm of each gradient, before clipping
	names                     []string            // of scalars; the first is the loss
	vars                      []*tfgraph.Variable // that get gradients
	model                     []*tfgraph.Variable // the tower's, without slots and averages
	train                     tfgraph.Operation
	sums                      accumulation
}

// newStep adds the step to the graph: towers, gradients, updates, averages.
func newStep(s *tfgraph.Scope, st *tfgraph.Store, src Source, build Build, o Options) *step {
	fs := s.Sub("feeds")
	x := &step{
		rate:   tfgraph.Placeholder(fs, "learning_rate", tfgraph.Float32, tfgraph.Shape{}),
		keep:   tfgraph.Placeholder(fs, "keep", tfgraph.Float32, tfgraph.Shape{int64(o.DropPath.Cells)}),
		number: tfgraph.Placeholder(fs, "step", tfgraph.Int64, tfgraph.Shape{}),
		batch:  tfgraph.Placeholder(fs, "batch", tfgraph.Int64, tfgraph.Shape{}),
	}
	in := x.inputs(s, src, o)
	bs := s
	if o.remote() {
		bs = s.On("") // copied to the workers' devices
	}
	tower := build(bs, st, in[0])
	x.model = st.All()
	x.vars = slices.DeleteFunc(st.Trainable(), func(v *tfgraph.Variable) bool { return o.scaleOf(v) == 0 })
	if s.OK() && len(x.vars) == 0 {
		s.Fail("the tower has no trainable variable")
	}
	grads := x.gradients(bs, tower.Loss, len(in))
	x.scalarsOf(bs, tower)
	if len(in) > 1 || o.remote() {
		grads, tower.Updates = x.replicate(s, in, tower, grads, o)
	}
	us := s.Sub("update")
	if o.Accumulate > 1 {
		grads = x.sums.add(us.Sub("accumulate"), x.vars, grads, float32(o.Accumulate), tower.Updates)
	}
	x.update(us, st, tower, grads, o)
	if o.XLA {
		x.compile(s.Sub("compiled"))
	}
	return x
}

// compile puts the whole step into one function for XLA.
func (x *step) compile(s *tfgraph.Scope) {
	outs, call := tfgraph.Compile(s, "train_step", []tfgraph.Tensor{x.scalars, x.norms}, x.train)
	x.scalars, x.norms, x.train = outs[0], outs[1], call
}

// gradients are those of the loss, divided by the number of replicas so that
// their sum is the mean.
func (x *step) gradients(s *tfgraph.Scope, loss tfgraph.Tensor, replicas int) []tfgraph.Tensor {
	reads := make([]tfgraph.Tensor, len(x.vars))
	for i, v := range x.vars {
		reads[i] = v.Read
	}
	if replicas > 1 {
		loss = tfgraph.Scale(s, loss, 1/float32(replicas))
	}
	return tfgraph.Gradients(s, []tfgraph.Tensor{loss}, reads)
}

// scalarsOf packs what is reported into one tensor: a fetch each would cost
// more than some steps of a small network leave.
func (x *step) scalarsOf(s *tfgraph.Scope, t Tower) {
	x.names = append([]string{"loss"}, slices.Sorted(maps.Keys(t.Parts))...)
	list := []tfgraph.Tensor{t.Loss}
	for _, name := range x.names[1:] {
		list = append(list, t.Parts[name])
		if reserved[name] {
			s.Fail("the tower calls a part %q, which is a field of its own in the metrics", name)
		}
	}
	if t.Accuracy.Valid() {
		x.names, list = append(x.names, "accuracy"), append(list, t.Accuracy)
	}
	x.scalars = tfgraph.Stack(s.Sub("metrics"), 0, list...)
}

// update adds the change of variables by gradients, [vars].
func (x *step) update(us *tfgraph.Scope, st *tfgraph.Store, tower Tower, grads []tfgraph.Tensor, o Options) {
	if !us.OK() {
		return
	}
	if !optim.Decoupled(o.Rule) {
		grads = optim.Decay(us, x.vars, grads, tower.Decayed, o.WeightDecay)
	}
	x.norms = optim.Norms(us, grads)
	switch {
	case o.ClipNorm > 0 && o.ClipEach:
		grads = optim.ClipEach(us, grads, x.norms, o.ClipNorm)
	case o.ClipNorm > 0:
		grads = optim.Clip(us, grads, optim.GlobalNorm(us, x.norms), o.ClipNorm)
	}
	updates := x.applyRule(us, st, optim.Update{
		Vars: x.vars, Grads: grads, Rate: x.rate, Count: x.number, Decay: o.WeightDecay, Decayed: tower.Decayed,
	}, o)
	updates = append(updates, tower.Updates...)
	if o.EMA > 0 {
		avg := optim.Averages{Decay: o.EMA, Updates: x.number}
		as := us.Sub("average").After(tfgraph.Group(us, "updated", updates...))
		updates = append(updates, avg.Apply(as, st, x.model)...) // of moving statistics too, as slim does
	}
	updates = append(updates, x.sums.clear(us, updates)...)
	x.train = tfgraph.Group(us, "train_step", updates...)
}

// feeds computes what changes from batch to batch. Batches are counted on
// their own, so that accumulated ones draw different masks.
func (x *step) feeds(n, batch int64, o Options) (tfgraph.Feeds, error) {
	keep := o.DropPath.At(n)
	v, err := tfgraph.NewValue(keep, int64(len(keep)))
	if err != nil {
		return nil, fmt.Errorf("train: keep probabilities: %w", err)
	}
	return tfgraph.Feeds{
		x.rate: tfgraph.Scalar(float32(o.Rate(n))), x.number: tfgraph.Scalar(n), x.batch: tfgraph.Scalar(batch), x.keep: v,
	}, nil
}

// outcome is what one step came to.
type outcome struct {
	scalars []float64 // named by step.names
	norms   []float32 // see step.norms
}

func (m outcome) loss() float64 { return m.scalars[0] }

// norm is the global norm of the gradients, before clipping.
func (m outcome) norm() float64 {
	sum := 0.0
	for _, n := range m.norms {
		sum += float64(n)
	}
	return math.Sqrt(2 * sum)
}

// run takes step n, counted from 0.
func (x *step) run(sess *tfgraph.Session, n int64, o Options) (outcome, error) {
	m := outcome{scalars: make([]float64, len(x.names))}
	for k := range o.Accumulate {
		feeds, err := x.feeds(n, n*o.Accumulate+k, o)
		if err != nil {
			return m, err
		}
		fetches, target := []tfgraph.Tensor{x.scalars, x.norms}, x.train
		if k < o.Accumulate-1 {
			fetches, target = fetches[:1], x.sums.sum
		}
		out, err := sess.Run(feeds, fetches, target)
		if err != nil {
			return m, fmt.Errorf("train: step %d: %w", n, err)
		}
		scalars, err := tfgraph.Data[float32](out[0])
		if err != nil {
			return m, err
		}
		for i, v := range scalars {
			m.scalars[i] += float64(v) / float64(o.Accumulate)
		}
		if len(out) > 1 {
			if m.norms, err = tfgraph.Data[float32](out[1]); err != nil {
				return m, err
			}
		}
	}
	return m, nil
}
