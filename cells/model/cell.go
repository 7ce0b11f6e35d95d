package model

import (
	"fmt"

	"github.com/nasnet-go/nasnet/cells"
)

// cell plans one cell: its inputs, a few blocks, one concat.
//
//	cur  [H,W,·]   ─ relu·1x1·bn ─► state 0 ─┐
//	prev [H',W',·] ─ fit to cur ──► state 1 ─┴─► block 0 … ─► concat
//
// Every state has f channels, except an input that is used as it is. stride is
// 1 (normal) or 2 (reduction). prev is nil for a first cell: then state 1 is cur
// itself, unprojected (slim nasnet_utils.py _reduce_prev_layer).
// Returns the concat [⌈H/stride⌉,⌈W/stride⌉, f·len(spec.Concat)], or the states
// of spec.Outputs one by one, f channels each.
func (s scope) newCell(spec cells.Cell, cur ref, prevs []*ref, f, stride int) []ref {
	states := make([]ref, 1+len(prevs))
	for i, prev := range prevs {
		states[1+i] = s.fit(prevName(i), prev, cur, f) // [H,W,f]; first cell: cur as it is
	}
	states[0] = s.begin(cur, f) // [H,W,f]
	inputs := len(states)
	for i, b := range spec.Blocks {
		bs := s.sub(fmt.Sprintf("comb_iter_%d", i))
		left := bs.sub("left").branch(b.Left, states, inputs, f, stride)
		right := bs.sub("right").branch(b.Right, states, inputs, f, stride)
		states = append(states, bs.sub("combine").combine(b.Combine, left, right, f)) // [⌈H/stride⌉,⌈W/stride⌉,f]
	}
	if len(spec.Outputs) > 0 {
		out := make([]ref, len(spec.Outputs))
		for i, from := range spec.Outputs {
			out[i] = states[from]
		}
		return out
	}
	last := states[len(states)-1]
	out := make([]ref, len(spec.Concat))
	for i, from := range spec.Concat {
		out[i] = s.sub(fmt.Sprintf("cell_output/reduction_%d", from)).shrink(states[from], last, f)
	}
	return []ref{s.sub("cell_output/concat").concat(out...)}
}

// prevName is slim's prefix of a previous input's variables; slim has only one.
func prevName(i int) string {
	if i == 0 {
		return "prev"
	}
	return fmt.Sprintf("prev%d", i+1)
}

// begin brings the current input to f channels: ReLU, 1x1, batch norm.
func (s scope) begin(cur ref, f int) ref {
	return s.sub("beginning_bn").norm(s.sub("1x1").conv(s.relu(cur), f, square(1, 1)))
}

// fit brings a previous cell's output to the size and width of the current.
func (s scope) fit(name string, prev *ref, cur ref, f int) ref {
	switch {
	case prev == nil:
		return cur
	case s.height(*prev) != s.height(cur):
		if name != "prev" {
			s = s.sub(name)
		}
		return s.reduceTo(s.height(cur), *prev, f)
	case s.channels(*prev) != f:
		return s.sub(name + "_bn").norm(s.sub(name+"_1x1").conv(s.relu(*prev), f, square(1, 1)))
	}
	return *prev
}

// reduceTo halves a map until it has the wanted height: once in slim's networks,
// twice where a cell reads across two reductions.
func (s scope) reduceTo(height int, x ref, f int) ref {
	for i := 1; s.height(x) > height; i++ {
		at := s
		if i > 1 {
			at = s.sub(fmt.Sprintf("again_%d", i))
		}
		x = at.factorized(at.relu(x), f, 2)
	}
	return x
}

// factorized is slim's factorised reduction: two 1x1 convolutions on
// complementary pixels, concatenated; with stride 1 a plain 1x1.
func (s scope) factorized(x ref, f, stride int) ref {
	if stride == 1 {
		return s.sub("path_bn").norm(s.sub("path_conv").conv(x, f, square(1, 1)))
	}
	half := s.shape(x)
	half[0], half[1] = (half[0]+1)/2, (half[1]+1)/2
	a := s.sub("path1").layer(Layer{Kind: Subsample, Shape: half}, x)
	a = s.sub("path1_conv").conv(a, f/2, square(1, 1)) // [⌈H/2⌉,⌈W/2⌉,f/2]
	b := s.sub("path2").layer(Layer{Kind: ShiftSubsample, Shape: half}, x)
	b = s.sub("path2_conv").conv(b, f-f/2, square(1, 1))                 // the odd channel, if any
	return s.sub("final_path_bn").norm(s.sub("final_path").concat(a, b)) // [⌈H/2⌉,⌈W/2⌉,f]
}

// shrink brings a concatenated state to the last state's size and to f channels.
func (s scope) shrink(x, last ref, f int) ref {
	switch {
	case s.height(x) != s.height(last):
		return s.factorized(x, f, 2)
	case s.channels(x) != f:
		return s.factorized(x, f, 1)
	}
	return x
}

// combine joins two branches of f channels each.
func (s scope) combine(how cells.Combine, left, right ref, f int) ref {
	switch how {
	case "", cells.Add:
		return s.add(left, right)
	case cells.Concat: // "1x1 convolutions are inserted where channels do not match" (paper, section 3)
		x := s.relu(s.concat(left, right))
		return s.sub("bn_1").norm(s.sub("1x1").conv(x, f, square(1, 1)))
	case cells.AddLayerNorm:
		return s.sub("layer_norm").scaledNorm(LayerNorm, s.add(left, right))
	case cells.AddInstanceNorm:
		return s.sub("instance_norm").scaledNorm(InstanceNorm, s.add(left, right))
	}
	return s.fail("unknown combination %q", how)
}

// branch applies an operation to the state it reads, with drop path behind it.
// Only the cell's inputs are strided: blocks have the reduced size already.
// Identity takes no drop path, even where it has a projection (slim).
func (s scope) branch(b cells.Branch, states []ref, inputs, f, stride int) ref {
	if b.From < 0 || b.From >= len(states) {
		return s.fail("state %d does not exist yet; there are 0..%d", b.From, len(states)-1)
	}
	if b.From >= inputs {
		stride = 1
	}
	x := s.operation(b.Op, states[b.From], f, stride) // [⌈H/stride⌉,⌈W/stride⌉,f]
	kept := b.Op == cells.Identity || b.Op == cells.Skip && stride == 1
	if kept || s.p.plan.Model.DropPathKeep >= 1 {
		return x
	}
	return s.sub("drop_path").layer(Layer{Kind: DropPath, Shape: s.shape(x)}, x)
}
