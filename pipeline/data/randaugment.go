package data

import (
	"math"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// RandAugment changes an image by operations drawn at random, all of one strength
// (Cubuk et al., arXiv 1909.13719). The operations and their strengths are those
// of torchvision's RandAugment. The zero value changes nothing.
type RandAugment struct {
	Layers    int     // operations one after another; the paper's N, 2 for ImageNet
	Magnitude float64 // strength, 0 to 10; the paper's M, 9 for ImageNet
}

// randOperation changes pixels, float32 [H,W,3] of whole numbers 0..255. m is the
// strength, 0 to 1; sign a float32 scalar, 1 or -1.
type randOperation func(s *tfgraph.Scope, x, sign tfgraph.Tensor, m float64) tfgraph.Tensor

// randOperations are the paper's fourteen, in torchvision's order.
var randOperations = []randOperation{
	func(_ *tfgraph.Scope, x, _ tfgraph.Tensor, _ float64) tfgraph.Tensor { return x },
	shearX, shearY, translateX, translateY, rotate,
	brightness, saturation, contrast, sharpness,
	posterize, solarize, autoContrast, equalize,
}

// draws is how many random numbers an image takes.
func (r RandAugment) draws() int { return 2 * r.Layers }

// apply changes x, float32 [H,W,3] in 0..255. draw gives uniform scalars.
func (r RandAugment) apply(s *tfgraph.Scope, x tfgraph.Tensor, draw func(int) tfgraph.Tensor) tfgraph.Tensor {
	if r.Layers == 0 {
		return x
	}
	if r.Layers < 0 || r.Magnitude < 0 || r.Magnitude > 10 {
		return s.Fail("RandAugment of %d layers and magnitude %g; want 1 or more, and 0 to 10", r.Layers, r.Magnitude)
	}
	branches := make([]tfgraph.Branch, len(randOperations))
	for i, operation := range randOperations {
		branches[i] = func(s *tfgraph.Scope, args []tfgraph.Tensor) []tfgraph.Tensor {
			return []tfgraph.Tensor{operation(s, args[0], args[1], r.Magnitude/10)}
		}
	}
	half := tfgraph.Scalarc(s, float32(0.5))
	x = whole(s, tfgraph.Add(s, x, half))
	for layer := range r.Layers {
		s := s.Sub("randaugment%d", layer)
		which := tfgraph.Cast(s, tfgraph.Scale(s, draw(2*layer), float32(len(randOperations))), tfgraph.Int32)
		sign := s.One("Sign", nil, tfgraph.Sub(s, half, draw(2*layer+1)))
		x = tfgraph.Reshape(s, s.Case(which, []tfgraph.Tensor{x, sign}, branches...)[0], x.Shape()...)
	}
	return x
}

// whole rounds down to 0..255, as a picture of bytes is written.
func whole(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor { return s.One("Floor", nil, clip(s, x)) }

// affine takes the pixel at (x, y) from (a·x + b·y + c, d·x + e·y + f), the
// nearest, counted from pixel centres; black beyond the border. m has [6] scalars.
func affine(s *tfgraph.Scope, x tfgraph.Tensor, m [6]tfgraph.Tensor) tfgraph.Tensor {
	half := func(t tfgraph.Tensor) tfgraph.Tensor { return tfgraph.Scale(s, t, 0.5) }
	centred := func(a, b, c tfgraph.Tensor) tfgraph.Tensor { // the operation counts from corners
		return tfgraph.Sub(s, tfgraph.Add(s, c, tfgraph.Add(s, half(a), half(b))), tfgraph.Scalarc(s, float32(0.5)))
	}
	zero := tfgraph.Scalarc(s, float32(0))
	all := tfgraph.Stack(s, 0, m[0], m[1], centred(m[0], m[1], m[2]), m[3], m[4], centred(m[3], m[4], m[5]), zero, zero) // [8]
	y := s.One("ImageProjectiveTransformV3", tfgraph.Attrs{"interpolation": "NEAREST", "fill_mode": "CONSTANT"},
		tfgraph.ExpandDims(s, x, 0), tfgraph.ExpandDims(s, all, 0), tfgraph.Vector(s, int32(x.Dim(0)), int32(x.Dim(1))), zero)
	return tfgraph.Reshape(s, y, x.Shape()...)
}

// moved is affine's matrix with one entry set.
func moved(s *tfgraph.Scope, entry int, value tfgraph.Tensor) [6]tfgraph.Tensor {
	one, zero := tfgraph.Scalarc(s, float32(1)), tfgraph.Scalarc(s, float32(0))
	m := [6]tfgraph.Tensor{one, zero, zero, zero, one, zero}
	m[entry] = value
	return m
}

func shearX(s *tfgraph.Scope, x, sign tfgraph.Tensor, m float64) tfgraph.Tensor {
	return affine(s, x, moved(s, 1, tfgraph.Scale(s, sign, float32(0.3*m))))
}

func shearY(s *tfgraph.Scope, x, sign tfgraph.Tensor, m float64) tfgraph.Tensor {
	return affine(s, x, moved(s, 3, tfgraph.Scale(s, sign, float32(0.3*m))))
}

// furthest is the greatest shift, as a share of the side: 150 of AutoAugment's 331
// pixels.
const furthest = 150.0 / 331

func translateX(s *tfgraph.Scope, x, sign tfgraph.Tensor, m float64) tfgraph.Tensor {
	return affine(s, x, moved(s, 2, tfgraph.Scale(s, sign, -float32(math.Floor(furthest*m*float64(x.Dim(1)))))))
}

func translateY(s *tfgraph.Scope, x, sign tfgraph.Tensor, m float64) tfgraph.Tensor {
	return affine(s, x, moved(s, 5, tfgraph.Scale(s, sign, -float32(math.Floor(furthest*m*float64(x.Dim(0)))))))
}

// rotate turns about the centre by up to 30 degrees.
func rotate(s *tfgraph.Scope, x, sign tfgraph.Tensor, m float64) tfgraph.Tensor {
	angle := 30 * m * math.Pi / 180
	cos, sin := tfgraph.Scalarc(s, float32(math.Cos(angle))), tfgraph.Scale(s, sign, -float32(math.Sin(angle)))
	cx, cy := float32(x.Dim(1))/2, float32(x.Dim(0))/2
	fixed := func(centre, a, b float32, p, q tfgraph.Tensor) tfgraph.Tensor { // centre - a·p - b·q
		return tfgraph.Sub(s, tfgraph.Scalarc(s, centre), tfgraph.Add(s, tfgraph.Scale(s, p, a), tfgraph.Scale(s, q, b)))
	}
	minus := tfgraph.Scale(s, sin, -1)
	return affine(s, x, [6]tfgraph.Tensor{cos, sin, fixed(cx, cx, cy, cos, sin), minus, cos, fixed(cy, cx, cy, minus, cos)})
}

// blend goes from one picture past another: to + factor·(x - to), factor between
// 0.1 and 1.9.
func blend(s *tfgraph.Scope, x, to, sign tfgraph.Tensor, m float64) tfgraph.Tensor {
	factor := tfgraph.Add(s, tfgraph.Scalarc(s, float32(1)), tfgraph.Scale(s, sign, float32(0.9*m)))
	return whole(s, tfgraph.Add(s, to, tfgraph.Mul(s, tfgraph.Sub(s, x, to), factor)))
}

// luma is a picture's brightness, [H,W,1], of ITU-R 601-2 in whole numbers.
func luma(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
	weighted := tfgraph.Mul(s, x, tfgraph.Vector(s, float32(19595.0/65536), 38470.0/65536, 7471.0/65536))
	return s.One("Floor", nil, tfgraph.Add(s, tfgraph.ExpandDims(s, tfgraph.ReduceSum(s, weighted, 2), 2), tfgraph.Scalarc(s, float32(0.5))))
}

func brightness(s *tfgraph.Scope, x, sign tfgraph.Tensor, m float64) tfgraph.Tensor {
	return blend(s, x, tfgraph.Scalarc(s, float32(0)), sign, m)
}

func saturation(s *tfgraph.Scope, x, sign tfgraph.Tensor, m float64) tfgraph.Tensor {
	return blend(s, x, luma(s, x), sign, m)
}

func contrast(s *tfgraph.Scope, x, sign tfgraph.Tensor, m float64) tfgraph.Tensor {
	mean := tfgraph.Mean(s, luma(s, x), 0, 1, 2)
	return blend(s, x, s.One("Floor", nil, tfgraph.Add(s, mean, tfgraph.Scalarc(s, float32(0.5)))), sign, m)
}

// sharpness goes from a picture smoothed by 3x3 pixels, but for its border.
func sharpness(s *tfgraph.Scope, x, sign tfgraph.Tensor, m float64) tfgraph.Tensor {
	if x.Dim(0) < 3 || x.Dim(1) < 3 {
		return x
	}
	kernel := make([]float32, 0, 27) // [3,3,3,1]
	for at := range 9 {
		weight := float32(1.0 / 13)
		if at == 4 {
			weight = 5.0 / 13
		}
		kernel = append(kernel, weight, weight, weight)
	}
	smooth := s.One("DepthwiseConv2dNative", tfgraph.Attrs{"strides": []int64{1, 1, 1, 1}, "padding": "VALID"},
		tfgraph.ExpandDims(s, x, 0), tfgraph.Const(s, kernel, 3, 3, 3, 1))
	smooth = tfgraph.Reshape(s, s.One("Floor", nil, tfgraph.Add(s, smooth, tfgraph.Scalarc(s, float32(0.5)))), x.Dim(0)-2, x.Dim(1)-2, 3)
	ring := tfgraph.Const(s, []int32{1, 1, 1, 1, 0, 0}, 3, 2)
	inner := s.One("Pad", nil, s.One("OnesLike", nil, smooth), ring) // 1 inside, 0 on the border
	to := tfgraph.Select(s, tfgraph.Less(s, tfgraph.Scalarc(s, float32(0)), inner), s.One("Pad", nil, smooth, ring), x)
	return blend(s, x, to, sign, m)
}

// posterize keeps 8 to 4 bits of each value.
func posterize(s *tfgraph.Scope, x, _ tfgraph.Tensor, m float64) tfgraph.Tensor {
	step := float32(math.Exp2(math.Round(4 * m)))
	return tfgraph.Scale(s, s.One("Floor", nil, tfgraph.Scale(s, x, 1/step)), step)
}

// solarize turns values from a threshold on into their opposite.
func solarize(s *tfgraph.Scope, x, _ tfgraph.Tensor, m float64) tfgraph.Tensor {
	below := tfgraph.Less(s, x, tfgraph.Scalarc(s, float32(255*(1-m))))
	return tfgraph.Select(s, below, x, tfgraph.Sub(s, tfgraph.Scalarc(s, float32(255)), x))
}

// autoContrast stretches each channel to 0..255.
func autoContrast(s *tfgraph.Scope, x, _ tfgraph.Tensor, _ float64) tfgraph.Tensor {
	sides := tfgraph.Vector(s, int32(0), 1)
	least, most := s.One("Min", nil, x, sides), s.One("Max", nil, x, sides) // [3]
	span := tfgraph.Sub(s, most, least)
	stretched := tfgraph.Div(s, tfgraph.Scale(s, tfgraph.Sub(s, x, least), 255), tfgraph.Maximum(s, span, tfgraph.Scalarc(s, float32(1))))
	return tfgraph.Select(s, tfgraph.Less(s, tfgraph.Scalarc(s, float32(0)), span), whole(s, stretched), x)
}

// equalize spreads each channel's values evenly, as PIL's ImageOps does: a value's
// share of the smaller ones, in steps of a 255th of all but the greatest.
func equalize(s *tfgraph.Scope, x, _ tfgraph.Tensor, _ float64) tfgraph.Tensor {
	values := tfgraph.Reshape(s, tfgraph.Cast(s, x, tfgraph.Int32), -1, 3) // [P,3]
	channel := func(c int32) tfgraph.Tensor {
		v := tfgraph.Reshape(s, tfgraph.Slice(s, values, []int32{0, c}, []int32{-1, 1}), -1)                // [P]
		counts := s.One("Bincount", nil, v, tfgraph.Scalarc(s, int32(256)), tfgraph.Const(s, []int32{}, 0)) // [256]
		before := s.One("Cumsum", tfgraph.Attrs{"exclusive": true}, counts, tfgraph.Scalarc(s, int32(0)))   // [256]
		top := s.One("Max", nil, v, tfgraph.Vector(s, int32(0)))                                            // scalar
		step := tfgraph.FloorDiv(s, tfgraph.Gather(s, before, top), tfgraph.Scalarc(s, int32(255)))         // of all but the greatest
		one := tfgraph.Scalarc(s, int32(1))
		spread := tfgraph.FloorDiv(s, tfgraph.Add(s, before, tfgraph.FloorDiv(s, step, tfgraph.Scalarc(s, int32(2)))), tfgraph.Maximum(s, step, one))
		same := tfgraph.Reshape(s, iota32(s, 256), 256)
		table := tfgraph.Select(s, tfgraph.Less(s, step, one), same, tfgraph.Minimum(s, spread, tfgraph.Scalarc(s, int32(255))))
		return tfgraph.Gather(s, table, v) // [P]
	}
	y := tfgraph.Stack(s, 1, channel(0), channel(1), channel(2)) // [P,3]
	return tfgraph.Cast(s, tfgraph.Reshape(s, y, x.Shape()...), tfgraph.Float32)
}
