package optim

import "github.com/nasnet-go/nasnet/tfgraph"

// AverageSuffix ends the name of a variable's moving average, as in TF1.
const AverageSuffix = "/ExponentialMovingAverage"

// Averages keeps a moving average of each variable: shadow -= (1-d) * (shadow -
// value), with d = min(decay, (1+n)/(10+n)), n being the number of updates
// before this one, int64 (TF1 ExponentialMovingAverage with num_updates; slim
// passes the global step). Without n, d is decay.
type Averages struct {
	Decay   float32
	Updates tfgraph.Tensor
}

// Apply adds the averages' updates, to run in a scope that depends on the
// variables' own updates (on one group of them: every operation here takes the
// dependencies). Averages start at their variables' first values.
func (a Averages) Apply(s *tfgraph.Scope, st *tfgraph.Store, vars []*tfgraph.Variable) []tfgraph.Operation {
	rest := tfgraph.Sub(s, tfgraph.Scalarc(s, float32(1)), a.decay(s))
	ops := make([]tfgraph.Operation, len(vars))
	for i, v := range vars {
		shadow := st.Get(s, v.Name+AverageSuffix, v.Shape, false, func(*tfgraph.Scope, []int64) tfgraph.Tensor {
			return v.ReadAfter(s.Graph().Root().After(v.Init))
		})
		diff := tfgraph.Sub(s, shadow.ReadAfter(s), v.ReadAfter(s))
		ops[i] = s.Add("ResourceApplyGradientDescent", nil, shadow.Handle, rest, diff) // shadow -= rest*diff
	}
	return ops
}

func (a Averages) decay(s *tfgraph.Scope) tfgraph.Tensor {
	d := tfgraph.Scalarc(s, a.Decay)
	if !a.Updates.Valid() {
		return d
	}
	n := tfgraph.Cast(s, a.Updates, tfgraph.Float32)
	ramp := tfgraph.Div(s, tfgraph.Add(s, n, tfgraph.Scalarc(s, float32(1))), tfgraph.Add(s, n, tfgraph.Scalarc(s, float32(10))))
	return tfgraph.Minimum(s, d, ramp)
}
