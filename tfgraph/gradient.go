package tfgraph

// #include "tensorflow/c/c_api.h"
import "C"

// override is a gradient of ours for one operation that reads a weight.
type override struct {
	y    Tensor
	grad func(s *Scope, dy Tensor) Tensor
}

// OverrideGradient lets [Gradients] compute the share of y in the gradient of x
// by grad(dy) instead of TensorFlow's rule. x is a weight: nothing is
// propagated through it. It takes effect where every operation that reads x has
// such a rule when gradients are taken.
func (s *Scope) OverrideGradient(x, y Tensor, grad func(s *Scope, dy Tensor) Tensor) {
	s.g.overrides[x.Name()] = append(s.g.overrides[x.Name()], override{y, grad})
}

// Gradients returns dy/dx for each x, summed over the ys (scalars, usually one).
// An x that no y depends on is an error.
func Gradients(s *Scope, ys, xs []Tensor) []Tensor {
	inert := make([]Tensor, len(xs))
	if s.g.err != nil { // graft would dereference the missing operation
		return inert
	}
	var at []Tensor // where TensorFlow's gradients are wanted: x, or the ys of its overrides
	own := make([][]override, len(xs))
	for i, x := range xs {
		if own[i] = s.overrides(x); own[i] == nil {
			at = append(at, x)
		}
		for _, o := range own[i] {
			at = append(at, o.y)
		}
	}
	all := s.gradients(ys, at)
	grads := make([]Tensor, len(xs))
	for i, x := range xs {
		if own[i] == nil {
			grads[i], all = all[0], all[1:]
		} else {
			grads[i], all = s.overridden(own[i], all), all[len(own[i]):]
		}
		if !grads[i].ok {
			s.Fail("gradients: nothing depends on %s", x.Name())
			return inert
		}
	}
	return grads
}

// overrides are those of x if they cover all that reads it, else nil.
func (s *Scope) overrides(x Tensor) []override {
	list := s.g.overrides[x.Name()]
	if !x.ok || len(list) == 0 {
		return nil
	}
	out := C.TF_Output{oper: (*C.TF_Operation)(handle(x.out.Op)), index: C.int(x.out.Index)}
	if int(C.TF_OperationOutputNumConsumers(out)) != len(list) {
		return nil
	}
	return list
}

// overridden is the sum of the overrides' gradients; dy runs in parallel.
func (s *Scope) overridden(list []override, dy []Tensor) Tensor {
	var parts []Tensor
	for i, o := range list {
		if dy[i].ok {
			parts = append(parts, o.grad(s.Sub("gradients/%s", o.y.Op().Name()), dy[i]))
		}
	}
	if len(parts) == 0 {
		return Tensor{}
	}
	return Sum(s, parts...)
}

// gradients are TensorFlow's, inert where nothing depends on an x.
func (s *Scope) gradients(ys, xs []Tensor) []Tensor {
	grads := make([]Tensor, len(xs))
	dx, err := s.g.tf.AddGradients(s.g.unique(s.join("gradients")), outputs(ys), outputs(xs), nil)
	if err != nil {
		s.Fail("gradients: %v", err)
		return grads
	}
	for i, d := range dx {
		if d.Op != nil && d.Op.Name() != "" {
			grads[i] = Tensor{out: d, ok: true}
		}
	}
	return grads
}
