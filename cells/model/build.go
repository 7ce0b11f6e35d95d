package model

import (
	"fmt"
	"math"

	"github.com/nasnet-go/nasnet/cells"
)

// Build plans the network of a model. It fails with all the model's faults, or
// with the first layer that its input is too small for.
func Build(m Model) (*Plan, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	b := newStack(m, "")
	b.stem()
	b.cells(0, m.NormalCells)
	b.head()
	return b.root.p.finish()
}

// finish returns what was planned, or the first fault.
func (p *planner) finish() (*Plan, error) {
	if p.err != nil {
		return nil, p.err
	}
	p.plan.prune()
	return p.plan, nil
}

// newStack begins a network below a scope.
func newStack(m Model, path string) *stack {
	p := &planner{stage: "stem", plan: &Plan{Model: m, AuxLogits: -1, TotalCells: m.NormalCells + 2}}
	if m.Style == ImageNetStyle {
		p.plan.TotalCells += 2
	}
	return &stack{root: scope{p: p, path: path, cell: -1}, m: m, scaling: 1}
}

// stack is a network while its cells are piled up.
type stack struct {
	root    scope
	m       Model
	image   ref
	outputs [][]ref // of the stem and of every cell: one concat, or a state for each of the next cells
	scaling float64 // of the filters
	number  int     // of cells so far, in drop path's order
}

func (b *stack) net() ref { return b.outputs[len(b.outputs)-1][0] }

// all is everything that leaves the last cell, for the heads.
func (b *stack) all(s scope) ref { return s.concat(b.outputs[len(b.outputs)-1]...) }

func (b *stack) push(outputs ...ref) { b.outputs = append(b.outputs, outputs) }

// before returns the outputs before the last one, newest first, nil where there
// is none: a cell's previous inputs.
func (b *stack) before() []*ref {
	prevs := make([]*ref, b.m.Cell.States()-1)
	for i := range prevs {
		if at := len(b.outputs) - 2 - i; at >= 0 {
			out := b.outputs[at]
			prevs[i] = &out[min(1+i, len(out)-1)]
		}
	}
	return prevs
}

func (b *stack) stage(name string) { b.root.p.stage = name }

// cell adds a cell on top and returns its first output.
func (b *stack) cell(name string, spec cells.Cell, prevs []*ref, stride int) ref {
	s := b.root.sub(name)
	s.cell = b.number
	b.number++
	b.push(s.newCell(spec, b.net(), prevs, int(float64(b.m.Filters)*b.scaling), stride)...)
	return b.net()
}

func (b *stack) endPoint(name string, x ref) {
	p := b.root.p.plan
	p.EndPoints = append(p.EndPoints, EndPoint{name, int(x)})
}

// stem begins with the image.
func (b *stack) stem() {
	b.image = b.root.sub("image").layer(Layer{Kind: Input, Shape: b.m.Input})
	if b.m.Style == ImageNetStyle {
		b.imagenetStem()
	} else {
		b.cifarStem()
	}
}

// cifarStem is a 3x3 convolution and a batch norm.
func (b *stack) cifarStem() {
	x := b.root.sub("l1_stem_3x3").conv(b.image, int(float64(b.m.Filters)*b.m.StemMultiplier), square(3, 1))
	x = b.root.sub("l1_stem_bn").norm(x) // [H,W,filters·multiplier]
	b.push(x)
	b.endPoint("stem_conv_bn", x)
	b.endPoint("Stem", x)
}

// imagenetStem is a 3x3 convolution of stride 2 without padding and two
// reduction cells at a quarter and half of the filters.
func (b *stack) imagenetStem() {
	w := square(3, 2)
	w.padding = Valid
	x := b.root.sub("conv0").conv(b.image, int(32*b.m.StemMultiplier), w)
	x = b.root.sub("conv0_bn").norm(x)
	b.push(x)
	b.endPoint("stem_conv_bn", x)
	b.scaling = 1 / math.Pow(b.m.FilterScaling, 2)
	for i := range 2 {
		x = b.cell(fmt.Sprintf("cell_stem_%d", i), b.m.Cell.Reduction, b.before(), 2)
		b.endPoint(fmt.Sprintf("stem_cell_%d", i), x)
		b.scaling *= b.m.FilterScaling
	}
	b.endPoint("Stem", x)
}

// cells piles up normal cells from one to before another, with a reduction at
// one and at two thirds of all. What a normal cell behind a reduction takes as
// its previous input depends on SkipReductionInput (reference nasnet.md section 3).
func (b *stack) cells(from, to int) {
	third := b.m.NormalCells / 3
	b.stage(fmt.Sprintf("stack %d", 1+from/third))
	for i := from; i < to; i++ {
		prevs := b.before()
		if i == third || i == 2*third {
			n := i / third
			b.scaling *= b.m.FilterScaling
			b.stage(fmt.Sprintf("reduction %d", n))
			x := b.cell(fmt.Sprintf("reduction_cell_%d", n-1), b.m.Cell.Reduction, prevs, 2)
			b.endPoint(fmt.Sprintf("Reduction_Cell_%d", n-1), x)
			b.stage(fmt.Sprintf("stack %d", n+1))
		}
		if !b.m.SkipReductionInput {
			prevs = b.before()
		}
		x := b.cell(fmt.Sprintf("cell_%d", i), b.m.Cell.Normal, prevs, 1)
		b.endPoint(fmt.Sprintf("Cell_%d", i), x)
		if b.m.AuxHead && i == 2*third-1 {
			b.auxHead(fmt.Sprintf("aux_%d/aux_logits", i))
		}
	}
}

// auxHead classifies from the map before the second reduction, in training
// only (slim _build_aux_head).
func (b *stack) auxHead(name string) {
	s := b.root.sub(name)
	s.aux = true
	back := b.root.p.stage
	b.stage("auxiliary head")
	defer b.stage(back)
	x := s.relu(b.all(s))
	w := square(5, 3)
	w.padding = Valid
	x = s.sub("avg_pool").pool(AvgPool, x, w)
	x = s.relu(s.sub("aux_bn0").norm(s.sub("proj").conv(x, 128, square(1, 1))))
	if b.root.p.err != nil {
		return
	}
	shape := s.shape(x)
	full := window{kernel: [2]int{shape[0], shape[1]}, stride: [2]int{1, 1}, padding: Valid}
	x = s.relu(s.sub("aux_bn1").norm(s.sub("Conv").conv(x, 768, full))) // [1,1,768]
	x = s.sub("flatten").layer(Layer{Kind: Flatten, Shape: s.shape(x)}, x)
	x = s.sub("FC").dense(x, b.m.Classes)
	b.endPoint("AuxLogits", x)
	b.root.p.plan.AuxLogits = int(x)
}

// head pools the last map and classifies.
func (b *stack) head() {
	b.stage("head")
	s := b.root.sub("final_layer")
	x := b.pool(s)
	b.endPoint(PooledPoint, x)
	b.root.p.plan.Pooled = int(x)
	x = s.sub("dropout").layer(Layer{Kind: Dropout, Shape: s.shape(x)}, x)
	x = s.sub("FC").dense(x, b.m.Classes)
	b.endPoint("Logits", x)
	b.root.p.plan.Logits = int(x)
}

// pool is the mean over the last map behind a ReLU.
func (b *stack) pool(s scope) ref {
	x := s.relu(b.all(s))
	return s.sub("global_pool").layer(Layer{Kind: GlobalMean, Shape: [3]int{1, 1, s.channels(x)}}, x)
}
