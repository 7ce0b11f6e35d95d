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
		fmt.Fprintf(&body, "<g transform=\"translate(%d,%d)\">\n", x, margin+20)
		fmt.Fprintf(&body, "<text x=\"%d\" y=\"-14\" class=\"t\">%s</text>\n", d.width/2, html.EscapeString(title(g, c.name)))
		d.write(&body)
		body.WriteString("</g>\n")
		x += d.width + 2*margin
		height = max(height, d.height)
	}
	w, h := x-margin, height+2*margin+20
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">
<style>
.bg{fill:#fff}.in{fill:#e8eef7;stroke:#3b5b8c}.op{fill:#fdf3e1;stroke:#b07d2b}.id{fill:#f4f4f4;stroke:#8a8a8a}.co{fill:#e6f3e8;stroke:#3d8049}.out{fill:#efe6f5;stroke:#71479a}
rect{stroke-width:1.2}path{fill:none;stroke:#666;stroke-width:1.1}text{font:12px Helvetica,Arial,sans-serif;text-anchor:middle;fill:#222}.t{font-weight:bold;font-size:14px}
</style>
<rect class="bg" width="%d" height="%d" rx="8"/>
%s</svg>
`, w, h, w, h, w, h, body.String())
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
}

type diagram struct {
	boxes         []box
	edges         [][2]int
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
		place[i] = d.add(d.width*(inputs-i)/(inputs+1), d.height-boxHeight, stateName(i, inputs), "in")
	}
	for l := 1; l <= top; l++ {
		for k, i := range rows[l] {
			b, x, y := c.Blocks[i], d.width*(2*k+1)/(2*len(rows[l])), d.height-boxHeight-(2*l)*step
			place[inputs+i] = d.add(x, y, string(combine(b)), "co")
			for side, br := range []cells.Branch{b.Left, b.Right} {
				class := "op"
				if br.Op == cells.Identity {
					class = "id"
				}
				op := d.add(x+(2*side-1)*(boxWidth+columnGap)/2, y+step, string(br.Op), class)
				d.edges = append(d.edges, [2]int{place[br.From], op}, [2]int{op, place[inputs+i]})
			}
		}
	}
	out := d.add(d.width/2, boxHeight/2, "concat", "out")
	for _, s := range c.Concat {
		d.edges = append(d.edges, [2]int{place[s], out})
	}
	return d
}

func (d *diagram) add(x, y int, label, class string) int {
	d.boxes = append(d.boxes, box{x, y, label, class})
	return len(d.boxes) - 1
}

func (d *diagram) write(b *strings.Builder) {
	for _, e := range d.edges {
		from, to := d.boxes[e[0]], d.boxes[e[1]]
		y1, y2 := from.y-boxHeight/2, to.y+boxHeight/2
		mid := (y1 + y2) / 2
		fmt.Fprintf(b, "<path d=\"M%d %dC%d %d %d %d %d %d\"/>\n", from.x, y1, from.x, mid, to.x, mid, to.x, y2)
	}
	for _, x := range d.boxes {
		fmt.Fprintf(b, "<rect class=%q x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\"/>\n", x.class, x.x-boxWidth/2, x.y-boxHeight/2, boxWidth, boxHeight)
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>\n", x.x, x.y+4, html.EscapeString(x.label))
	}
}
