package network_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

func constantsOf(t *testing.T, p *model.Plan, values model.Values) *tfgraph.Store {
	t.Helper()
	st, err := network.Constants(p, values)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// Plans for inference compute the plain network's outputs: every published cell
// and every operation, on odd and even maps, with both ways of padding.
func TestInferenceComputesThePlainNetwork(t *testing.T) {
	cases := map[string]cells.Genotype{}
	for _, name := range cells.Names() {
		cell, err := cells.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		cases[name] = cell
	}
	for _, op := range cells.Ops() {
		c := cells.Cell{Concat: []int{1, 2, 3}, Blocks: []cells.Block{
			{Left: cells.Branch{From: 0, Op: op}, Right: cells.Branch{From: 1, Op: op}, Combine: cells.Add},
			{Left: cells.Branch{From: 2, Op: op}, Right: cells.Branch{From: 0, Op: cells.Identity}, Combine: cells.AddLayerNorm},
		}}
		cases[string(op)] = cells.Genotype{Normal: c, Reduction: c}
	}
	for name, cell := range cases {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{13, 32} {
				m := smallModel(t, cell)
				m.Input = [3]int{size, size, 3}
				if size == 32 {
					m.Pooling = model.PoolZeroPadded
				}
				sameOutputs(t, m, 2)
			}
		})
	}
}

func TestInferenceComputesNASNetAMobile(t *testing.T) {
	m, err := model.Preset("nasnet-a-mobile")
	if err != nil {
		t.Fatal(err)
	}
	sameOutputs(t, m, 1)
}

// sameOutputs compares logits, pooled features and the last map of both graphs on
// random images: 1e-5 of the largest value.
func sameOutputs(t *testing.T, m model.Model, batch int64) {
	t.Helper()
	p, err := model.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	last := p.LastMap()
	values := p.RandomValues(7)
	q, folded, err := p.Inference(values, last)
	if err != nil {
		t.Fatal(err)
	}
	in := p.Model.Input
	pixels := make([]float32, batch*int64(in[0]*in[1]*in[2]))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range pixels {
		pixels[i] = r.Float32()*2 - 1
	}
	var got [2][][]float32
	for i, plan := range []*model.Plan{p, q} {
		g := tfgraph.New()
		s := g.Root()
		st := constantsOf(t, plan, []model.Values{values, folded}[i])
		x := tfgraph.Placeholder(s, "images", tfgraph.Float32, tfgraph.Shape{-1, int64(in[0]), int64(in[1]), int64(in[2])})
		out := network.Build(s, st, plan, x, network.Options{})
		sess := tftest.Session(t, g, tfgraph.SessionOptions{})
		feed, err := tfgraph.NewValue(pixels, batch, int64(in[0]), int64(in[1]), int64(in[2]))
		if err != nil {
			t.Fatal(err)
		}
		res, err := sess.Run(tfgraph.Feeds{x: feed}, []tfgraph.Tensor{out.Logits, out.Pooled, out.EndPoints[last]})
		if err != nil {
			t.Fatal(err)
		}
		got[i] = tftest.Floats(t, res)
	}
	for k, name := range []string{"logits", "pooled", "last map"} {
		scale := 0.0
		for _, x := range got[0][k] {
			scale = math.Max(scale, math.Abs(float64(x)))
		}
		if !(scale > 1e-3) || math.IsInf(scale, 0) {
			t.Fatalf("%s of the plain network are at most %g: nothing to compare", name, scale)
		}
		tftest.Near(t, name, got[1][k], got[0][k], 1e-5*scale)
	}
}
