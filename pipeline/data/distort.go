package data

import "github.com/nasnet-go/nasnet/tfgraph"

// Distortion is the Inception way of augmenting training images, as slim's
// inception_preprocessing.py preprocess_for_train in fast mode has it: a random
// box of 5 to 100 % of the area and an aspect of 3/4 to 4/3, resized bilinearly,
// mirrored every second time, brightness and saturation changed, pixels in -1..1.
type Distortion struct {
	Height, Width int64
	CropArea      float64     // the smallest box, as a share of the area; 0: slim's 0.05; 1: the whole image always
	Flip          bool        // mirror left to right every second time
	Colour        bool        // change brightness and saturation
	RandAugment   RandAugment // besides
	Cutout        int64       // side of a square set to the middle grey, pixels; 0: none
	Standardize   Standardize // "": Inception
}

// The random numbers of one image.
const (
	drawMirror = iota
	drawBrightness
	drawSaturation
	drawOrder
	drawCutRow
	drawCutColumn
	drawRandAugment // and as many as it takes
)

// Sites keep an image's random numbers apart.
const (
	siteBox = iota + 1
	siteMirror
	siteDraws
)

// image decodes and distorts one encoded image to [H,W,3] float32. shape is a
// JPEG's, of which the box alone is decoded; nil if it may be something else. seed
// and position decide all that is random. Small operations and passes over the
// pixels are what it costs beside decoding: there are as few as can be.
func (d Distortion) image(s *tfgraph.Scope, encoded, shape tfgraph.Tensor, seed int64, position tfgraph.Tensor) tfgraph.Tensor {
	key := func(site int64) tfgraph.Tensor {
		return tfgraph.Stack(s, 0, tfgraph.Scalarc(s, 31*seed+site), position)
	} // [2]
	x := d.crop(s, encoded, shape, key(siteBox)) // uint8 [h,w,3]
	y := s.One("ResizeBilinear", tfgraph.Attrs{"align_corners": false, "half_pixel_centers": false},
		tfgraph.ExpandDims(s, x, 0), tfgraph.Vector(s, int32(d.Height), int32(d.Width))) // [1,H,W,3] 0..255
	y = tfgraph.Reshape(s, y, d.Height, d.Width, 3)
	n := drawRandAugment + d.RandAugment.draws()
	draws := tfgraph.StatelessUniform(s, tfgraph.Vector(s, int32(n)), key(siteDraws)) // [n] in [0,1)
	draw := s.Add("Unpack", tfgraph.Attrs{"num": n}, draws).Output
	if d.Flip {
		y = tfgraph.Reshape(s, s.Case(coin(s, draw(drawMirror)), []tfgraph.Tensor{y}, same, mirrored)[0], d.Height, d.Width, 3)
	}
	if d.Colour {
		y = d.colour(s, y, draw)
	}
	y = d.RandAugment.apply(s, y, func(i int) tfgraph.Tensor { return draw(drawRandAugment + i) })
	how := d.Standardize
	if how == "" {
		how = Inception
	}
	y = tfgraph.Reshape(s, standardize(s, tfgraph.ExpandDims(s, y, 0), how), d.Height, d.Width, 3)
	if d.Cutout > 0 {
		y = tfgraph.Mul(s, y, square(s, draw(drawCutRow), draw(drawCutColumn), d.Height, d.Width, d.Cutout))
	}
	return y
}

// coin is 0 or 1 of a uniform draw, for Case.
func coin(s *tfgraph.Scope, draw tfgraph.Tensor) tfgraph.Tensor {
	return tfgraph.Cast(s, tfgraph.Less(s, draw, tfgraph.Scalarc(s, float32(0.5))), tfgraph.Int32)
}

func same(_ *tfgraph.Scope, in []tfgraph.Tensor) []tfgraph.Tensor { return in }

// mirrored turns an image [H,W,3] left to right.
func mirrored(s *tfgraph.Scope, in []tfgraph.Tensor) []tfgraph.Tensor {
	return []tfgraph.Tensor{s.One("ReverseV2", nil, in[0], tfgraph.Vector(s, int32(1)))}
}

