package tfgraph_test

import (
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/tfgraph"
)

func TestTraceCountsOperationsByKind(t *testing.T) {
	g := tfgraph.New()
	s := g.Root()
	x := tfgraph.Placeholder(s, "x", tfgraph.Float32, tfgraph.Shape{64, 64})
	y := tfgraph.MatMul(s, tfgraph.MatMul(s, x, x), x)
	sess, err := tfgraph.NewSession(g, tfgraph.SessionOptions{Grappler: tfgraph.GrapplerOff})
	if err != nil {
		t.Fatal(err)
	}
	defer sess.Close()
	v, err := tfgraph.NewValue(make([]float32, 64*64), 64, 64)
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := sess.Trace(tfgraph.Feeds{x: v}, tfgraph.Group(s, "done", y.Op()))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		if strings.HasSuffix(k.Kind, "MatMul") && k.Count == 2 && k.Time > 0 {
			return
		}
	}
	t.Errorf("no two MatMul in %+v", kinds)
}
