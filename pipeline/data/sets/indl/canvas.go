package indl

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"golang.org/x/image/vector"
)

// point is a place on the canvas, in pixels from the top left corner.
type point struct{ x, y float64 }

func (p point) add(q point) point     { return point{p.x + q.x, p.y + q.y} }
func (p point) scale(f float64) point { return point{p.x * f, p.y * f} }
func direction(degrees float64) point {
	s, c := math.Sincos(degrees * math.Pi / 180)
	return point{c, s}
}

func (p point) towards(q point) point {
	return q.add(p.scale(-1)).scale(1 / math.Hypot(q.x-p.x, q.y-p.y))
}
func middle(size int) point { return point{float64(size) / 2, float64(size) / 2} }
func (p point) turned(degrees float64) point {
	d := direction(degrees)
	return point{p.x*d.x - p.y*d.y, p.x*d.y + p.y*d.x}
}

// stroke is a line from point to point.
type stroke struct {
	points []point
	width  float64 // pixels
	ink    color.NRGBA
}

// paint draws strokes on white, in their order, with smooth edges. Neighbours of
// one colour are filled at once.
func paint(size int, strokes []stroke) *image.NRGBA {
	im := image.NewNRGBA(image.Rect(0, 0, size, size))
	draw.Draw(im, im.Bounds(), image.White, image.Point{}, draw.Src)
	r := vector.NewRasterizer(size, size)
	for k, s := range strokes {
		for i := 1; i < len(s.points); i++ {
			segment(r, s.points[i-1], s.points[i], s.width/2)
		}
		if k+1 == len(strokes) || strokes[k+1].ink != s.ink {
			r.Draw(im, im.Bounds(), image.NewUniform(s.ink), image.Point{})
			r.Reset(size, size)
		}
	}
	return im
}

// offset moves lines off the pixels' edges: one on an edge would cover half of
// the pixels on both sides, and where that ends in one bit is chance.
var offset = point{0.25, 0.25}

// segment adds a rectangle around a piece of a line, a little longer than it, so
// that the pieces of a curve leave no gaps.
func segment(r *vector.Rasterizer, a, b point, half float64) {
	along := a.towards(b)
	across := along.turned(90).scale(half)
	a, b = a.add(along.scale(-half/2)).add(offset), b.add(along.scale(half/2)).add(offset)
	corners := []point{a.add(across), b.add(across), b.add(across.scale(-1)), a.add(across.scale(-1))}
	for i, c := range corners {
		if i == 0 {
			r.MoveTo(float32(c.x), float32(c.y))
			continue
		}
		r.LineTo(float32(c.x), float32(c.y))
	}
	r.ClosePath()
}

// oneBit makes a picture black and white: black is what is more than half
// covered.
func oneBit(im *image.NRGBA) *image.Paletted {
	out := image.NewPaletted(im.Bounds(), color.Palette{color.Black, color.White})
	for i := range out.Pix {
		if im.Pix[4*i] >= 128 {
			out.Pix[i] = 1
		}
	}
	return out
}
