package plot

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Series is a named line.
type Series struct {
	Name string
	X, Y []float64 // as many; what is not finite is left out
	Dots bool      // points instead of a line
	// Colour is the number of its colour, from 1; 0: that of its place.
	Colour int
}

// errNothing is returned for a figure without a point.
var errNothing = errors.New("plot: there is nothing to be drawn")

// Lines draws curves over a common axis.
func Lines(x, y string, series []Series) (*Figure, error) {
	series = slices.Clone(series) // their colours are filled in
	points := make([]plotter.XYs, len(series))
	total := 0
	for i, s := range series {
		if len(s.X) != len(s.Y) {
			return nil, fmt.Errorf("plot: %s has %d places and %d values", s.Name, len(s.X), len(s.Y))
		}
		for k := range s.X {
			if finite(s.X[k]) && finite(s.Y[k]) {
				points[i] = append(points[i], plotter.XY{X: s.X[k], Y: s.Y[k]})
			}
		}
		total += len(points[i])
	}
	if total == 0 {
		return nil, errNothing
	}
	f := &Figure{width: 6 * vg.Inch, height: 3.2 * vg.Inch}
	for i, s := range series {
		if s.Colour == 0 {
			series[i].Colour = i + 1
		}
		if len(points[i]) > 0 && len(series) > 1 {
			f.legend = append(f.legend, entry{s.Name, series[i].Colour - 1, s.isDots(points[i])})
		}
	}
	f.build = func(c palette) (*plot.Plot, error) {
		p := base(c, x, y)
		p.Add(grid(c))
		for i, s := range series {
			if len(points[i]) == 0 {
				continue
			}
			if err := addSeries(p, points[i], s.isDots(points[i]), c.of(s.Colour-1, 255)); err != nil {
				return nil, err
			}
		}
		return p, nil
	}
	return f, nil
}

// isDots tells whether points are drawn as such: one alone is no line.
func (s Series) isDots(points plotter.XYs) bool { return s.Dots || len(points) == 1 }

func addSeries(p *plot.Plot, points plotter.XYs, asDots bool, c color.Color) error {
	if asDots {
		dots, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: c, Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
		p.Add(dots)
		return nil
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	line.LineStyle = draw.LineStyle{Color: c, Width: vg.Points(1.6)}
	p.Add(line)
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func grid(c palette) *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Color = c.grid(), c.grid()
	return g
}

// Interval is a value with its interval, in a row of its own.
type Interval struct {
	Name             string
	Value, Low, High float64
	Points           []float64 // what the value is the mean of; may be empty
}

// Intervals draws values under each other over a common axis.
func Intervals(axis string, rows []Interval) (*Figure, error) {
	if len(rows) == 0 {
		return nil, errNothing
	}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[len(rows)-1-i] = r.Name
	}
	return &Figure{width: 6 * vg.Inch, height: vg.Inch + vg.Length(len(rows))*0.4*vg.Inch, build: func(c palette) (*plot.Plot, error) {
		p := base(c, axis, "")
		g := grid(c)
		g.Horizontal.Color = nil
		p.Add(g)
		for i, r := range rows {
			if err := addInterval(p, r, float64(len(rows)-1-i), c.of(i, 255), c.of(i, 110)); err != nil {
				return nil, err
			}
		}
		p.NominalY(names...)
		p.Y.Min, p.Y.Max = -0.6, float64(len(rows))-0.4
		return p, nil
	}}, nil
}

func addInterval(p *plot.Plot, r Interval, y float64, c, faint color.Color) error {
	cloud := make(plotter.XYs, len(r.Points))
	for i, x := range r.Points {
		cloud[i] = plotter.XY{X: x, Y: y - 0.28}
	}
	for _, part := range []struct {
		points plotter.XYs
		style  draw.GlyphStyle
	}{
		{cloud, draw.GlyphStyle{Color: faint, Radius: vg.Points(2), Shape: draw.CircleGlyph{}}},
		{plotter.XYs{{X: r.Value, Y: y}}, draw.GlyphStyle{Color: c, Radius: vg.Points(4), Shape: draw.CircleGlyph{}}},
	} {
		if len(part.points) == 0 {
			continue
		}
		dots, err := plotter.NewScatter(part.points)
		if err != nil {
			return err
		}
		dots.GlyphStyle = part.style
		p.Add(dots)
	}
	bar, err := plotter.NewLine(plotter.XYs{{X: r.Low, Y: y}, {X: r.High, Y: y}})
	if err != nil {
		return err
	}
	bar.LineStyle = draw.LineStyle{Color: c, Width: vg.Points(2)}
	p.Add(bar)
	return nil
}

// Bin is a point of a reliability plot; shares are 0..1.
type Bin struct {
	Confidence, Right, Low, High float64
	Images                       int64
}

// Reliability draws how often predictions of some confidence were right, with
// intervals, beside the diagonal of a model that knows itself. Bins without
// images are left out.
func Reliability(bins []Bin) (*Figure, error) {
	var points plotter.XYs
	var bars plotter.YErrors
	for _, b := range bins {
		if b.Images > 0 {
			points = append(points, plotter.XY{X: b.Confidence, Y: b.Right})
			bars = append(bars, struct{ Low, High float64 }{b.Right - b.Low, b.High - b.Right})
		}
	}
	if len(points) == 0 {
		return nil, errNothing
	}
	return &Figure{width: 4 * vg.Inch, height: 3.6 * vg.Inch, build: func(c palette) (*plot.Plot, error) {
		p := base(c, "confidence", "share right")
		p.Add(grid(c))
		diagonal := plotter.NewFunction(func(x float64) float64 { return x })
		diagonal.LineStyle = draw.LineStyle{Color: c.ink(), Width: vg.Points(0.8), Dashes: []vg.Length{vg.Points(4), vg.Points(3)}}
		whiskers, err := plotter.NewYErrorBars(struct {
			plotter.XYs
			plotter.YErrors
		}{points, bars})
		if err != nil {
			return nil, err
		}
		whiskers.LineStyle = draw.LineStyle{Color: c.of(0, 255), Width: vg.Points(1)}
		p.Add(diagonal, whiskers)
		if err := addSeries(p, points, true, c.of(0, 255)); err != nil {
			return nil, err
		}
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
		return p, nil
	}}, nil
}
