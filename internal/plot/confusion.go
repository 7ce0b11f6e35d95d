package plot

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// MaxNamed is how many classes a confusion matrix names and numbers; with more
// of them it is a picture of dots, and large as an SVG.
const MaxNamed = 20

// Confusion draws images by label (down) and prediction (across), each row's
// shares as shades. names may be empty.
func Confusion(matrix [][]int64, names []string) (*Figure, error) {
	k := len(matrix)
	if k == 0 {
		return nil, errNothing
	}
	for i, row := range matrix {
		if len(row) != k {
			return nil, fmt.Errorf("plot: row %d of the confusion matrix has %d of %d classes", i, len(row), k)
		}
	}
	if len(names) != k {
		names = make([]string, k)
		for i := range names {
			names[i] = strconv.Itoa(i)
		}
	}
	side := 6 * vg.Inch
	return &Figure{width: side, height: side, build: func(c palette) (*plot.Plot, error) {
		p := base(c, "prediction", "label")
		p.Add(&shades{matrix: matrix, c: c})
		if k <= MaxNamed {
			p.NominalX(names...)
			reversed := make([]string, k)
			for i, name := range names {
				reversed[k-1-i] = name
			}
			p.NominalY(reversed...)
			p.X.Tick.Length = vg.Points(5) // room for the slanted names
			p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = math.Pi/4, draw.XRight, draw.YCenter
		} else {
			p.X.Tick.Marker, p.Y.Tick.Marker = classTicks{k, false}, classTicks{k, true}
		}
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -0.5, float64(k)-0.5, -0.5, float64(k)-0.5
		p.X.Padding, p.Y.Padding = vg.Points(4), vg.Points(4)
		return p, nil
	}}, nil
}

// classTicks number the axis of k classes, in steps of 10, 20, 100, 200, …
type classTicks struct {
	k        int
	downward bool // class 0 on top
}

// Ticks are at the middle of the classes that they number.
func (c classTicks) Ticks(_, _ float64) []plot.Tick {
	step := 10
	for factor := 2; c.k/step > 10; factor = 7 - factor { // 2 and 5 by turns
		step *= factor
	}
	var ticks []plot.Tick
	for class := 0; class < c.k; class += step {
		at := class
		if c.downward {
			at = c.k - 1 - class
		}
		ticks = append(ticks, plot.Tick{Value: float64(at), Label: strconv.Itoa(class)})
	}
	return ticks
}

// shades fills the cells of a matrix, row 0 on top.
type shades struct {
	matrix [][]int64
	c      palette
}

// Plot draws one square a cell that has images, and their number where there is
// room.
func (s *shades) Plot(c draw.Canvas, p *plot.Plot) {
	k := len(s.matrix)
	x, y := p.Transforms(&c)
	style := p.X.Tick.Label
	style.Rotation, style.XAlign, style.YAlign = 0, draw.XCenter, draw.YCenter
	style.Font.Size = vg.Points(min(10, 180/float64(k)))
	for i, row := range s.matrix {
		total := int64(0)
		for _, n := range row {
			total += n
		}
		for j, n := range row {
			if n == 0 {
				continue
			}
			at := float64(k - 1 - i)
			left, bottom, right, top := x(float64(j)-0.5), y(at-0.5), x(float64(j)+0.5), y(at+0.5)
			c.FillPolygon(s.shade(n, total, i == j), []vg.Point{{X: left, Y: bottom}, {X: right, Y: bottom}, {X: right, Y: top}, {X: left, Y: top}})
			if k <= MaxNamed {
				c.FillText(style, vg.Point{X: (left + right) / 2, Y: (bottom + top) / 2}, strconv.FormatInt(n, 10))
			}
		}
	}
}

// shade is the colour of a share, faint enough for ink to be read on it; a few
// images are seen too.
func (s *shades) shade(n, total int64, right bool) color.Color {
	opacity := uint8(255 * (0.06 + 0.6*math.Sqrt(float64(n)/float64(total))))
	if right {
		return s.c.of(0, opacity)
	}
	return s.c.of(1, opacity)
}

var _ plot.Plotter = (*shades)(nil)

// DataRange is the matrix's.
func (s *shades) DataRange() (xmin, xmax, ymin, ymax float64) {
	k := float64(len(s.matrix))
	return -0.5, k - 0.5, -0.5, k - 0.5
}

var _ plot.DataRanger = (*shades)(nil)
