package train

import (
	"slices"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// replicaSeed keeps the masks of replicas apart.
const replicaSeed = 1_000_003

// inputs are those of each replica: an equal share of the source's batch.
func (x *step) inputs(s *tfgraph.Scope, src Source, o Options) []Inputs {
	n := max(1, len(o.Devices))
	images, labels := []tfgraph.Tensor{src.Images}, []tfgraph.Tensor{src.Labels}
	if n > 1 {
		images, labels = split(s.Sub("share"), src.Images, n), split(s.Sub("share"), src.Labels, n)
	}
	in := make([]Inputs, n)
	for r := range in {
		ns := s.Sub("noise")
		seed := tfgraph.Scalarc(ns, o.Seed+int64(r)*replicaSeed)
		in[r] = Inputs{Images: images[r], Labels: labels[r], Keep: x.keep, Noise: tfgraph.Stack(ns, 0, seed, x.batch)} // [2]
	}
	return in
}

func split(s *tfgraph.Scope, t tfgraph.Tensor, n int) []tfgraph.Tensor {
	op := s.Add("Split", tfgraph.Attrs{"num_split": n}, tfgraph.Scalarc(s, int32(0)), t)
	parts := make([]tfgraph.Tensor, n)
	for i := range parts {
		parts[i] = op.Output(i)
	}
	return parts
}

// replicate copies the tower and its gradients to the devices, and returns the
// sum of all gradients and the updates of moving statistics, which follow the
// first replica's share of the batch. On one machine the tower itself is the
// first replica; in a cluster, whose host computes no replica, it is a pattern
// that is never run.
func (x *step) replicate(s *tfgraph.Scope, in []Inputs, tower Tower, grads []tfgraph.Tensor, o Options) ([]tfgraph.Tensor, []tfgraph.Operation) {
	outs := append(slices.Clone(grads), x.scalars)
	replicas, updates := [][]tfgraph.Tensor{outs}, tower.Updates
	if o.remote() {
		replicas = nil
	}
	for r := len(replicas); r < len(in); r++ {
		var ops []tfgraph.Operation
		if r == 0 {
			ops = tower.Updates
		}
		copies, copied := tfgraph.Clone(s.Sub("replica_%d", r).On(o.Devices[r]), outs,
			map[tfgraph.Tensor]tfgraph.Tensor{in[0].Images: in[r].Images, in[0].Labels: in[r].Labels, in[0].Noise: in[r].Noise}, ops...)
		replicas = append(replicas, copies)
		if r == 0 {
			updates = copied
		}
	}
	ms := s.Sub("mean")
	sums := make([]tfgraph.Tensor, len(outs))
	for i := range outs {
		parts := make([]tfgraph.Tensor, len(replicas))
		for r := range replicas {
			parts[r] = replicas[r][i]
		}
		sums[i] = tfgraph.Sum(ms, parts...)
	}
	x.scalars = tfgraph.Scale(ms, sums[len(grads)], 1/float32(len(in)))
	return sums[:len(grads)], updates
}

// accumulation sums gradients over the batches of one update. Its variables
// are zero between updates, so no checkpoint holds them. The zero value is that
// of a training without it.
type accumulation struct {
	store *tfgraph.Store
	sum   tfgraph.Operation // adds a batch's gradients; run for all but the last
	vars  []*tfgraph.Variable
}

// add returns the mean over n batches: the sum so far and this batch's.
func (a *accumulation) add(s *tfgraph.Scope, vars []*tfgraph.Variable, grads []tfgraph.Tensor, n float32, statistics []tfgraph.Operation) []tfgraph.Tensor {
	a.store = tfgraph.NewStore(0)
	mean := make([]tfgraph.Tensor, len(grads))
	ops := append([]tfgraph.Operation(nil), statistics...)
	for i, v := range vars {
		sum := a.store.Get(s, v.Name+"/Accumulated", v.Shape, false, tfgraph.ZerosInit)
		a.vars = append(a.vars, sum)
		ops = append(ops, sum.AssignAdd(s, grads[i]))
		mean[i] = tfgraph.Scale(s, tfgraph.Add(s, sum.Read, grads[i]), 1/n)
	}
	a.sum = tfgraph.Group(s, "sum", ops...)
	return mean
}

// clear empties the sums after the updates that used them.
func (a *accumulation) clear(s *tfgraph.Scope, after []tfgraph.Operation) []tfgraph.Operation {
	if a.store == nil {
		return nil
	}
	cs := s.Sub("clear").After(tfgraph.Group(s, "used", after...))
	ops := make([]tfgraph.Operation, len(a.vars))
	for i, v := range a.vars {
		ops[i] = v.Assign(cs, tfgraph.Zeros(cs, v.Shape...))
	}
	return ops
}
