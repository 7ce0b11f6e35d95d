package shapes

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"golang.org/x/image/draw"
	"golang.org/x/image/vector"
)

const (
	contrast  = 70  // least distance of a shape's colour to the mean behind it, in 8-bit RGB
	clearest  = 0.7 // least opacity
	grain     = 5   // standard deviation of the noise over all, in 8-bit steps
	leastCrop = 0.4 // of a photograph's shorter side
)

// Draw returns the scene's image. A photograph, if there is one, is cropped to be
// its background; else one is made up.
func (s Scene) Draw(photo image.Image) *image.RGBA {
	r := rand.New(rand.NewPCG(s.seed[0], s.seed[1]))
	img := image.NewRGBA(image.Rect(0, 0, s.Size, s.Size))
	if photo != nil {
		crop(r, img, photo)
	} else {
		makeUp(r, img)
	}
	for _, shape := range s.Shapes {
		fill(r, img, shape)
	}
	for i := range img.Pix {
		if i%4 != 3 {
			img.Pix[i] = clamp(float64(img.Pix[i]) + grain*r.NormFloat64())
		}
	}
	return img
}

func clamp(v float64) uint8 { return uint8(min(max(v+0.5, 0), 255)) }

// crop scales a square of a photograph to the image.
func crop(r *rand.Rand, img *image.RGBA, photo image.Image) {
	b := photo.Bounds()
	side := max(1, int(float64(min(b.Dx(), b.Dy()))*(leastCrop+(1-leastCrop)*r.Float64())))
	at := image.Pt(b.Min.X+r.IntN(b.Dx()-side+1), b.Min.Y+r.IntN(b.Dy()-side+1))
	draw.BiLinear.Scale(img, img.Bounds(), photo, image.Rectangle{at, at.Add(image.Pt(side, side))}, draw.Src, nil)
}

// makeUp paints waves of several lengths and directions between two colours, and
// bars over them.
func makeUp(r *rand.Rand, img *image.RGBA) {
	type wave struct{ x, y, phase, height float64 }
	var waves []wave
	for i := range 8 {
		angle, length := 2*math.Pi*r.Float64(), float64(img.Rect.Dx())*math.Pow(0.75, float64(i))
		waves = append(waves, wave{2 * math.Pi * math.Cos(angle) / length, 2 * math.Pi * math.Sin(angle) / length, 2 * math.Pi * r.Float64(), math.Pow(0.8, float64(i))})
	}
	from, to := randomColor(r), randomColor(r)
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			var sum float64
			for _, w := range waves {
				sum += w.height * math.Sin(w.x*float64(x)+w.y*float64(y)+w.phase)
			}
			img.SetRGBA(x, y, mix(from, to, 0.5+0.5*math.Tanh(sum)))
		}
	}
	size := float64(img.Rect.Dx())
	for range r.IntN(5) {
		a, b := Point{size * r.Float64(), size * r.Float64()}, Point{size * r.Float64(), size * r.Float64()}
		w := 1 + 3*r.Float64()
		paint(img, []Point{a, {a.X + w, a.Y + w}, {b.X + w, b.Y + w}, b}, randomColor(r), 1)
	}
}

func randomColor(r *rand.Rand) color.RGBA {
	return color.RGBA{uint8(r.IntN(256)), uint8(r.IntN(256)), uint8(r.IntN(256)), 255}
}

func mix(a, b color.RGBA, share float64) color.RGBA {
	at := func(a, b uint8) uint8 { return clamp(float64(a) + share*(float64(b)-float64(a))) }
	return color.RGBA{at(a.R, b.R), at(a.G, b.G), at(a.B, b.B), 255}
}

// fill paints a shape in a colour that is told from what it covers.
func fill(r *rand.Rand, img *image.RGBA, s Shape) {
	x, y, w, h := s.Box()
	behind := average(img, image.Rect(int(x), int(y), int(x+w)+1, int(y+h)+1))
	c := randomColor(r)
	for distance(c, behind) < contrast {
		c = randomColor(r)
	}
	paint(img, s.Points, c, clearest+(1-clearest)*r.Float64())
}

// paint fills a polygon, its edges smoothed.
func paint(img *image.RGBA, points []Point, c color.RGBA, opacity float64) {
	z := vector.NewRasterizer(img.Rect.Dx(), img.Rect.Dy())
	z.MoveTo(float32(points[0].X), float32(points[0].Y))
	for _, p := range points[1:] {
		z.LineTo(float32(p.X), float32(p.Y))
	}
	z.ClosePath()
	z.Draw(img, img.Bounds(), image.NewUniform(color.NRGBA{c.R, c.G, c.B, clamp(255 * opacity)}), image.Point{})
}

// average returns the mean colour of a part of the image.
func average(img *image.RGBA, part image.Rectangle) color.RGBA {
	part = part.Intersect(img.Rect)
	var sum [3]int
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			c := img.RGBAAt(x, y)
			sum[0], sum[1], sum[2] = sum[0]+int(c.R), sum[1]+int(c.G), sum[2]+int(c.B)
		}
	}
	n := max(1, part.Dx()*part.Dy())
	return color.RGBA{uint8(sum[0] / n), uint8(sum[1] / n), uint8(sum[2] / n), 255}
}

func distance(a, b color.RGBA) float64 {
	square := func(a, b uint8) float64 { d := float64(a) - float64(b); return d * d }
	return math.Sqrt(square(a.R, b.R) + square(a.G, b.G) + square(a.B, b.B))
}
