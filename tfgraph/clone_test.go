package tfgraph_test

import (
	"strings"
	"testing"

	graphpb "github.com/wamuir/graft/tensorflow/core/framework/graph_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// cloned is loss = sum((w*x)²) with its gradient, and both cloned for x2.
func cloned(s *tfgraph.Scope, st *tfgraph.Store) (outs, copies []tfgraph.Tensor) {
	x, x2 := tfgraph.Vector(s, float32(1), 2), tfgraph.Vector(s, float32(3), 4)
	w := st.Get(s, "w", []int64{2}, true, tfgraph.FilledInit(0.5))
	loss := tfgraph.ReduceSum(s.Sub("net"), tfgraph.Square(s.Sub("net"), tfgraph.Mul(s.Sub("net"), w.Read, x)))
	outs = append(tfgraph.Gradients(s, []tfgraph.Tensor{loss}, []tfgraph.Tensor{w.Read}), loss)
	copies, _ = tfgraph.Clone(s.Sub("replica_1").On("/device:CPU:1"), outs, map[tfgraph.Tensor]tfgraph.Tensor{x: x2})
	return outs, copies
}

func TestCloneComputesTheSameFromOtherInputs(t *testing.T) {
	g := tfgraph.New()
	st := tfgraph.NewStore(1)
	outs, copies := cloned(g.Root(), st)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{CPUDevices: 2})
	if _, err := sess.Run(nil, nil, st.Init(g.Root())); err != nil {
		t.Fatal(err)
	}
	v, err := sess.Run(nil, append(outs, copies...))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]float32{{1, 4}, {1.25}, {9, 16}, {6.25}} {
		tftest.Near(t, []string{"gradient", "loss", "cloned gradient", "cloned loss"}[i], tftest.Floats(t, v)[i], want, 1e-6)
	}
}

func TestCloneIsOnItsDeviceAndSharesVariables(t *testing.T) {
	g := tfgraph.New()
	cloned(g.Root(), tfgraph.NewStore(1))
	raw, err := g.Definition()
	if err != nil {
		t.Fatal(err)
	}
	var def graphpb.GraphDef
	if err := proto.Unmarshal(raw, &def); err != nil {
		t.Fatal(err)
	}
	handles, copies := 0, 0
	for _, n := range def.Node {
		if n.Op == "VarHandleOp" {
			handles++
		}
		if strings.HasPrefix(n.Name, "replica_1/") {
			copies++
			if n.Device != "/device:CPU:1" {
				t.Errorf("%s is on %q", n.Name, n.Device)
			}
		}
	}
	if handles != 1 || copies < 5 {
		t.Errorf("%d variables, %d copied nodes", handles, copies)
	}
}

func TestCloneReportsWhatIsNotOfTheGraph(t *testing.T) {
	g := tfgraph.New()
	s := g.Root()
	tfgraph.Clone(s, []tfgraph.Tensor{tfgraph.Scalarc(s, float32(1))}, map[tfgraph.Tensor]tfgraph.Tensor{{}: {}})
	if err := g.Err(); err == nil || !strings.Contains(err.Error(), "clone") {
		t.Errorf("got %v", err)
	}
}
