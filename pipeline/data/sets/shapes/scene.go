package shapes

import (
	"math"
	"math/rand/v2"
)

// Names are the classes, in the order of Shape.Class.
var Names = []string{"disc", "square", "triangle"}

// Bounds of what a scene holds.
const (
	maxShapes  = 3
	smallest   = 0.14 // diameter, as a share of the image's side
	largest    = 0.55
	stretch    = 1.35 // longest ratio of the axes
	overlap    = 0.25 // of the smaller box
	attempts   = 50   // to find a place for a shape
	discPoints = 64   // corners of a disc's polygon
)

// Point is a place in an image, in pixels from its top left corner.
type Point struct{ X, Y float64 }

// Shape is one object.
type Shape struct {
	Class  int // index into Names
	Points []Point
}

// Box returns the bounds of the shape: left, top, width and height in pixels.
func (s Shape) Box() (x, y, w, h float64) {
	x, y = math.Inf(1), math.Inf(1)
	right, bottom := math.Inf(-1), math.Inf(-1)
	for _, p := range s.Points {
		x, y, right, bottom = min(x, p.X), min(y, p.Y), max(right, p.X), max(bottom, p.Y)
	}
	return x, y, right - x, bottom - y
}

// Area returns the shape's own area in square pixels (Gauss's formula).
func (s Shape) Area() float64 {
	var twice float64
	for i, p := range s.Points {
		q := s.Points[(i+1)%len(s.Points)]
		twice += p.X*q.Y - q.X*p.Y
	}
	return math.Abs(twice) / 2
}

// Scene is what one image shows, in pixels of a square of Size x Size.
type Scene struct {
	Size   int
	Shapes []Shape
	seed   [2]uint64 // of the pixels
}

// NewScene makes the scene of a seed and a number.
func NewScene(seed, number uint64, size int) Scene {
	r := rand.New(rand.NewPCG(seed, number))
	s := Scene{Size: size, seed: [2]uint64{r.Uint64(), r.Uint64()}}
	for range 1 + r.IntN(maxShapes) {
		for range attempts {
			if shape := newShape(r, float64(size)); s.fits(shape) {
				s.Shapes = append(s.Shapes, shape)
				break
			}
		}
	}
	return s
}

// newShape draws a shape that lies within the image.
func newShape(r *rand.Rand, size float64) Shape {
	diameter := size * smallest * math.Pow(largest/smallest, r.Float64())
	ratio := math.Sqrt(math.Pow(stretch, 2*r.Float64()-1))
	angle := 2 * math.Pi * r.Float64()
	s := Shape{Class: r.IntN(len(Names))}
	corners := [...]int{discPoints, 4, 3}[s.Class]
	for i := range corners {
		a := 2 * math.Pi * float64(i) / float64(corners)
		if corners == 4 {
			a += math.Pi / 4 // so that stretching makes an oblong, not a rhombus
		}
		x, y := diameter/2*ratio*math.Cos(a), diameter/2/ratio*math.Sin(a)
		s.Points = append(s.Points, Point{x*math.Cos(angle) - y*math.Sin(angle), x*math.Sin(angle) + y*math.Cos(angle)})
	}
	left, top, w, h := s.Box()
	dx, dy := 1+r.Float64()*(size-2-w)-left, 1+r.Float64()*(size-2-h)-top
	for i := range s.Points {
		s.Points[i].X += dx
		s.Points[i].Y += dy
	}
	return s
}

// fits tells whether a shape leaves the others to be seen.
func (s Scene) fits(shape Shape) bool {
	x, y, w, h := shape.Box()
	for _, other := range s.Shapes {
		ox, oy, ow, oh := other.Box()
		common := max(0, min(x+w, ox+ow)-max(x, ox)) * max(0, min(y+h, oy+oh)-max(y, oy))
		if common > overlap*min(w*h, ow*oh) {
			return false
		}
	}
	return true
}
