package shapes

import (
	"bytes"
	"image"
	"image/color"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Every shape lies within its image, has an area that its box can hold, and
// leaves the others to be seen.
func TestScenes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(32, 600).Draw(t, "size")
		s := NewScene(rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "number"), size)
		if len(s.Shapes) < 1 || len(s.Shapes) > maxShapes {
			t.Fatalf("%d shapes", len(s.Shapes))
		}
		for i, shape := range s.Shapes {
			x, y, w, h := shape.Box()
			if x < 0 || y < 0 || x+w > float64(size) || y+h > float64(size) || w <= 0 || h <= 0 {
				t.Fatalf("box %v %v %v %v in %d pixels", x, y, w, h, size)
			}
			if a := shape.Area(); a <= 0.2*w*h || a > w*h*(1+1e-9) {
				t.Fatalf("%s of %v square pixels in a box of %v x %v", Names[shape.Class], a, w, h)
			}
			rest := Scene{Size: size, Shapes: append(append([]Shape{}, s.Shapes[:i]...), s.Shapes[i+1:]...)}
			if !rest.fits(shape) {
				t.Fatalf("shape %d hides another", i)
			}
		}
	})
}

// What is painted is what the box and the area say: the bounds of the changed
// pixels to one pixel, their number to their edge.
func TestBoxAndAreaAreThoseOfThePixels(t *testing.T) {
	const size = 200
	seen := map[int]int{}
	for number := range uint64(60) {
		for _, shape := range NewScene(3, number, size).Shapes {
			seen[shape.Class]++
			img := image.NewRGBA(image.Rect(0, 0, size, size))
			paint(img, shape.Points, color.RGBA{255, 255, 255, 255}, 1)
			var area float64
			bounds := image.Rectangle{}
			for i := range size * size {
				if a := img.Pix[4*i+3]; a > 0 {
					area += float64(a) / 255
					bounds = bounds.Union(image.Rect(i%size, i/size, i%size+1, i/size+1))
				}
			}
			x, y, w, h := shape.Box()
			for _, d := range []float64{float64(bounds.Min.X) - x, float64(bounds.Min.Y) - y, float64(bounds.Max.X) - x - w, float64(bounds.Max.Y) - y - h} {
				if math.Abs(d) > 1.01 {
					t.Errorf("%s: pixels %v, box %v %v %v %v", Names[shape.Class], bounds, x, y, w, h)
				}
			}
			if math.Abs(area-shape.Area()) > 0.02*shape.Area() {
				t.Errorf("%s: %v square pixels painted, %v said", Names[shape.Class], area, shape.Area())
			}
		}
	}
	if len(seen) != len(Names) {
		t.Errorf("classes %v", seen)
	}
}

// A scene gives the same pixels every time; another number, another photograph
// or none give others. A photograph of one pixel will do.
func TestDrawIsAFunctionOfItsSeed(t *testing.T) {
	photo := image.NewGray(image.Rect(5, 7, 6, 8))
	photo.SetGray(5, 7, color.Gray{200})
	draw := func(seed, number uint64, photo image.Image) []byte { return NewScene(seed, number, 48).Draw(photo).Pix }
	if !bytes.Equal(draw(1, 2, nil), draw(1, 2, nil)) || !bytes.Equal(draw(1, 2, photo), draw(1, 2, photo)) {
		t.Error("the same scene, other pixels")
	}
	for i, other := range [][]byte{draw(1, 3, nil), draw(2, 2, nil), draw(1, 2, photo)} {
		if bytes.Equal(draw(1, 2, nil), other) {
			t.Errorf("case %d: another scene, the same pixels", i)
		}
	}
}

// A shape is told from what it covers: its middle differs from the background.
func TestShapesAreVisible(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range grey.Pix {
		grey.Pix[i] = 128
	}
	for number := range uint64(40) {
		s := NewScene(9, number, 64)
		s.Shapes = s.Shapes[:1]
		x, y, w, h := s.Shapes[0].Box()
		mid := image.Pt(int(x+w/2), int(y+h/2))
		inside := average(s.Draw(grey), image.Rect(mid.X-1, mid.Y-1, mid.X+2, mid.Y+2))
		if d := distance(inside, color.RGBA{128, 128, 128, 255}); d < 0.6*clearest*contrast {
			t.Errorf("%d: %s differs from its background by %.0f", number, Names[s.Shapes[0].Class], d)
		}
	}
}
