package network_test

import (
	"math"
	"testing"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// XLA compiles the forward and backward pass of the operations that NASNet-A
// and the small preset use as a whole; loss and gradients are the kernels'.
func TestXLAComputesTheSame(t *testing.T) {
	for _, op := range []cells.Op{cells.Identity, cells.Avg3x3, cells.Max3x3, cells.Sep3x3, cells.Conv3x3, cells.Skip} {
		t.Run(string(op), func(t *testing.T) {
			c := cells.Cell{Concat: []int{2, 3}, Blocks: []cells.Block{
				{Left: cells.Branch{From: 0, Op: op}, Right: cells.Branch{From: 1, Op: op}, Combine: cells.Add},
				{Left: cells.Branch{From: 2, Op: op}, Right: cells.Branch{From: 0, Op: op}},
			}}
			p, err := model.Build(smallModel(t, cells.Genotype{Normal: c, Reduction: c}))
			if err != nil {
				t.Fatal(err)
			}
			g, st, loss, grads := trained(t, p, 4)
			s := g.Root()
			list := []tfgraph.Tensor{loss}
			for _, dw := range grads {
				list = append(list, s.One("L2Loss", nil, dw))
			}
			plain := tfgraph.Stack(s, 0, list...)
			compiled, _ := tfgraph.Compile(s, "gradients", []tfgraph.Tensor{plain})
			init := st.Init(s)
			sess := tftest.Session(t, g, tfgraph.SessionOptions{Grappler: tfgraph.GrapplerOff})
			if _, err := sess.Run(nil, nil, init); err != nil {
				t.Fatal(err)
			}
			out, err := sess.Run(nil, []tfgraph.Tensor{plain, compiled[0]})
			if err != nil {
				t.Fatal(err)
			}
			values := tftest.Floats(t, out)
			for i, want := range values[0] {
				if d := math.Abs(float64(values[1][i] - want)); d > 1e-3*math.Abs(float64(want))+1e-6 {
					t.Errorf("figure %d (0 is the loss) is %g under XLA, %g without", i, values[1][i], want)
				}
			}
		})
	}
}