// crop decodes a random box of an image.
func (d Distortion) crop(s *tfgraph.Scope, encoded, shape, seed tfgraph.Tensor) tfgraph.Tensor {
	if shape == (tfgraph.Tensor{}) {
		whole := decodeRGB(s, encoded)
		begin, size := d.box(s, tfgraph.ShapeOf(s, whole), seed)
		return s.One("Slice", nil, whole, begin, size)
	}
	begin, size := d.box(s, shape, seed)
	window := tfgraph.Concat(s, 0, tfgraph.Slice(s, begin, []int32{0}, []int32{2}), tfgraph.Slice(s, size, []int32{0}, []int32{2}))
	return s.One("DecodeAndCropJpeg", tfgraph.Attrs{"channels": 3}, encoded, window)
}

// box samples where to crop an image of the given shape, int32 [3]: begin and
// size, int32 [3] each.
func (d Distortion) box(s *tfgraph.Scope, shape, seed tfgraph.Tensor) (begin, size tfgraph.Tensor) {
	whole, least := tfgraph.Const(s, []float32{0, 0, 1, 1}, 1, 1, 4), d.CropArea
	if least == 0 {
		least = 0.05
	}
	if least >= 1 {
		return tfgraph.Sub(s, shape, shape), shape // zeros of the shape's type
	}
	op := s.Add("StatelessSampleDistortedBoundingBox", tfgraph.Attrs{
		"aspect_ratio_range": []float32{0.75, 1.33}, "area_range": []float32{float32(least), 1}, "max_attempts": 100, "use_image_if_no_bounding_boxes": true,
	}, shape, whole, tfgraph.Scalarc(s, float32(0.1)), seed)
	return op.Output(0), op.Output(1)
}

// colour changes brightness by up to 32/255 of the range and saturation by a
// factor of 0.5 to 1.5, in either order, and keeps the pixels in 0..255.
func (d Distortion) colour(s *tfgraph.Scope, x tfgraph.Tensor, draw func(int) tfgraph.Tensor) tfgraph.Tensor {
	const most = 32
	delta := tfgraph.Sub(s, tfgraph.Scale(s, draw(drawBrightness), 2*most), tfgraph.Scalarc(s, float32(most)))
	factor := tfgraph.Add(s, draw(drawSaturation), tfgraph.Scalarc(s, float32(0.5)))
	y := s.Case(coin(s, draw(drawOrder)), []tfgraph.Tensor{x, delta, factor}, func(s *tfgraph.Scope, in []tfgraph.Tensor) []tfgraph.Tensor {
		return []tfgraph.Tensor{tfgraph.Add(s, s.One("AdjustSaturation", nil, in[0], in[2]), in[1])}
	}, func(s *tfgraph.Scope, in []tfgraph.Tensor) []tfgraph.Tensor {
		return []tfgraph.Tensor{s.One("AdjustSaturation", nil, tfgraph.Add(s, in[0], in[1]), in[2])}
	})[0]
	return tfgraph.Reshape(s, clip(s, y), d.Height, d.Width, 3)
}

// clip keeps pixels in 0..255. ClipByValue does it in one pass, but two of vector
// instructions take half its time.
func clip(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
	return s.One("Maximum", nil, s.One("Minimum", nil, x, tfgraph.Scalarc(s, float32(255))), tfgraph.Scalarc(s, float32(0)))
}

// square is 0 in a square around a point, given as shares of the sides, else 1;
// [H,W,1]. It may hang over the border.
func square(s *tfgraph.Scope, row, column tfgraph.Tensor, h, w, side int64) tfgraph.Tensor {
	span := func(at tfgraph.Tensor, size int64) tfgraph.Tensor {
		centre := tfgraph.Cast(s, tfgraph.Scale(s, at, float32(size)), tfgraph.Int32)
		return within(s, tfgraph.Sub(s, iota32(s, size), tfgraph.Sub(s, centre, tfgraph.Scalarc(s, int32(side/2)))), side) // [1,size]
	}
	hole := tfgraph.Mul(s, tfgraph.Reshape(s, span(row, h), h, 1, 1), tfgraph.Reshape(s, span(column, w), 1, w, 1))
	return tfgraph.Sub(s, tfgraph.Scalarc(s, float32(1)), hole)
}
