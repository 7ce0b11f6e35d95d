package draw

import (
	"fmt"
	"html"
	"strings"

	"github.com/nasnet-go/nasnet/cells"
)

// Sizes of the drawing, in pixels.
const (
	boxWidth  = 96
	boxHeight = 26
	columnGap = 16
	levelGap  = 34
	margin    = 24
)

// SVG draws a genotype's cells side by side: inputs at the bottom, in each block
// two operations and their combination, the concat on top. It stands on light
// and dark grounds alike.
func SVG(g cells.Genotype) string {
	var body strings.Builder
	x, height := margin, 0
	for _, c := range parts(g) {
		d := layout(c.cell, g.States())
		d.place(&body, x, title(g, c.name))
		x += d.width + 2*margin
		height = max(height, d.height)
	}
	return document(x-margin, height+2*margin+20, body.String())
}

// document wraps drawings into an SVG file of w by h pixels.
func document(w, h int, body string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">
<style>
.bg{fill:#fff}.in{fill:#e8eef7;stroke:#3b5b8c}.op{fill:#fdf3e1;stroke:#b07d2b}.id{fill:#f4f4f4;stroke:#8a8a8a}.co{fill:#e6f3e8;stroke:#3d8049}.out{fill:#efe6f5;stroke:#71479a}
rect{stroke-width:1.2}path{fill:none;stroke:#666;stroke-width:1.1}.new{stroke:#c62828;stroke-width:2.6}text{font:12px Helvetica,Arial,sans-serif;text-anchor:middle;fill:#222}.t{font-weight:bold;font-size:14px}.l{font-size:8px}
</style>
<rect class="bg" width="%d" height="%d" rx="8"/>
%s</svg>
`, w, h, w, h, w, h, body)
}

// place writes a diagram under its title.
func (d *diagram) place(b *strings.Builder, x int, title string) {
	fmt.Fprintf(b, "<g transform=\"translate(%d,%d)\">\n", x, margin+20)
	fmt.Fprintf(b, "<text x=\"%d\" y=\"-14\" class=\"t\">%s</text>\n", d.width/2, html.EscapeString(title))
	d.write(b)
	b.WriteString("</g>\n")
}

func title(g cells.Genotype, part string) string {
	if g.Name == "" {
		return part
	}
	return g.Name + " " + part
}

type box struct {
	x, y  int // of the centre
	label string
	class string
	block int // -1: of no block
}

// edge leads from one box to another.
type edge struct {
	from, to int
	leaves   bool // a state that leaves the cell, to the output
	state    int  // of an edge that leaves
	class    string
}

type diagram struct {
	boxes         []box
	edges         []edge
	width, height int
}

// layout places each block as a group of two operations under their
// combination, one level above the highest block that it reads.
func layout(c cells.Cell, inputs int) diagram {
	levels := make([]int, inputs+len(c.Blocks))
	rows := map[int][]int{}
	top := 0
	for i, b := range c.Blocks {
		l := 1 + max(levels[b.Left.From], levels[b.Right.From])
		levels[inputs+i] = l
		rows[l] = append(rows[l], i)
		top = max(top, l)
	}
	group := 2*boxWidth + 2*columnGap
	widest := inputs
	for _, r := range rows {
		widest = max(widest, len(r))
	}
	d := diagram{width: widest * group, height: (2*top + 2) * (boxHeight + levelGap)}
	step := boxHeight + levelGap
	place := make([]int, inputs+len(c.Blocks)) // state to box
	for i := range inputs {
		place[i] = d.add(d.width*(inputs-i)/(inputs+1), d.height-boxHeight, stateName(i, inputs), "in", -1)
	}
	for l := 1; l <= top; l++ {
		for k, i := range rows[l] {
			b, x, y := c.Blocks[i], d.width*(2*k+1)/(2*len(rows[l])), d.height-boxHeight-(2*l)*step
			place[inputs+i] = d.add(x, y, string(combine(b)), "co", i)
			for side, br := range []cells.Branch{b.Left, b.Right} {
				class := "op"
				if br.Op == cells.Identity {
					class = "id"
				}
				op := d.add(x+(2*side-1)*(boxWidth+columnGap)/2, y+step, string(br.Op), class, i)
				d.edges = append(d.edges, edge{from: place[br.From], to: op}, edge{from: op, to: place[inputs+i]})
			}
		}
	}
	d.addOutputs(c, place)
	return d
}

// addOutputs puts the concat on top, or a box for each following cell.
func (d *diagram) addOutputs(c cells.Cell, place []int) {
	if len(c.Outputs) == 0 {
		out := d.add(d.width/2, boxHeight/2, "concat", "out", -1)
		for _, s := range c.Concat {
			d.edges = append(d.edges, edge{from: place[s], to: out, leaves: true, state: s})
		}
	}
	for i, s := range c.Outputs {
		out := d.add(d.width*(2*i+1)/(2*len(c.Outputs)), boxHeight/2, outputName(i), "out", -1)
		d.edges = append(d.edges, edge{from: place[s], to: out, leaves: true, state: s})
	}
}

func (d *diagram) add(x, y int, label, class string, block int) int {
	d.boxes = append(d.boxes, box{x, y, label, class, block})
	return len(d.boxes) - 1
}

func (d *diagram) write(b *strings.Builder) {
	for _, e := range d.edges {
		from, to := d.boxes[e.from], d.boxes[e.to]
		y1, y2 := from.y-boxHeight/2, to.y+boxHeight/2
		mid := (y1 + y2) / 2
		fmt.Fprintf(b, "<path class=\"%s\" d=\"M%d %dC%d %d %d %d %d %d\"/>\n", e.class, from.x, y1, from.x, mid, to.x, mid, to.x, y2)
	}
	for _, x := range d.boxes {
		fmt.Fprintf(b, "<rect class=%q x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\"/>\n", x.class, x.x-boxWidth/2, x.y-boxHeight/2, boxWidth, boxHeight)
		long := ""
		if len(x.label) > 14 { // of the box's width
			long = " class=\"l\""
		}
		fmt.Fprintf(b, "<text%s x=\"%d\" y=\"%d\">%s</text>\n", long, x.x, x.y+4, html.EscapeString(x.label))
	}
}
