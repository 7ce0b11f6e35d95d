package tftest

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// CheckGradient compares the gradient of a random weighting of layer(x) with
// central differences, at the float32 point x of the given shape.
func CheckGradient(t *testing.T, layer func(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor, x []float32, shape ...int64) {
	t.Helper()
	g := tfgraph.New()
	s := g.Root()
	in := tfgraph.Placeholder(s, "x", tfgraph.Float32, shape)
	y := layer(s, in)
	n := int64(1)
	for _, d := range y.Shape() {
		n *= d
	}
	r := rand.New(rand.NewPCG(5, 5))
	weights := make([]float32, n)
	for i := range weights {
		weights[i] = float32(r.NormFloat64())
	}
	loss := tfgraph.ReduceSum(s, tfgraph.Mul(s, y, tfgraph.Const(s, weights, y.Shape()...)))
	grad := tfgraph.Gradients(s, []tfgraph.Tensor{loss}, []tfgraph.Tensor{in})
	sess := Session(t, g, tfgraph.SessionOptions{IntraOp: 1, InterOp: 1})
	run := func(x []float32, fetch tfgraph.Tensor) []float32 {
		v, err := tfgraph.NewValue(x, shape...)
		if err != nil {
			t.Fatal(err)
		}
		out, err := sess.Run(tfgraph.Feeds{in: v}, []tfgraph.Tensor{fetch})
		if err != nil {
			t.Fatal(err)
		}
		return Floats(t, out)[0]
	}
	got := run(x, grad[0])
	const h = 1e-2
	for range 20 {
		i := r.IntN(len(x))
		moved := append([]float32(nil), x...)
		moved[i] = x[i] + h
		up := run(moved, loss)[0]
		moved[i] = x[i] - h
		down := run(moved, loss)[0]
		want := float64(up-down) / (2 * h)
		if d := math.Abs(want - float64(got[i])); d > 2e-2*(1+math.Abs(want)) {
			t.Errorf("element %d: gradient %g, by differences %g", i, got[i], want)
		}
	}
}
