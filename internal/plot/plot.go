package plot

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"regexp"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figure is a drawing that can be written in both forms.
type Figure struct {
	width, height vg.Length
	build         func(palette) (*plot.Plot, error)
	legend        []entry
}

// entry is a line of the legend.
type entry struct {
	name   string
	series int // its colour
	dots   bool
}

// palette gives the colours of a drawing. Series have as many as anybody can
// tell apart; opacity is 0..255.
type palette interface {
	ink() color.Color
	grid() color.Color
	of(series int, opacity uint8) color.Color
}

// light are the colours of a PNG, and the defaults of an SVG: those of Okabe and
// Ito, which people who see fewer colours can tell apart.
type light struct{}

var okabeIto = []color.NRGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}}

func (light) ink() color.Color  { return color.NRGBA{34, 34, 34, 255} }
func (light) grid() color.Color { return color.NRGBA{221, 221, 221, 255} }
func (light) of(i int, opacity uint8) color.Color {
	c := okabeIto[i%len(okabeIto)]
	c.A = opacity
	return c
}

// marked gives colours that nobody would choose, in which the SVG's style
// variables are written down: a one, the variable's number, the opacity.
type marked struct{}

const (
	inkMark = 1 + iota
	gridMark
	seriesMark
)

func mark(number int, opacity uint8) color.Color { return color.NRGBA{1, uint8(number), opacity, 255} }

func (marked) ink() color.Color  { return mark(inkMark, 255) }
func (marked) grid() color.Color { return mark(gridMark, 255) }
func (marked) of(i int, opacity uint8) color.Color {
	return mark(seriesMark+i%len(okabeIto), opacity)
}

// PNG draws at 144 dots an inch.
func (f *Figure) PNG() ([]byte, error) {
	p, err := f.build(light{})
	if err != nil {
		return nil, fmt.Errorf("plot: %w", err)
	}
	c := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(f.width, f.height), vgimg.UseDPI(144))}
	f.draw(draw.New(c), p, light{})
	var out bytes.Buffer
	if _, err := c.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("plot: %w", err)
	}
	return out.Bytes(), nil
}

// SVG draws an element that fills the width of the place it stands in. label is
// read out to who cannot see it.
func (f *Figure) SVG(label string) (string, error) {
	p, err := f.build(marked{})
	if err != nil {
		return "", fmt.Errorf("plot: %w", err)
	}
	p.BackgroundColor = color.Transparent
	c := vgsvg.New(f.width, f.height)
	f.draw(draw.New(c), p, marked{})
	var out bytes.Buffer
	if _, err := c.WriteTo(&out); err != nil {
		return "", fmt.Errorf("plot: %w", err)
	}
	return themed(out.String(), label, f.width)
}

// draw draws the legend above the plot, where it hides nothing, and leaves a
// margin, so that marks and numbers at the border stay whole.
func (f *Figure) draw(c draw.Canvas, p *plot.Plot, colours palette) {
	c = draw.Crop(c, vg.Points(4), -vg.Points(12), vg.Points(4), -vg.Points(6))
	style := p.Legend.TextStyle
	style.YAlign = draw.YCenter
	x, y := c.Min.X, c.Max.Y-vg.Points(6)
	for _, e := range f.legend {
		width := vg.Points(22) + style.Width(e.name) + vg.Points(14)
		if x > c.Min.X && x+width > c.Max.X {
			x, y = c.Min.X, y-vg.Points(15)
		}
		colour, middle := colours.of(e.series, 255), vg.Point{X: x + vg.Points(9), Y: y}
		if e.dots {
			c.DrawGlyph(draw.GlyphStyle{Color: colour, Radius: vg.Points(2.5), Shape: draw.CircleGlyph{}}, middle)
		} else {
			c.StrokeLine2(draw.LineStyle{Color: colour, Width: vg.Points(2)}, x, y, x+vg.Points(18), y)
		}
		c.FillText(style, vg.Point{X: x + vg.Points(22), Y: y}, e.name)
		x += width
	}
	if len(f.legend) > 0 {
		c.Max.Y = y - vg.Points(12)
	}
	p.Draw(c)
}

var (
	svgElement   = regexp.MustCompile(`(?s)<svg[^>]*?viewBox="([^"]*)"[^>]*>`)
	comment      = regexp.MustCompile(`(?s)<!--.*?-->\s*`)
	markedColour = regexp.MustCompile(`(fill|stroke):#01([0-9A-F]{2})([0-9A-F]{2})`)
	family       = regexp.MustCompile(`font-family:[^;"]*`)
)

// themed takes the element out of an SVG file, lets it scale and replaces the
// marked colours by style variables.
func themed(file, label string, width vg.Length) (string, error) {
	at := svgElement.FindStringSubmatchIndex(file)
	if at == nil {
		return "", errors.New("plot: the canvas wrote no svg element with a viewBox")
	}
	body := comment.ReplaceAllString(file[at[1]:], "")
	body = family.ReplaceAllString(body, "font-family:Arial,Liberation Sans,Helvetica,sans-serif") // alike in width to what was measured
	body = markedColour.ReplaceAllStringFunc(body, variable)
	return fmt.Sprintf(`<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="%s" style="max-width:%.0fpx" role="img" aria-label="%s">`, file[at[2]:at[3]], 1.5*width.Points(), escape(label)) + body, nil
}

// variable writes a marked colour as a style variable with its light default.
func variable(text string) string {
	m := markedColour.FindStringSubmatch(text)
	var number, opacity int
	if _, err := fmt.Sscanf(m[2]+" "+m[3], "%X %X", &number, &opacity); err != nil {
		return text // cannot be: the expression has hex digits only
	}
	name, standard := "ink", light{}.ink()
	switch {
	case number == gridMark:
		name, standard = "grid", light{}.grid()
	case number >= seriesMark:
		name, standard = fmt.Sprint(number-seriesMark+1), light{}.of(number-seriesMark, 255)
	}
	out := fmt.Sprintf("%s:var(--plot-%s,%s)", m[1], name, hex(standard))
	if opacity < 255 {
		out += fmt.Sprintf(";%s-opacity:%.2f", m[1], float64(opacity)/255)
	}
	return out
}

func hex(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02X%02X%02X", r>>8, g>>8, b>>8)
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

// base is a plot with our axes: text and lines in ink, names in sans serif.
func base(c palette, x, y string) *plot.Plot {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color, a.Tick.Color = c.ink(), c.ink()
		for _, t := range []*text.Style{&a.Label.TextStyle, &a.Tick.Label} {
			t.Color, t.Font = c.ink(), font.Font{Typeface: "Liberation", Variant: "Sans", Size: t.Font.Size}
		}
		a.Padding = vg.Points(4)
	}
	p.Legend.TextStyle.Color = c.ink()
	p.Legend.TextStyle.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: 11}
	return p
}
