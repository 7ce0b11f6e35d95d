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

// Norms returns half of each gradient's sum of squares, [len(grads)]: what
// TensorFlow computes in one pass over each.
func Norms(s *tfgraph.Scope, grads []tfgraph.Tensor) tfgraph.Tensor {
	parts := make([]tfgraph.Tensor, len(grads))
	for i, g := range grads {
		parts[i] = s.One("L2Loss", nil, g)
	}
	return tfgraph.Stack(s, 0, parts...)
}

// GlobalNorm is the root of the sum of all elements' squares, a scalar, from
// what [Norms] returns.
func GlobalNorm(s *tfgraph.Scope, norms tfgraph.Tensor) tfgraph.Tensor {
	return tfgraph.Sqrt(s, tfgraph.Scale(s, tfgraph.ReduceSum(s, norms), 2))
}

// Clip scales the gradients so that their global norm is at most limit, as
// TF1's clip_by_global_norm: a norm that is not finite makes them all NaN.
func Clip(s *tfgraph.Scope, grads []tfgraph.Tensor, norm tfgraph.Tensor, limit float32) []tfgraph.Tensor {
	one := tfgraph.Scalarc(s, float32(1))
	scale := tfgraph.Scale(s, tfgraph.Minimum(s, tfgraph.Div(s, one, norm), tfgraph.Scalarc(s, 1/limit)), limit)
	nan := tfgraph.Sub(s, norm, norm) // 0, or NaN for an infinite norm
	scale = tfgraph.Add(s, scale, nan)
	clipped := make([]tfgraph.Tensor, len(grads))
	for i, g := range grads {
		clipped[i] = tfgraph.Mul(s, g, scale)
	}
	return clipped
}

// ClipEach is Clip for each gradient by its own norm, from what [Norms] returns:
// TF1's clip_by_norm.
func ClipEach(s *tfgraph.Scope, grads []tfgraph.Tensor, norms tfgraph.Tensor, limit float32) []tfgraph.Tensor {
	clipped := make([]tfgraph.Tensor, len(grads))
	for i, g := range grads {
		own := tfgraph.Slice(s, norms, []int32{int32(i)}, []int32{1})
		clipped[i] = Clip(s, []tfgraph.Tensor{g}, tfgraph.Reshape(s, GlobalNorm(s, own)), limit)[0]
	}
	return clipped
}
