package cells

import (
	"fmt"
	"slices"
)

// Space is a search space over cells: what a controller chooses from.
type Space struct {
	Name     string    `yaml:"name" json:"name"`
	Ops      []Op      `yaml:"ops" json:"ops"`
	Blocks   int       `yaml:"blocks" json:"blocks"`               // a cell
	Inputs   int       `yaml:"inputs,omitempty" json:"inputs"`     // states a cell receives; 0: 2
	Combines []Combine `yaml:"combines,omitempty" json:"combines"` // none: add only
	Tied     bool      `yaml:"tied,omitempty" json:"tied"`         // the reduction cell repeats the normal one
}

// NASNetSpace is the paper's: five blocks of thirteen operations, combined by
// add or concat, normal and reduction cell apart (paper, section 3).
func NASNetSpace() Space {
	return Space{Name: "nasnet", Ops: NASNetOps(), Blocks: 5, Inputs: 2, Combines: []Combine{Add, Concat}}
}

// DecisionKind says what a decision chooses.
type DecisionKind string

// The five decisions of a block, in the paper's order.
const (
	Input1Decision  DecisionKind = "input1"
	Input2Decision  DecisionKind = "input2"
	Op1Decision     DecisionKind = "op1"
	Op2Decision     DecisionKind = "op2"
	CombineDecision DecisionKind = "combine"
)

// Decision is one softmax of the controller.
type Decision struct {
	Kind    DecisionKind
	Cell    string // normal | reduction
	Block   int
	Choices int
}

func (s Space) inputs() int {
	if s.Inputs == 0 {
		return 2
	}
	return s.Inputs
}

func (s Space) combines() []Combine {
	if len(s.Combines) == 0 {
		return []Combine{Add}
	}
	return s.Combines
}

func (s Space) cellNames() []string {
	if s.Tied {
		return []string{"normal"}
	}
	return []string{"normal", "reduction"}
}

// Decisions lists the decisions of one sample, five a block, the normal cell
// first (paper, section 3).
func (s Space) Decisions() []Decision {
	var list []Decision
	for _, cell := range s.cellNames() {
		for b := range s.Blocks {
			states := s.inputs() + b
			list = append(list,
				Decision{Input1Decision, cell, b, states}, Decision{Input2Decision, cell, b, states},
				Decision{Op1Decision, cell, b, len(s.Ops)}, Decision{Op2Decision, cell, b, len(s.Ops)},
				Decision{CombineDecision, cell, b, len(s.combines())})
		}
	}
	return list
}

// Sizes lists the number of choices of each decision.
func (s Space) Sizes() []int {
	ds := s.Decisions()
	sizes := make([]int, len(ds))
	for i, d := range ds {
		sizes[i] = d.Choices
	}
	return sizes
}

// Decode turns choices, one a decision, into a genotype. The states that no
// block uses are concatenated, as the paper says.
func (s Space) Decode(choices []int) (Genotype, error) {
	ds := s.Decisions()
	if len(choices) != len(ds) {
		return Genotype{}, fmt.Errorf("cells: %d choices for the %d decisions of space %s", len(choices), len(ds), s.Name)
	}
	for i, c := range choices {
		if c < 0 || c >= ds[i].Choices {
			return Genotype{}, fmt.Errorf("cells: decision %d (%s of block %d, %s cell): choice %d of %d", i, ds[i].Kind, ds[i].Block, ds[i].Cell, c, ds[i].Choices)
		}
	}
	half := 5 * s.Blocks
	g := Genotype{Inputs: s.Inputs, Normal: s.cell(choices[:half])}
	g.Reduction = g.Normal
	if !s.Tied {
		g.Reduction = s.cell(choices[half:])
	}
	return g, nil
}

func (s Space) cell(choices []int) Cell {
	var c Cell
	used := make([]bool, s.inputs()+s.Blocks)
	for b := range s.Blocks {
		d := choices[5*b : 5*b+5]
		used[d[0]], used[d[1]] = true, true
		c.Blocks = append(c.Blocks, Block{
			Left: Branch{d[0], s.Ops[d[2]]}, Right: Branch{d[1], s.Ops[d[3]]}, Combine: s.combines()[d[4]],
		})
	}
	for i, u := range used {
		if !u {
			c.Concat = append(c.Concat, i)
		}
	}
	return c
}

// Encode is the inverse of Decode, for a genotype of the space.
func (s Space) Encode(g Genotype) ([]int, error) {
	var choices []int
	for _, name := range s.cellNames() {
		c := g.Normal
		if name == "reduction" {
			c = g.Reduction
		}
		if len(c.Blocks) != s.Blocks {
			return nil, fmt.Errorf("cells: %s cell has %d blocks, space %s has %d", name, len(c.Blocks), s.Name, s.Blocks)
		}
		for i, b := range c.Blocks {
			combine := b.Combine
			if combine == "" {
				combine = Add
			}
			d := []int{b.Left.From, b.Right.From, slices.Index(s.Ops, b.Left.Op), slices.Index(s.Ops, b.Right.Op), slices.Index(s.combines(), combine)}
			if slices.Contains(d, -1) {
				return nil, fmt.Errorf("cells: block %d of the %s cell is not in space %s", i, name, s.Name)
			}
			choices = append(choices, d...)
		}
	}
	return choices, nil
}
