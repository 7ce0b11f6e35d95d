package detect

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// extractorPlan is the small model of the reference's extractor: 18 cells, the
// reduction's input skipped, 8 filters, a stem of 8.
func extractorPlan(t *testing.T) *detector.Plan {
	t.Helper()
	m, err := model.Preset("nasnet-a-large")
	if err != nil {
		t.Fatal(err)
	}
	m.Filters, m.StemMultiplier, m.Input, m.DropPathKeep = 8, 0.25, [3]int{80, 80, 3}, 1
	p, err := detector.Build(detector.Detector{Model: m, Options: detector.Release()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// constants are the reference's variables, which must be all that the plan has
// in its stages.
func (g golden) constants(t *testing.T, p *detector.Plan) *tfgraph.Store {
	t.Helper()
	values := map[string]*tfgraph.Value{}
	for name, a := range g {
		if name, ok := strings.CutPrefix(name, "var/"); ok {
			v, err := tfgraph.NewValue(a.Float32(), a.Shape...)
			if err != nil {
				t.Fatal(err)
			}
			values[name] = v
		}
	}
	planned := len(p.First.Variables()) + len(p.Second.Variables())
	if planned != len(values) {
		t.Errorf("%d variables are planned, the reference has %d", planned, len(values))
	}
	return tfgraph.NewConstants(values)
}

// The reference's own extractor: which state is the previous one where, the
// halves of a crop, the last ReLU, and the gradient of every variable.
func TestExtractorOfTheReference(t *testing.T) {
	g := load(t, "extractor.npz")
	p := extractorPlan(t)
	st := g.constants(t, p)
	var names []string // in the order of creation, as the reference's gradients are
	for _, v := range slices.Concat(p.First.Variables(), p.Second.Variables()) {
		if v.Trainable {
			names = append(names, v.Name)
		}
	}
	got := run(t, func(s *tfgraph.Scope) tensors {
		b := &builder{plan: p, st: st}
		images := tfgraph.Sub(s, tfgraph.Scale(s, g.value(s, "image", 0), 2./255), tfgraph.Scalarc(s, float32(1)))
		first := b.first(s, images)
		features := first.EndPoints[model.FeaturesPoint]
		crops := g.cropsOfEach(s, features, p.Options.Crop)
		second := b.second(s, crops)
		last := second.EndPoints[model.LastPoint]
		loss := tfgraph.ReduceSum(s, tfgraph.Mul(s, second.Pooled, ramp(s, -1, 1, last.Dim(3))))
		reads := make(tensors, len(names))
		for i, name := range names {
			if st.Lookup(name) == nil {
				s.Fail("no variable %s", name)
				return nil
			}
			reads[i] = st.Lookup(name).Read
		}
		norms := make(tensors, len(reads))
		for i, d := range tfgraph.Gradients(s, tensors{loss}, reads) {
			norms[i] = tfgraph.Sqrt(s, tfgraph.ReduceSum(s, tfgraph.Square(s, d)))
		}
		reduction := tfgraph.Slice(s, first.EndPoints["Reduction_Cell_0"], []int32{0, 0, 0, 0}, []int32{1, -1, -1, -1})
		row := tfgraph.Slice(s, crops, []int32{0, 0, 0, 0}, []int32{-1, 1, -1, -1})
		return tensors{first.EndPoints["Stem"], reduction, features, row, last, loss, tfgraph.Stack(s, 0, norms...)}
	})
	for i, name := range []string{"stem", "reduction_cell_0", "rpn_features", "crop_first_row"} {
		nearRelative(t, name, got[i], g[name].Float32(), 1e-5)
	}
	nearRelative(t, "second", got[4], g["second"].Float32(), 2e-5)
	nearRelative(t, "loss", got[5], g["loss"].Float32(), 2e-5)
	var apart []float64
	for i, want := range g["grad_l2"].Data {
		d := math.Abs(float64(got[6][i])-want) / want
		apart = append(apart, d)
		if d > 1e-2 {
			t.Errorf("gradient of %s: norm %g, want %g", names[i], got[6][i], want)
		}
	}
	slices.Sort(apart)
	if m := apart[len(apart)/2]; m > 1e-3 {
		t.Errorf("gradients: median %g apart", m)
	}
	t.Logf("gradients of %d variables: median %.1g, worst %.1g apart", len(apart), apart[len(apart)/2], apart[len(apart)-1])
}

// cropsOfEach crops each of the reference's boxes from the image it belongs to.
func (g golden) cropsOfEach(s *tfgraph.Scope, features tfgraph.Tensor, size int) tfgraph.Tensor {
	index := g["box_index"].Data
	n := int32(len(index))
	both := make([]tfgraph.Tensor, features.Dim(0))
	for i := range both {
		both[i] = g.value(s, "boxes", 1)
	}
	crops := crop(s, features, tfgraph.Concat(s, 0, both...), size) // [images·n,size,size,C]
	rows := make([]int32, n)
	for i := range rows {
		rows[i] = int32(index[i])*n + int32(i)
	}
	return tfgraph.Gather(s, crops, tfgraph.Vector(s, rows...))
}

// ramp is n numbers from one to another in equal steps.
func ramp(s *tfgraph.Scope, from, to float64, n int64) tfgraph.Tensor {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(from + (to-from)*float64(i)/float64(n-1))
	}
	return tfgraph.Vector(s, x...)
}
