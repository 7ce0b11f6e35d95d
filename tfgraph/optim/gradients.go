package optim

import "github.com/nasnet-go/nasnet/tfgraph"

// Decay adds the gradient of decay/2 * sum(w²), decay*w, to the gradients of
// the variables in decayed; the others stay as they are.
func Decay(s *tfgraph.Scope, vars []*tfgraph.Variable, grads []tfgraph.Tensor, decayed []*tfgraph.Variable, decay float32) []tfgraph.Tensor {
	if decay == 0 {
		return grads
	}
	in := map[*tfgraph.Variable]bool{}
	for _, v := range decayed {
		in[v] = true
	}
	k := tfgraph.Scalarc(s, decay)
	out := make([]tfgraph.Tensor, len(grads))
	for i, v := range vars {
		out[i] = grads[i]
		if in[v] {
			out[i] = tfgraph.Add(s, grads[i], tfgraph.Mul(s, k, v.Read))
		}
	}
	return out
}

// GlobalNorm is the root of the sum of all elements' squares, a scalar.
func GlobalNorm(s *tfgraph.Scope, grads []tfgraph.Tensor) tfgraph.Tensor {
	parts := make([]tfgraph.Tensor, len(grads))
	for i, g := range grads {
		parts[i] = s.One("L2Loss", nil, g)
	}
	return tfgraph.Sqrt(s, tfgraph.Scale(s, tfgraph.Sum(s, parts...), 2))
}

// Clip scales the gradients so that their global norm is at most limit, as
// TF1's clip_by_global_norm: a norm that is not finite makes them all NaN.
// It returns the norm before clipping too.
func Clip(s *tfgraph.Scope, grads []tfgraph.Tensor, limit float32) (clipped []tfgraph.Tensor, norm tfgraph.Tensor) {
	norm = GlobalNorm(s, grads)
	one := tfgraph.Scalarc(s, float32(1))
	scale := tfgraph.Scale(s, tfgraph.Minimum(s, tfgraph.Div(s, one, norm), tfgraph.Scalarc(s, 1/limit)), limit)
	nan := tfgraph.Sub(s, norm, norm) // 0, or NaN for an infinite norm
	scale = tfgraph.Add(s, scale, nan)
	clipped = make([]tfgraph.Tensor, len(grads))
	for i, g := range grads {
		clipped[i] = tfgraph.Mul(s, g, scale)
	}
	return clipped, norm
}
