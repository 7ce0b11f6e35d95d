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
		for side, branch := range map[string]Branch{"left": b.Left, "right": b.Right} {
			states := inputs + i
			switch {
			case branch.From < 0 || branch.From >= inputs+len(c.Blocks):
				fault("block %d, %s: state %d; the cell has 0 to %d", i, side, branch.From, inputs+len(c.Blocks)-1)
			case branch.From >= states:
				fault("block %d, %s: state %d is made by this block or a later one, a cycle; earlier ones are 0 to %d", i, side, branch.From, states-1)
			}
			if !Known(branch.Op) {
				fault("block %d, %s: unknown operation %q", i, side, branch.Op)
			}
		}
		if !slices.Contains(combines, b.Combine) {
			fault("block %d: unknown combination %q; want one of %v", i, b.Combine, combines[1:])
		}
	}
	if len(c.Concat) == 0 {
		fault("concat: no state is listed; the cell would have no output")
	}
	seen := map[int]bool{}
	for _, s := range c.Concat {
		if s < 0 || s >= inputs+len(c.Blocks) {
			fault("concat: state %d; the cell has 0 to %d", s, inputs+len(c.Blocks)-1)
		} else if seen[s] {
			fault("concat: state %d is listed twice", s)
		}
		seen[s] = true
		if len(seen) > maxBlocks+maxInputs {
			break
		}
	}
	return errors.Join(faults...)
}

// Known reports whether an operation exists.
func Known(op Op) bool { return slices.Contains(NASNetOps(), op) }
