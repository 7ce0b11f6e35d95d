package data

import (
	"math"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// gated is an encoded image, a string scalar, or the empty string in place of one
// that declares more pixels than allowed: decoding it then fails before memory is
// taken. The shape of a JPEG, int32 [3], comes along; it is nil where an image may
// be something else.
func gated(s *tfgraph.Scope, encoded tfgraph.Tensor, isJPEG bool, most int64) (kept, shape tfgraph.Tensor) {
	s = s.Sub("gate")
	var pixels tfgraph.Tensor
	if isJPEG {
		shape = s.One("ExtractJpegShape", nil, encoded)
		sides := tfgraph.Cast(s, tfgraph.Slice(s, shape, []int32{0}, []int32{2}), tfgraph.Float32)
		pixels = s.One("Prod", nil, sides, tfgraph.Vector(s, int32(0)))
	} else {
		pixels = declaredPixels(s, encoded)
	}
	fits := tfgraph.GreaterEqual(s, tfgraph.Scalarc(s, float32(most)), pixels)
	return tfgraph.Select(s, fits, encoded, tfgraph.StringConst(s, "")), shape
}

// headBytes is as much of an image as its sizes stand in, but for JPEG.
const headBytes = 26

// declaredPixels is what an image's header says, a float32 scalar: those of PNG,
// GIF and BMP stand at fixed bytes, TensorFlow finds a JPEG's.
func declaredPixels(s *tfgraph.Scope, encoded tfgraph.Tensor) tfgraph.Tensor {
	zero := tfgraph.Scalarc(s, int32(0))
	head := s.One("Substr", nil, encoded, zero, tfgraph.Scalarc(s, int32(headBytes)))
	head = s.One("DecodePaddedRaw", tfgraph.Attrs{"out_type": tfgraph.Uint8}, head, tfgraph.Scalarc(s, int32(headBytes))) // [26]
	bytes := tfgraph.ExpandDims(s, tfgraph.Cast(s, head, tfgraph.Float32), 0)                                             // [1,26]
	product := func(height, width []int) tfgraph.Tensor {                                                                 // of two numbers; places of their bytes, least significant first
		both := make([]float32, 2*headBytes) // [26,2]
		for side, places := range [][]int{height, width} {
			for power, at := range places {
				both[2*at+side] = float32(math.Pow(256, float64(power)))
			}
		}
		return s.One("Prod", nil, tfgraph.MatMul(s, bytes, tfgraph.Const(s, both, headBytes, 2)), tfgraph.Vector(s, int32(0), 1))
	}
	begins := func(c byte) tfgraph.Tensor { // scalar
		return tfgraph.Equal(s, tfgraph.Reshape(s, tfgraph.Slice(s, head, []int32{0}, []int32{1})), tfgraph.Scalarc(s, c))
	}
	jpeg := s.One("ExtractJpegShape", nil, tfgraph.Select(s, begins(0xff), encoded, tfgraph.StringConst(s, smallestJPEG))) // [3]
	sides := tfgraph.Cast(s, tfgraph.Slice(s, jpeg, []int32{0}, []int32{2}), tfgraph.Float32)
	pixels := s.One("Prod", nil, sides, tfgraph.Vector(s, int32(0)))
	pixels = tfgraph.Select(s, begins(0x89), product([]int{23, 22, 21, 20}, []int{19, 18, 17, 16}), pixels)
	pixels = tfgraph.Select(s, begins('G'), product([]int{8, 9}, []int{6, 7}), pixels)
	return tfgraph.Select(s, begins('B'), product([]int{22, 23}, []int{18, 19}), pixels)
}

// smallestJPEG is one grey pixel, as far as its size is concerned: what
// ExtractJpegShape is given in place of another format.
const smallestJPEG = "\xff\xd8\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x00\xff\xd9"
