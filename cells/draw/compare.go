package draw

import (
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/nasnet-go/nasnet/cells"
)

// CompareText lists the blocks by which two genotypes differ, "-" those of a
// alone, "+" those of b alone, and what leaves only one of the cells.
func CompareText(a, b cells.Genotype) string {
	var out strings.Builder
	for _, p := range pairs(a, b) {
		d := cells.Differences(p.a, p.b, a.States())
		if d.Same() {
			fmt.Fprintf(&out, "  %s: the same\n", p.name)
			continue
		}
		fmt.Fprintf(&out, "  %s: %d blocks in common\n", p.name, d.Blocks)
		for _, i := range d.OnlyA {
			fmt.Fprintf(&out, "    - %s\n", blockText(p.a.Blocks[i], i, a.States()))
		}
		for _, i := range d.OnlyB {
			fmt.Fprintf(&out, "    + %s\n", blockText(p.b.Blocks[i], i, b.States()))
		}
		fmt.Fprint(&out, outputText("-", d.ConcatOnlyA, a.States()), outputText("+", d.ConcatOnlyB, b.States()))
	}
	return strings.TrimRight(out.String(), "\n")
}

func outputText(sign string, states []int, inputs int) string {
	if len(states) == 0 {
		return ""
	}
	return fmt.Sprintf("    %s output    = … %s …\n", sign, stateNames(states, inputs))
}

type pair struct {
	name string
	a, b cells.Cell
}

func pairs(a, b cells.Genotype) []pair {
	if a.Tied() && b.Tied() {
		return []pair{{"cell", a.Normal, b.Normal}}
	}
	return []pair{{"normal", a.Normal, b.Normal}, {"reduction", a.Reduction, b.Reduction}}
}

// CompareSVG draws two genotypes, each cell beside its counterpart. What only one
// of them has is drawn in red; below stands the text of the difference.
func CompareSVG(a, b cells.Genotype) string {
	var body strings.Builder
	x, height := margin, 0
	for _, p := range pairs(a, b) {
		d := cells.Differences(p.a, p.b, a.States())
		for _, side := range []struct {
			g       cells.Genotype
			c       cells.Cell
			only    []int
			outputs []int
		}{{a, p.a, d.OnlyA, d.ConcatOnlyA}, {b, p.b, d.OnlyB, d.ConcatOnlyB}} {
			l := layout(side.c, side.g.States())
			l.highlight(side.only, side.outputs)
			l.place(&body, x, title(side.g, p.name))
			x += l.width + 2*margin
			height = max(height, l.height)
		}
	}
	lines := strings.Split(CompareText(a, b), "\n")
	for i, line := range lines {
		fmt.Fprintf(&body, "<text x=\"%d\" y=\"%d\" style=\"text-anchor:start;font-family:monospace;white-space:pre\">%s</text>\n",
			margin, height+2*margin+36+18*i, html.EscapeString(line))
	}
	return document(x-margin, height+3*margin+20+18*len(lines), body.String())
}

// highlight marks blocks, and the edges of states into the concat.
func (d *diagram) highlight(blocks, outputs []int) {
	for i := range d.boxes {
		if d.boxes[i].block >= 0 && slices.Contains(blocks, d.boxes[i].block) {
			d.boxes[i].class += " new"
		}
	}
	for i := range d.edges {
		if d.edges[i].leaves && slices.Contains(outputs, d.edges[i].state) {
			d.edges[i].class = "new"
		}
	}
}
