package contactsheet

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// Tile is one picture of a sheet.
type Tile struct {
	Image   image.Image
	Caption string // below the picture; lines are separated by \n
	Boxes   []Box
}

// Box is a rectangle on a picture, in pixels from its top left corner.
type Box struct {
	X, Y, W, H float64
	Label      string // above the box's top left corner; "": none
	Class      int    // equal classes have equal colours
}

// Layout says how tiles are laid out. Zero means the default.
type Layout struct {
	Columns int // default 8, or as many as there are tiles
	Side    int // of the square that a picture is fitted into, pixels; default 160
}

const (
	margin    = 8 // pixels around tiles
	maxPixels = 100e6
)

// ErrLayout: the tiles make no sheet.
var ErrLayout = errors.New("no such contact sheet")

func (l Layout) orDefault(tiles int) Layout {
	if l.Columns == 0 {
		l.Columns = min(8, tiles)
	}
	if l.Side == 0 {
		l.Side = 160
	}
	return l
}

// Write draws a sheet into a PNG file.
func Write(path string, tiles []Tile, l Layout) error {
	sheet, err := Draw(tiles, l)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := png.Encode(&out, sheet); err != nil {
		return fmt.Errorf("contactsheet: %s: %w", path, err)
	}
	return durable.WriteFile(path, out.Bytes(), 0o644)
}

// Draw returns the sheet of tiles, row by row from the top left. Pictures keep
// their proportions; those smaller than the square are enlarged without
// smoothing, so that single pixels are seen.
func Draw(tiles []Tile, l Layout) (*image.RGBA, error) {
	l = l.orDefault(len(tiles))
	if len(tiles) == 0 || l.Columns < 1 || l.Side < 1 {
		return nil, fmt.Errorf("contactsheet: %w: %d tiles in %d columns of %d pixels", ErrLayout, len(tiles), l.Columns, l.Side)
	}
	lines := 0
	for i, t := range tiles {
		if t.Image == nil || t.Image.Bounds().Empty() {
			return nil, fmt.Errorf("contactsheet: %w: tile %d (%q) has no picture", ErrLayout, i, t.Caption)
		}
		if t.Caption != "" {
			lines = max(lines, 1+strings.Count(t.Caption, "\n"))
		}
	}
	stepX, stepY := l.Side+margin, l.Side+margin+lines*basicfont.Face7x13.Height
	rows := (len(tiles) + l.Columns - 1) / l.Columns
	w, h := margin+l.Columns*stepX, margin+rows*stepY
	if pixels := float64(l.Columns) * float64(stepX) * float64(rows) * float64(stepY); pixels > maxPixels { // as float64: w and h may overflow
		return nil, fmt.Errorf("contactsheet: %w: %d tiles in %d columns make %d x %d pixels, allowed are %.0f million; ask for fewer or smaller ones", ErrLayout, len(tiles), l.Columns, w, h, maxPixels/1e6)
	}
	sheet := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(sheet, sheet.Rect, image.White, image.Point{}, draw.Src)
	for i, t := range tiles {
		at := image.Pt(margin+i%l.Columns*stepX, margin+i/l.Columns*stepY)
		t.draw(sheet, image.Rectangle{at, at.Add(image.Pt(l.Side, l.Side))})
	}
	return sheet, nil
}

// draw puts a tile into its square and its caption below it.
func (t Tile) draw(sheet *image.RGBA, square image.Rectangle) {
	from := t.Image.Bounds()
	scale := float64(square.Dx()) / float64(max(from.Dx(), from.Dy()))
	size := image.Pt(max(1, int(scale*float64(from.Dx()))), max(1, int(scale*float64(from.Dy()))))
	at := square.Min.Add(square.Size().Sub(size).Div(2))
	picture := sheet.SubImage(image.Rectangle{at, at.Add(size)}).(*image.RGBA)
	scaler := draw.Scaler(draw.BiLinear)
	if scale >= 1 {
		scaler = draw.NearestNeighbor
	}
	scaler.Scale(picture, picture.Rect, t.Image, from, draw.Src, nil)
	boxes(picture, t.Boxes, scale)
	for i, line := range strings.Split(t.Caption, "\n") {
		write(sheet, image.Pt(square.Min.X, square.Max.Y+i*basicfont.Face7x13.Height), cut(line, square.Dx()), color.Black)
	}
}

// Boxes draws boxes on a picture itself.
func Boxes(picture *image.RGBA, list []Box) { boxes(picture, list, 1) }

// boxes draws boxes on a picture that was scaled. A label stays within it.
func boxes(picture *image.RGBA, list []Box, scale float64) {
	for _, b := range list {
		at := func(v float64) int { return int(v*scale + 0.5) }
		outer := image.Rect(at(b.X), at(b.Y), at(b.X+b.W), at(b.Y+b.H)).Add(picture.Rect.Min)
		c := palette[((b.Class%len(palette))+len(palette))%len(palette)]
		frame(picture, outer, c)
		if b.Label != "" {
			label(picture, outer.Min, b.Label, c)
		}
	}
}

// frame draws the edges of a box, two pixels thick.
func frame(picture *image.RGBA, r image.Rectangle, c color.Color) {
	const thick = 2
	ink := image.NewUniform(c)
	for _, edge := range []image.Rectangle{
		image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+thick), image.Rect(r.Min.X, r.Max.Y-thick, r.Max.X, r.Max.Y),
		image.Rect(r.Min.X, r.Min.Y, r.Min.X+thick, r.Max.Y), image.Rect(r.Max.X-thick, r.Min.Y, r.Max.X, r.Max.Y),
	} {
		draw.Draw(picture, edge, ink, image.Point{}, draw.Src)
	}
}

// label writes the text of a box on its colour, above it where there is room.
func label(picture *image.RGBA, at image.Point, text string, c color.Color) {
	text = cut(text, picture.Rect.Dx())
	size := image.Pt(width(text), basicfont.Face7x13.Height)
	at.X = max(picture.Rect.Min.X, min(at.X, picture.Rect.Max.X-size.X))
	at.Y = max(picture.Rect.Min.Y, min(at.Y-size.Y, picture.Rect.Max.Y-size.Y))
	draw.Draw(picture, image.Rectangle{at, at.Add(size)}, image.NewUniform(c), image.Point{}, draw.Src)
	write(picture, at, text, color.White)
}

// write puts a line of text below and to the right of a point.
func write(on *image.RGBA, at image.Point, text string, c color.Color) {
	d := font.Drawer{Dst: on, Src: image.NewUniform(c), Face: basicfont.Face7x13, Dot: fixed.P(at.X, at.Y+basicfont.Face7x13.Ascent)}
	d.DrawString(text)
}

func width(text string) int { return font.MeasureString(basicfont.Face7x13, text).Ceil() }

// cut shortens a text to a width in pixels.
func cut(text string, to int) string {
	const more = "..."
	letters := []rune(text)
	fits := to / basicfont.Face7x13.Advance
	if len(letters) <= fits {
		return text
	}
	return string(letters[:max(0, fits-len(more))]) + more[:min(len(more), fits)]
}

// palette holds dark colours that are told from each other and let white letters
// be read (ColorBrewer's Set1 and Dark2, without the light ones).
var palette = []color.RGBA{
	{228, 26, 28, 255},
	{55, 126, 184, 255},
	{27, 120, 55, 255},
	{152, 78, 163, 255},
	{217, 95, 2, 255},
	{166, 86, 40, 255},
	{231, 41, 138, 255},
	{102, 102, 102, 255},
}
