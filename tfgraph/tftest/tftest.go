package tftest

import (
	"math"
	"testing"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// Run builds a graph, opens a session, runs init if build returns one and
// returns the fetched tensors as float32 slices.
func Run(t *testing.T, build func(s *tfgraph.Scope) ([]tfgraph.Tensor, tfgraph.Feeds, tfgraph.Operation)) [][]float32 {
	t.Helper()
	g := tfgraph.New()
	fetches, feeds, init := build(g.Root())
	sess := Session(t, g, tfgraph.SessionOptions{InterOp: 1, IntraOp: 1})
	if init.Valid() {
		if _, err := sess.Run(nil, nil, init); err != nil {
			t.Fatalf("init: %v", err)
		}
	}
	out, err := sess.Run(feeds, fetches)
	if err != nil {
		t.Fatal(err)
	}
	return Floats(t, out)
}

// Session opens a session that the test closes.
func Session(t *testing.T, g *tfgraph.Graph, o tfgraph.SessionOptions) *tfgraph.Session {
	t.Helper()
	sess, err := tfgraph.NewSession(g, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sess.Close() })
	return sess
}

// Floats returns float32 values as slices.
func Floats(t *testing.T, values []*tfgraph.Value) [][]float32 {
	t.Helper()
	out := make([][]float32, len(values))
	for i, v := range values {
		f, err := tfgraph.Data[float32](v)
		if err != nil {
			t.Fatalf("fetch %d: %v", i, err)
		}
		out[i] = f
	}
	return out
}

// MaxAbsDiff returns the largest |a-b|, Inf if the lengths differ or a NaN is
// on one side only.
func MaxAbsDiff(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	worst := 0.0
	for i := range a {
		if math.IsNaN(float64(a[i])) && math.IsNaN(float64(b[i])) {
			continue
		}
		if d := math.Abs(float64(a[i]) - float64(b[i])); d > worst || math.IsNaN(d) {
			worst = d
		}
	}
	if math.IsNaN(worst) {
		return math.Inf(1)
	}
	return worst
}

// Near fails the test unless got is within tol of want everywhere.
func Near(t *testing.T, what string, got, want []float32, tol float64) {
	t.Helper()
	if d := MaxAbsDiff(got, want); !(d <= tol) {
		t.Errorf("%s: largest difference %g, allowed %g (%d and %d elements)", what, d, tol, len(got), len(want))
	}
}
