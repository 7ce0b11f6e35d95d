package data

import "github.com/nasnet-go/nasnet/tfgraph"

// Distortion is the Inception way of augmenting training images, as slim's
// inception_preprocessing.py preprocess_for_train in fast mode has it: a random
// box of 5 to 100 % of the area and an aspect of 3/4 to 4/3, resized bilinearly,
// mirrored every second time, brightness and saturation changed, pixels in -1..1.
type Distortion struct {
	Height, Width int64
	Colour        bool // change brightness and saturation
}

// Sites keep the random numbers of one image apart.
const (
	siteBox = iota + 1
	siteMirror
	siteBrightness
	siteSaturation
	siteOrder
)

// image decodes and distorts one encoded image to [H,W,3] float32. key [2] decides
// all that is random. Of a JPEG the box alone is decoded.
func (d Distortion) image(s *tfgraph.Scope, encoded, key tfgraph.Tensor, jpeg bool) tfgraph.Tensor {
	seed := func(site int64) tfgraph.Tensor {
		return tfgraph.Add(s, tfgraph.Mul(s, key, tfgraph.Vector(s, int64(31), 1)), tfgraph.Vector(s, site, 0)) // [2]
	}
	uniform := func(site int64) tfgraph.Tensor { // scalar in [0,1)
		return tfgraph.Reshape(s, tfgraph.StatelessUniform(s, tfgraph.Vector(s, int32(1)), seed(site)))
	}
	var x tfgraph.Tensor // uint8 [h,w,3]
	if jpeg {
		begin, size := d.box(s, s.One("ExtractJpegShape", nil, encoded), seed(siteBox))
		window := tfgraph.Concat(s, 0, tfgraph.Slice(s, begin, []int32{0}, []int32{2}), tfgraph.Slice(s, size, []int32{0}, []int32{2}))
		x = s.One("DecodeAndCropJpeg", tfgraph.Attrs{"channels": 3}, encoded, window)
	} else {
		whole := decodeRGB(s, encoded)
		begin, size := d.box(s, tfgraph.ShapeOf(s, whole), seed(siteBox))
		x = s.One("Slice", nil, whole, begin, size)
	}
	y := s.One("ResizeBilinear", tfgraph.Attrs{"align_corners": false, "half_pixel_centers": false},
		tfgraph.ExpandDims(s, x, 0), tfgraph.Vector(s, int32(d.Height), int32(d.Width))) // [1,H,W,3] 0..255
	y = tfgraph.Scale(s, tfgraph.Reshape(s, y, d.Height, d.Width, 3), 1.0/255)
	half := tfgraph.Scalarc(s, float32(0.5))
	mirrored := tfgraph.Less(s, tfgraph.Stack(s, 0, tfgraph.Scalarc(s, float32(1)), uniform(siteMirror), tfgraph.Scalarc(s, float32(1))), half) // [3]
	y = s.One("Reverse", nil, y, mirrored)
	if d.Colour {
		y = d.colour(s, y, uniform)
	}
	return tfgraph.Scale(s, tfgraph.Sub(s, y, half), 2)
}

// box samples where to crop an image of the given shape, int32 [3]: begin and
// size, int32 [3] each.
func (d Distortion) box(s *tfgraph.Scope, shape, seed tfgraph.Tensor) (begin, size tfgraph.Tensor) {
	whole := tfgraph.Const(s, []float32{0, 0, 1, 1}, 1, 1, 4)
	op := s.Add("StatelessSampleDistortedBoundingBox", tfgraph.Attrs{
		"aspect_ratio_range": []float32{0.75, 1.33}, "area_range": []float32{0.05, 1}, "max_attempts": 100, "use_image_if_no_bounding_boxes": true,
	}, shape, whole, tfgraph.Scalarc(s, float32(0.1)), seed)
	return op.Output(0), op.Output(1)
}

// colour changes brightness by up to 32/255 and saturation by a factor of 0.5 to
// 1.5, in either order, and keeps the pixels in 0..1.
func (d Distortion) colour(s *tfgraph.Scope, x tfgraph.Tensor, uniform func(int64) tfgraph.Tensor) tfgraph.Tensor {
	const most = 32.0 / 255
	delta := tfgraph.Sub(s, tfgraph.Scale(s, uniform(siteBrightness), 2*most), tfgraph.Scalarc(s, float32(most)))
	factor := tfgraph.Add(s, uniform(siteSaturation), tfgraph.Scalarc(s, float32(0.5)))
	zero := tfgraph.Scalarc(s, float32(0)) // saturation is the dear part: one for both orders
	first := tfgraph.Less(s, uniform(siteOrder), tfgraph.Scalarc(s, float32(0.5)))
	before, after := tfgraph.Select(s, first, delta, zero), tfgraph.Select(s, first, zero, delta)
	y := tfgraph.Add(s, s.One("AdjustSaturation", nil, tfgraph.Add(s, x, before), factor), after)
	return tfgraph.Minimum(s, tfgraph.Maximum(s, y, tfgraph.Scalarc(s, float32(0))), tfgraph.Scalarc(s, float32(1)))
}
