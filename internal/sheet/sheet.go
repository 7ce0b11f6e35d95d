// Package sheet puts many small pictures with captions on one, to be looked at:
// the worst mistakes of a network, the first images of a data set.
//
// Caveat: captions are in ASCII; other letters become question marks.
package sheet

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	xdraw "golang.org/x/image/draw"
)

// Tile is one picture.
type Tile struct {
	Image   image.Image
	Caption []string // lines under it
}

// Options say how tiles are laid out. Zero means the default.
type Options struct {
	Columns int // default 10
	Side    int // pixels a tile's longer side is scaled to; default 96
}

const (
	gap        = 8
	lineHeight = 13 // of the font
)

var (
	ground = color.NRGBA{250, 250, 250, 255}
	ink    = color.NRGBA{30, 30, 30, 255}
)

// PNG draws tiles row by row.
func PNG(tiles []Tile, o Options) ([]byte, error) {
	if len(tiles) == 0 {
		return nil, errors.New("sheet: there are no pictures")
	}
	var text bytes.Buffer
	if err := png.Encode(&text, Draw(tiles, o)); err != nil {
		return nil, fmt.Errorf("sheet: %w", err)
	}
	return text.Bytes(), nil
}

// Draw draws tiles row by row.
func Draw(tiles []Tile, o Options) *image.NRGBA {
	if o.Columns <= 0 {
		o.Columns = 10
	}
	if o.Side <= 0 {
		o.Side = 96
	}
	o.Columns = min(o.Columns, max(1, len(tiles)))
	lines := 0
	for _, t := range tiles {
		lines = max(lines, len(t.Caption))
	}
	width, height := o.Side+gap, o.Side+lines*lineHeight+gap
	rows := (len(tiles) + o.Columns - 1) / o.Columns
	out := image.NewNRGBA(image.Rect(0, 0, o.Columns*width+gap, rows*height+gap))
	draw.Draw(out, out.Bounds(), image.NewUniform(ground), image.Point{}, draw.Src)
	for i, t := range tiles {
		x, y := gap+i%o.Columns*width, gap+i/o.Columns*height
		place(out, t.Image, x, y, o.Side)
		for k, line := range t.Caption {
			write(out, line, x, y+o.Side+(k+1)*lineHeight-2, o.Side)
		}
	}
	return out
}

// place scales a picture into a square, its sides in proportion. Small ones are
// enlarged without smoothing: their pixels are what is to be seen.
func place(out draw.Image, im image.Image, x, y, side int) {
	b := im.Bounds()
	longer := max(b.Dx(), b.Dy(), 1)
	w, h := max(1, b.Dx()*side/longer), max(1, b.Dy()*side/longer)
	to := image.Rect(0, 0, w, h).Add(image.Pt(x+(side-w)/2, y+(side-h)/2))
	var scale xdraw.Scaler = xdraw.ApproxBiLinear
	if longer < side {
		scale = xdraw.NearestNeighbor
	}
	scale.Scale(out, to, im, b, xdraw.Over, nil)
}

// write sets a line of text, cut off where it is wider than a tile.
func write(out draw.Image, text string, x, y, width int) {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	text = text[:min(len(text), width/basicfont.Face7x13.Advance)]
	d := font.Drawer{Dst: out, Src: image.NewUniform(ink), Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	d.DrawString(text)
}
