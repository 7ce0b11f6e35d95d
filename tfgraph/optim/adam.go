package optim

import "github.com/nasnet-go/nasnet/tfgraph"

// Adam is Kingma and Ba's (arXiv 1412.6980), bias-corrected, with epsilon
// outside of the root as in TF1: rate_t = rate*sqrt(1-b2^t)/(1-b1^t);
// w -= rate_t * m/(sqrt(v)+e).
type Adam struct{ Beta1, Beta2, Epsilon float32 }

// Apply adds the updates; the slots are NAME/Adam and NAME/Adam_1.
func (a Adam) Apply(s *tfgraph.Scope, st *tfgraph.Store, u Update) []tfgraph.Operation {
	c := a.constants(s, u.Count)
	return u.each(func(v *tfgraph.Variable, g tfgraph.Tensor) tfgraph.Operation {
		return c.apply(s, st, v, g, u.Rate)
	})
}

// AdamW is Adam with decoupled decay: w -= rate*decay*w before Adam's own step
// (arXiv 1711.05101, with the rate as the schedule multiplier).
type AdamW struct{ Beta1, Beta2, Epsilon float32 }

// Apply adds the updates; the slots are Adam's.
func (a AdamW) Apply(s *tfgraph.Scope, st *tfgraph.Store, u Update) []tfgraph.Operation {
	c := Adam(a).constants(s, u.Count)
	decayed, shrink := u.decayed(), tfgraph.Scale(s, u.Rate, u.Decay)
	return u.each(func(v *tfgraph.Variable, g tfgraph.Tensor) tfgraph.Operation {
		after := s
		if decayed[v] {
			after = s.After(s.Add("ResourceApplyGradientDescent", nil, v.Handle, shrink, v.Read))
		}
		return c.apply(after, st, v, g, u.Rate)
	})
}

// adamConstants are the inputs that all variables' updates share.
type adamConstants struct{ beta1, beta2, power1, power2, epsilon tfgraph.Tensor }

func (a Adam) constants(s *tfgraph.Scope, count tfgraph.Tensor) adamConstants {
	c := adamConstants{beta1: tfgraph.Scalarc(s, a.Beta1), beta2: tfgraph.Scalarc(s, a.Beta2), epsilon: tfgraph.Scalarc(s, a.Epsilon)}
	n := tfgraph.Add(s, tfgraph.Cast(s, count, tfgraph.Float32), tfgraph.Scalarc(s, float32(1)))
	c.power1, c.power2 = s.One("Pow", nil, c.beta1, n), s.One("Pow", nil, c.beta2, n)
	return c
}

func (c adamConstants) apply(s *tfgraph.Scope, st *tfgraph.Store, v *tfgraph.Variable, g, rate tfgraph.Tensor) tfgraph.Operation {
	m, second := slot(s, st, v, "Adam", tfgraph.ZerosInit), slot(s, st, v, "Adam_1", tfgraph.ZerosInit)
	return s.Add("ResourceApplyAdam", nil, v.Handle, m, second, c.power1, c.power2, rate, c.beta1, c.beta2, c.epsilon, g)
}

// LAMB is Adam's direction with decoupled decay, scaled layer by layer to the
// size of the weights: r = m̂/(sqrt(v̂)+e) + decay*w; w -= rate*(|w|/|r|)*r, the
// ratio being 1 where either norm is 0 (arXiv 1904.00962, algorithm 2).
//
// TensorFlow has no fused operation for it: about 20 operations a variable
// where the other rules need one. It is meant for large batches.
type LAMB struct{ Beta1, Beta2, Epsilon float32 }

// Apply adds the updates; the slots are NAME/LAMB and NAME/LAMB_1.
func (l LAMB) Apply(s *tfgraph.Scope, st *tfgraph.Store, u Update) []tfgraph.Operation {
	c := Adam(l).constants(s, u.Count)
	one, decay, decayed := tfgraph.Scalarc(s, float32(1)), tfgraph.Scalarc(s, u.Decay), u.decayed()
	unbias1, unbias2 := tfgraph.Sub(s, one, c.power1), tfgraph.Sub(s, one, c.power2)
	rest1, rest2 := tfgraph.Sub(s, one, c.beta1), tfgraph.Sub(s, one, c.beta2)
	return u.each(func(v *tfgraph.Variable, g tfgraph.Tensor) tfgraph.Operation {
		m := movingMean(s, st, v, "LAMB", g, rest1)
		second := movingMean(s, st, v, "LAMB_1", tfgraph.Square(s, g), rest2)
		root := tfgraph.Sqrt(s, tfgraph.Div(s, second, unbias2))
		step := tfgraph.Div(s, tfgraph.Div(s, m, unbias1), tfgraph.Add(s, root, c.epsilon))
		if decayed[v] {
			step = tfgraph.Add(s, step, tfgraph.Mul(s, decay, v.Read))
		}
		rate := tfgraph.Mul(s, u.Rate, trustRatio(s, v.Read, step))
		return s.Add("ResourceApplyGradientDescent", nil, v.Handle, rate, step)
	})
}

// movingMean moves the slot by rest towards x and returns its new value.
func movingMean(s *tfgraph.Scope, st *tfgraph.Store, v *tfgraph.Variable, suffix string, x, rest tfgraph.Tensor) tfgraph.Tensor {
	slot := st.Get(s, v.Name+"/"+suffix, v.Shape, false, tfgraph.ZerosInit)
	moved := tfgraph.Add(s, slot.Read, tfgraph.Mul(s, tfgraph.Sub(s, x, slot.Read), rest))
	return slot.ReadAfter(s.After(slot.Assign(s, moved)))
}

// trustRatio is |w|/|step|, or 1 where either is 0.
func trustRatio(s *tfgraph.Scope, w, step tfgraph.Tensor) tfgraph.Tensor {
	a, b := s.One("L2Loss", nil, w), s.One("L2Loss", nil, step)
	zero := tfgraph.Equal(s, tfgraph.Minimum(s, a, b), tfgraph.Scalarc(s, float32(0)))
	return tfgraph.Select(s, zero, tfgraph.Scalarc(s, float32(1)), tfgraph.Sqrt(s, tfgraph.Div(s, a, b)))
}
