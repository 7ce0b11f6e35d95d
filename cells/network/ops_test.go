package network_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wamuir/graft/tensorflow/core/framework/graph_go_proto"
	"github.com/wamuir/graft/tensorflow/core/framework/node_def_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// trained builds a plan in training for a batch, with all gradients.
func trained(t *testing.T, p *model.Plan, batch int64) (*tfgraph.Graph, *tfgraph.Store, tfgraph.Tensor, []tfgraph.Tensor) {
	t.Helper()
	g := tfgraph.New()
	s, st := g.Root(), tfgraph.NewStore(3)
	in := p.Model.Input
	pixels := make([]float32, batch*int64(in[0]*in[1]*in[2]))
	for i := range pixels {
		pixels[i] = float32((i*7919)%1000) / 1000
	}
	images := tfgraph.Const(s, pixels, batch, int64(in[0]), int64(in[1]), int64(in[2]))
	out := network.Build(s, st, p, images, network.Options{Training: true})
	labels := tfgraph.Vector(s, make([]int64, batch)...)
	loss := nn.CrossEntropy(s, out.Logits, nn.Targets(s, labels, int32(p.Model.Classes), 0))
	var weights []tfgraph.Tensor
	for _, v := range st.Trainable() {
		weights = append(weights, v.Read)
	}
	grads := tfgraph.Gradients(s, []tfgraph.Tensor{loss}, weights)
	if g.Err() != nil {
		t.Fatal(g.Err())
	}
	return g, st, loss, grads
}

func smallModel(t *testing.T, cell cells.Genotype) model.Model {
	t.Helper()
	m, err := model.Preset("nasnet-a-cifar")
	if err != nil {
		t.Fatal(err)
	}
	m.Cell, m.NormalCells, m.Filters, m.Input = cell, 3, 8, [3]int{13, 13, 3} // an odd size
	m.AuxHead, m.DropPathKeep = false, 1
	return m
}

// Every operation, strided and not, and every combination makes a graph whose
// gradients are finite and reach all weights.
func TestEveryOperationTrains(t *testing.T) {
	cellOf := func(op cells.Op, how cells.Combine) cells.Genotype {
		c := cells.Cell{Concat: []int{2, 3}, Blocks: []cells.Block{
			{Left: cells.Branch{From: 0, Op: op}, Right: cells.Branch{From: 1, Op: op}, Combine: how},
			{Left: cells.Branch{From: 2, Op: op}, Right: cells.Branch{From: 0, Op: op}},
		}}
		return cells.Genotype{Normal: c, Reduction: c}
	}
	cases := map[string]cells.Genotype{}
	for _, op := range cells.Ops() {
		cases[string(op)] = cellOf(op, cells.Add)
	}
	for _, how := range []cells.Combine{cells.Concat, cells.AddLayerNorm, cells.AddInstanceNorm} {
		cases[string(how)] = cellOf(cells.Sep3x3, how)
	}
	b, err := cells.Parse([]byte(`
inputs: 4
normal:
  blocks:
    - {left: [0, sep3x3], right: [3, avg3x3]}
    - {left: [1, conv1x1], right: [4, identity], combine: add_layer_norm}
    - {left: [2, max3x3], right: [5, sep3x3], combine: add_instance_norm}
    - {left: [3, identity], right: [0, sep5x5]}
  outputs: [4, 5, 7, 6]
`))
	if err != nil {
		t.Fatal(err)
	}
	cases["the structure of NASNet-B"] = b
	for name, cell := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := model.Build(smallModel(t, cell))
			if err != nil {
				t.Fatal(err)
			}
			g, st, loss, grads := trained(t, p, 2)
			var norms []tfgraph.Tensor
			for _, dw := range grads {
				norms = append(norms, g.Root().One("L2Loss", nil, dw))
			}
			init := st.Init(g.Root())
			sess := tftest.Session(t, g, tfgraph.SessionOptions{Grappler: tfgraph.GrapplerOff})
			if _, err := sess.Run(nil, nil, init); err != nil {
				t.Fatal(err)
			}
			values, err := sess.Scalars(nil, append(norms, loss))
			if err != nil {
				t.Fatal(err)
			}
			for i, x := range values[:len(norms)] {
				if !(x >= 0 && x < 1e12) {
					t.Errorf("gradient of %s has squared norm %g", st.Trainable()[i].Name, x)
				}
			}
		})
	}
}

// The arithmetic of describe against the graph: every layer has the planned
// shape, and the outputs that gradients read add up to the planned memory.
func TestMemoryIsThatOfTheGraph(t *testing.T) {
	const batch = 2
	for _, name := range []string{"nasnet-a", "amoebanet-d", "darts-v2", "residual-3x3"} {
		t.Run(name, func(t *testing.T) {
			cell, err := cells.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			m := smallModel(t, cell)
			m.Input = [3]int{32, 32, 3}
			p, err := model.Build(m)
			if err != nil {
				t.Fatal(err)
			}
			g, _, _, _ := trained(t, p, batch)
			got, want := readByGradients(t, g), p.Memory(batch).Training
			if ratio := float64(got) / float64(want); ratio < 0.98 || ratio > 1.02 {
				t.Errorf("gradients read %d bytes of activations, the plan says %d (ratio %.3f)", got, want, ratio)
			}
		})
	}
}

// readByGradients sums the float tensors of the forward pass that gradient
// nodes read by value, once each.
func readByGradients(t *testing.T, g *tfgraph.Graph) int64 {
	t.Helper()
	raw, err := g.Definition()
	if err != nil {
		t.Fatal(err)
	}
	var def graph_go_proto.GraphDef
	if err := proto.Unmarshal(raw, &def); err != nil {
		t.Fatal(err)
	}
	nodes := map[string]*node_def_go_proto.NodeDef{}
	for _, n := range def.Node {
		nodes[n.Name] = n
	}
	backward := func(name string) bool { return strings.HasPrefix(name, "gradients") }
	shapesOnly := []string{"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
	// Reshapes and additions pass on memory; constants and variables are weights.
	weightless := []string{"Const", "ReadVariableOp", "VarHandleOp"}
	var total int64
	seen := map[string]bool{}
	for _, n := range def.Node {
		if !backward(n.Name) || slices.Contains(shapesOnly, n.Op) {
			continue
		}
		for _, in := range n.Input {
			name, index := endpoint(in)
			for nodes[name].Op == "Reshape" || nodes[name].Op == "Identity" {
				name, index = endpoint(nodes[name].Input[0])
			}
			key := fmt.Sprint(name, index)
			if backward(name) || seen[key] || slices.Contains(weightless, nodes[name].Op) {
				continue
			}
			seen[key] = true
			if out, ok := g.Lookup(name, index); ok && len(out.Shape()) >= 2 { // vectors are statistics of norms
				size := int64(4)
				for _, d := range out.Shape() {
					size *= d
				}
				total += size
			}
		}
	}
	if total == 0 {
		t.Fatalf("no tensor of the forward pass is read; nodes: %d", len(def.Node))
	}
	return total
}

// endpoint splits node:index, where :0 is left out.
func endpoint(in string) (string, int) {
	name, text, _ := strings.Cut(strings.TrimPrefix(in, "^"), ":")
	index, _ := strconv.Atoi(text) // nothing: 0
	return name, index
}
