package optim

import "github.com/nasnet-go/nasnet/tfgraph"

// Rule updates variables from their gradients.
type Rule interface {
	// Apply adds the update of each of u.Vars, in their order. Slots are
	// variables of st named after theirs, as TF1 names them.
	Apply(s *tfgraph.Scope, st *tfgraph.Store, u Update) []tfgraph.Operation
}

// Update is what a rule is given.
type Update struct {
	Vars  []*tfgraph.Variable
	Grads []tfgraph.Tensor // of Vars, in their order
	Rate  tfgraph.Tensor   // float32 scalar: the learning rate
	Count tfgraph.Tensor   // int64 scalar: updates done before this one

	// Decay and Decayed are for the rules that [Decoupled] names; the others
	// find the decay in the gradients already.
	Decay   float32
	Decayed []*tfgraph.Variable
}

// Decoupled reports whether a rule applies weight decay to the weights itself.
// For all others the caller adds it to the gradients with [Decay].
func Decoupled(r Rule) bool {
	switch r.(type) {
	case AdamW, LAMB:
		return true
	}
	return false
}

// SGD is w -= rate*g, without slots.
type SGD struct{}

// Apply adds the updates.
func (SGD) Apply(s *tfgraph.Scope, _ *tfgraph.Store, u Update) []tfgraph.Operation {
	return u.each(func(v *tfgraph.Variable, g tfgraph.Tensor) tfgraph.Operation {
		return s.Add("ResourceApplyGradientDescent", nil, v.Handle, u.Rate, g)
	})
}

// Momentum is v = m*v + g; w -= rate*v, or with Nesterov w -= rate*(g + m*v).
type Momentum struct {
	Momentum float32 // 0..1; the NASNet paper's CIFAR recipe has 0.9
	Nesterov bool
}

// Apply adds the updates; the slot is NAME/Momentum.
func (m Momentum) Apply(s *tfgraph.Scope, st *tfgraph.Store, u Update) []tfgraph.Operation {
	k := tfgraph.Scalarc(s, m.Momentum)
	attrs := tfgraph.Attrs{"use_nesterov": m.Nesterov}
	return u.each(func(v *tfgraph.Variable, g tfgraph.Tensor) tfgraph.Operation {
		return s.Add("ResourceApplyMomentum", attrs, v.Handle, slot(s, st, v, "Momentum", tfgraph.ZerosInit), u.Rate, g, k)
	})
}

// RMSProp is TF1's: ms = d*ms + (1-d)*g²; mom = m*mom + rate*g/sqrt(ms+e);
// w -= mom, with ms starting at one (tensorflow python/training/rmsprop.py).
type RMSProp struct{ Decay, Momentum, Epsilon float32 }

// Apply adds the updates; the slots are NAME/RMSProp (mean square) and
// NAME/RMSProp_1 (momentum).
func (r RMSProp) Apply(s *tfgraph.Scope, st *tfgraph.Store, u Update) []tfgraph.Operation {
	decay, momentum, epsilon := tfgraph.Scalarc(s, r.Decay), tfgraph.Scalarc(s, r.Momentum), tfgraph.Scalarc(s, r.Epsilon)
	return u.each(func(v *tfgraph.Variable, g tfgraph.Tensor) tfgraph.Operation {
		ms := slot(s, st, v, "RMSProp", tfgraph.OnesInit)
		mom := slot(s, st, v, "RMSProp_1", tfgraph.ZerosInit)
		return s.Add("ResourceApplyRMSProp", nil, v.Handle, ms, mom, u.Rate, decay, momentum, epsilon, g)
	})
}

func (u Update) each(f func(*tfgraph.Variable, tfgraph.Tensor) tfgraph.Operation) []tfgraph.Operation {
	ops := make([]tfgraph.Operation, len(u.Vars))
	for i, v := range u.Vars {
		ops[i] = f(v, u.Grads[i])
	}
	return ops
}

// decayed is the set of variables whose weights shrink.
func (u Update) decayed() map[*tfgraph.Variable]bool {
	set := make(map[*tfgraph.Variable]bool, len(u.Decayed))
	for _, v := range u.Decayed {
		set[v] = u.Decay != 0
	}
	return set
}

// slot makes the variable NAME/suffix beside v and returns its handle.
func slot(s *tfgraph.Scope, st *tfgraph.Store, v *tfgraph.Variable, suffix string, init tfgraph.Initializer) tfgraph.Tensor {
	return st.Get(s, v.Name+"/"+suffix, v.Shape, false, init).Handle
}
