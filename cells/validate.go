package cells

import (
	"errors"
	"fmt"
	"slices"
)

// maxBlocks bounds a cell, so that no text makes a program plan for hours.
const maxBlocks = 100

// maxInputs bounds the states that a cell receives; NASNet-B has four.
const maxInputs = 8

var combines = []Combine{"", Add, Concat, AddLayerNorm, AddInstanceNorm}

// Validate returns all the genotype's faults, each with its place.
func (g Genotype) Validate() error {
	if g.Inputs < 0 || g.Inputs == 1 || g.Inputs > maxInputs {
		return fmt.Errorf("cells: inputs: %d states; want 2 to %d", g.Inputs, maxInputs)
	}
	if (len(g.Normal.Outputs) > 0) != (len(g.Reduction.Outputs) > 0) {
		return errors.New("cells: outputs: one cell has outputs and the other a concat; the cells of a network pass on their states in one way")
	}
	return errors.Join(g.Normal.validate("normal", g.States()), g.Reduction.validate("reduction", g.States()))
}

func (c Cell) validate(name string, inputs int) error {
	if len(c.Blocks) == 0 || len(c.Blocks) > maxBlocks {
		return fmt.Errorf("cells: %s cell: %d blocks; want 1 to %d", name, len(c.Blocks), maxBlocks)
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("cells: %s cell: %s", name, fmt.Sprintf(format, args...)))
	}
	for i, b := range c.Blocks {
		for k, branch := range []Branch{b.Left, b.Right} {
			side, states := []string{"left", "right"}[k], inputs+i
			switch {
			case branch.From < 0 || branch.From >= inputs+len(c.Blocks):
				fault("block %d, %s: state %d; the cell has 0 to %d", i, side, branch.From, inputs+len(c.Blocks)-1)
			case branch.From >= states:
				fault("block %d, %s: state %d is made by this block or a later one, a cycle; earlier ones are 0 to %d", i, side, branch.From, states-1)
			}
			if !Known(branch.Op) {
				fault("block %d, %s: unknown operation %q; there are %v", i, side, branch.Op, Ops())
			}
		}
		if !slices.Contains(combines, b.Combine) {
			fault("block %d: unknown combination %q; want one of %v", i, b.Combine, combines[1:])
		}
	}
	c.validateLeaving(inputs, fault)
	return errors.Join(faults...)
}

// validateLeaving checks what leaves the cell.
func (c Cell) validateLeaving(inputs int, fault func(format string, args ...any)) {
	name, list := "concat", c.Concat
	switch {
	case len(c.Outputs) > 0 && len(c.Concat) > 0:
		fault("concat and outputs are both given; a cell has one or the other")
		return
	case len(c.Outputs) > 0:
		name, list = "outputs", c.Outputs
		if len(list) != inputs {
			fault("outputs: %d states for cells of %d inputs; want one for each", len(list), inputs)
		}
	case len(c.Concat) == 0:
		fault("concat: no state is listed; the cell would have no output")
	}
	seen := map[int]bool{}
	for _, s := range list {
		switch {
		case s < 0 || s >= inputs+len(c.Blocks):
			fault("%s: state %d; the cell has 0 to %d", name, s, inputs+len(c.Blocks)-1)
		case seen[s]:
			fault("%s: state %d is listed twice", name, s)
		case name == "outputs" && s < inputs:
			fault("outputs: state %d is an input; only states made by blocks leave one by one", s)
		}
		seen[s] = true
		if len(seen) > maxBlocks+maxInputs {
			return
		}
	}
}

// Known reports whether an operation exists.
func Known(op Op) bool { return slices.Contains(Ops(), op) }
