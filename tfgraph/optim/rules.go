package optim

import "github.com/nasnet-go/nasnet/tfgraph"

// Rule updates variables from their gradients.
type Rule interface {
	// Apply adds the update of each variable by its gradient at the given
	// learning rate, a scalar. Slots are variables of st named after theirs.
	Apply(s *tfgraph.Scope, st *tfgraph.Store, vars []*tfgraph.Variable, grads []tfgraph.Tensor, rate tfgraph.Tensor) []tfgraph.Operation
}

// Momentum is v = m*v + g; w -= rate*v, or with Nesterov w -= rate*(g + m*v).
// Momentum 0 is plain gradient descent with a slot to spare.
type Momentum struct {
	Momentum float32
	Nesterov bool
}

// Apply adds the updates; the slot is NAME/Momentum.
func (m Momentum) Apply(s *tfgraph.Scope, st *tfgraph.Store, vars []*tfgraph.Variable, grads []tfgraph.Tensor, rate tfgraph.Tensor) []tfgraph.Operation {
	k := tfgraph.Scalarc(s, m.Momentum)
	return each(vars, grads, func(v *tfgraph.Variable, g tfgraph.Tensor) tfgraph.Operation {
		slot := slot(s, st, v, "Momentum", tfgraph.ZerosInit)
		return s.Add("ResourceApplyMomentum", tfgraph.Attrs{"use_nesterov": m.Nesterov}, v.Handle, slot.Handle, rate, g, k)
	})
}

// RMSProp is TF1's: ms = d*ms + (1-d)*g²; mom = m*mom + rate*g/sqrt(ms+e);
// w -= mom, with ms starting at one (tensorflow python/training/rmsprop.py).
type RMSProp struct{ Decay, Momentum, Epsilon float32 }

// Apply adds the updates; the slots are NAME/RMSProp (mean square) and
// NAME/RMSProp_1 (momentum).
func (r RMSProp) Apply(s *tfgraph.Scope, st *tfgraph.Store, vars []*tfgraph.Variable, grads []tfgraph.Tensor, rate tfgraph.Tensor) []tfgraph.Operation {
	decay, momentum, epsilon := tfgraph.Scalarc(s, r.Decay), tfgraph.Scalarc(s, r.Momentum), tfgraph.Scalarc(s, r.Epsilon)
	return each(vars, grads, func(v *tfgraph.Variable, g tfgraph.Tensor) tfgraph.Operation {
		ms := slot(s, st, v, "RMSProp", tfgraph.OnesInit)
		mom := slot(s, st, v, "RMSProp_1", tfgraph.ZerosInit)
		return s.Add("ResourceApplyRMSProp", nil, v.Handle, ms.Handle, mom.Handle, rate, decay, momentum, epsilon, g)
	})
}

// Adam is Kingma and Ba's, bias-corrected. Step is the number of updates before
// this one, int64.
type Adam struct {
	Beta1, Beta2, Epsilon float32
	Step                  tfgraph.Tensor
}

// Apply adds the updates; the slots are NAME/Adam and NAME/Adam_1.
func (a Adam) Apply(s *tfgraph.Scope, st *tfgraph.Store, vars []*tfgraph.Variable, grads []tfgraph.Tensor, rate tfgraph.Tensor) []tfgraph.Operation {
	b1, b2, epsilon := tfgraph.Scalarc(s, a.Beta1), tfgraph.Scalarc(s, a.Beta2), tfgraph.Scalarc(s, a.Epsilon)
	n := tfgraph.Add(s, tfgraph.Cast(s, a.Step, tfgraph.Float32), tfgraph.Scalarc(s, float32(1)))
	power1, power2 := s.One("Pow", nil, b1, n), s.One("Pow", nil, b2, n)
	return each(vars, grads, func(v *tfgraph.Variable, g tfgraph.Tensor) tfgraph.Operation {
		m := slot(s, st, v, "Adam", tfgraph.ZerosInit)
		u := slot(s, st, v, "Adam_1", tfgraph.ZerosInit)
		return s.Add("ResourceApplyAdam", nil, v.Handle, m.Handle, u.Handle, power1, power2, rate, b1, b2, epsilon, g)
	})
}

func each(vars []*tfgraph.Variable, grads []tfgraph.Tensor, f func(*tfgraph.Variable, tfgraph.Tensor) tfgraph.Operation) []tfgraph.Operation {
	ops := make([]tfgraph.Operation, len(vars))
	for i, v := range vars {
		ops[i] = f(v, grads[i])
	}
	return ops
}

func slot(s *tfgraph.Scope, st *tfgraph.Store, v *tfgraph.Variable, name string, init tfgraph.Initializer) *tfgraph.Variable {
	return st.Get(s, v.Name+"/"+name, v.Shape, false, init)
}
