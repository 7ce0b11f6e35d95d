package model

import "fmt"

// End points of the two stages that [Split] makes.
const (
	FeaturesPoint = "Features"    // of the first: [H',W',C], what regions are proposed on and cropped from
	LastPoint     = "Last"        // of the second: [h',w',C'], the last cell behind its ReLU
	PooledPoint   = "global_pool" // of the second: [1,1,C'], the mean of that
)

// Split plans a network as the two stages of a Faster-RCNN, around the second
// reduction (reference detection.md section 2).
//
//	image [H,W,3] ─ first ─► concat of the last two cells before the reduction, as they are: features
//	crop of features [crop,crop,·], in halves: previous and current state ─ second ─► mean over the last map
//
// The layers and variables of each stand below a name of its own. The second has
// two inputs, previous before current. Cells are numbered through, so that one
// list of keep probabilities serves both. Logits and Pooled are the stage's
// output; there is no auxiliary head.
func Split(m Model, crop int, names [2]string) (first, second *Plan, err error) {
	m.AuxHead = false
	if err := m.Validate(); err != nil {
		return nil, nil, err
	}
	if m.Cell.States() > 2 || len(m.Cell.Normal.Outputs) > 0 {
		return nil, nil, fmt.Errorf("model: %s: its cells have %d inputs; a network can be split in two stages where they have two inputs and one output", m.Name, m.Cell.States())
	}
	a := newStack(m, names[0])
	a.stem()
	a.cells(0, 2*m.NormalCells/3)
	prev, cur := a.outputs[len(a.outputs)-2][0], a.net()
	a.output(FeaturesPoint, a.root.sub("features").concat(prev, cur))
	if first, err = a.root.p.finish(); err != nil {
		return nil, nil, err
	}
	b := newStack(m, names[1])
	b.scaling, b.number = a.scaling, a.number
	for i, x := range []ref{prev, cur} {
		shape := [3]int{crop, crop, a.root.channels(x)}
		b.push(b.root.sub([]string{"previous", "current"}[i]).layer(Layer{Kind: Input, Shape: shape}))
	}
	b.cells(2*m.NormalCells/3, m.NormalCells)
	pooled := b.pool(b.root)
	b.endPoint(LastPoint, ref(b.root.p.plan.Layers[pooled].Inputs[0]))
	b.output(PooledPoint, pooled)
	second, err = b.root.p.finish()
	return first, second, err
}

// output makes a layer the plan's output.
func (b *stack) output(name string, x ref) {
	b.endPoint(name, x)
	b.root.p.plan.Logits, b.root.p.plan.Pooled = int(x), int(x)
}
