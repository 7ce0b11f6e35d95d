package contactsheet

import (
	"image"
	"image/color"
)

// Stretched is a picture of what a network gets, float32 [H,W,3] row-major: its
// values are stretched to the full range, as their zero and scale are not known.
func Stretched(pixels []float32, width int) image.Image {
	low, high := pixels[0], pixels[0]
	for _, p := range pixels {
		low, high = min(low, p), max(high, p)
	}
	scale := 255 / max(high-low, 1e-6)
	im := image.NewNRGBA(image.Rect(0, 0, width, len(pixels)/3/width))
	for i := 0; i < len(pixels)/3; i++ {
		c := func(k int) uint8 { return uint8((pixels[3*i+k] - low) * scale) }
		im.SetNRGBA(i%width, i/width, color.NRGBA{c(0), c(1), c(2), 255})
	}
	return im
}
