package draw

import (
	"fmt"
	"strings"

	"github.com/nasnet-go/nasnet/cells"
)

// Text lists a genotype's cells, one block a line.
func Text(g cells.Genotype) string {
	var b strings.Builder
	for _, c := range parts(g) {
		fmt.Fprintf(&b, "  %s\n", c.name)
		for i, block := range c.cell.Blocks {
			fmt.Fprintf(&b, "    %s\n", blockText(block, i, g.States()))
		}
		for i, s := range c.cell.Outputs {
			fmt.Fprintf(&b, "    %-9s = %s\n", outputName(i), stateName(s, g.States()))
		}
		if len(c.cell.Outputs) == 0 {
			fmt.Fprintf(&b, "    output    = concat( %s )\n", stateNames(c.cell.Concat, g.States()))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

func blockText(b cells.Block, i, inputs int) string {
	return fmt.Sprintf("%-9s = %s( %s %s, %s %s )", stateName(inputs+i, inputs), combine(b),
		b.Left.Op, stateName(b.Left.From, inputs), b.Right.Op, stateName(b.Right.From, inputs))
}

func stateNames(states []int, inputs int) string {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = stateName(s, inputs)
	}
	return strings.Join(names, ", ")
}

// outputName names the cell that output i goes to.
func outputName(i int) string {
	if i == 0 {
		return "to next"
	}
	return fmt.Sprintf("to next+%d", i)
}

type part struct {
	name string
	cell cells.Cell
}

// parts are the cells to be drawn: one where both are the same.
func parts(g cells.Genotype) []part {
	if g.Tied() {
		return []part{{"cell", g.Normal}}
	}
	return []part{{"normal", g.Normal}, {"reduction", g.Reduction}}
}

func combine(b cells.Block) cells.Combine {
	if b.Combine == "" {
		return cells.Add
	}
	return b.Combine
}

// stateName names a state: current, previous, then blocks by number.
func stateName(state, inputs int) string {
	switch {
	case state == 0:
		return "current"
	case state == 1:
		return "previous"
	case state < inputs:
		return fmt.Sprintf("previous%d", state)
	}
	return fmt.Sprintf("block %d", state-inputs)
}

// DOT writes a genotype as a Graphviz graph, a cluster a cell.
func DOT(g cells.Genotype) string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n  rankdir=BT;\n  node [shape=box, style=rounded, fontname=\"Helvetica\"];\n", g.Name)
	for _, c := range parts(g) {
		fmt.Fprintf(&b, "  subgraph cluster_%s {\n    label=%q;\n", c.name, c.name)
		id := func(state int) string { return fmt.Sprintf("%s_%d", c.name, state) }
		for i := range g.States() {
			fmt.Fprintf(&b, "    %s [label=%q, shape=ellipse];\n", id(i), stateName(i, g.States()))
		}
		for i, block := range c.cell.Blocks {
			s := g.States() + i
			fmt.Fprintf(&b, "    %s [label=%q];\n", id(s), fmt.Sprintf("%s: %s", stateName(s, g.States()), combine(block)))
			for _, br := range []cells.Branch{block.Left, block.Right} {
				fmt.Fprintf(&b, "    %s -> %s [label=%q];\n", id(br.From), id(s), br.Op)
			}
		}
		for i, s := range c.cell.Outputs {
			fmt.Fprintf(&b, "    %s_out%d [label=%q];\n    %s -> %s_out%d;\n", c.name, i, outputName(i), id(s), c.name, i)
		}
		if len(c.cell.Outputs) == 0 {
			fmt.Fprintf(&b, "    %s_out [label=\"concat\"];\n", c.name)
		}
		for _, s := range c.cell.Concat {
			fmt.Fprintf(&b, "    %s -> %s_out;\n", id(s), c.name)
		}
		b.WriteString("  }\n")
	}
	b.WriteString("}\n")
	return b.String()
}
