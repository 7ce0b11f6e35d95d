package data

import (
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tfdata"
)

// Preparation says how an encoded image becomes a network's input in
// evaluation and serving.
type Preparation struct {
	Height, Width int64
	Standardize   Standardize
	// Crop is the share of each side that a central crop keeps; 0 or 1: all.
	Crop float64
	// Legacy resizes by TensorFlow 1's bilinear kernel: corners not aligned,
	// pixel centres not at the half, no antialiasing. slim's networks were
	// trained and measured with it. Otherwise bilinear with antialiasing.
	Legacy bool
	// Crops above 1 asks for so many views of an image: 5 are the central crop and
	// those at the corners, 10 these and their mirror images; of 0.875 a side where
	// Crop keeps all.
	Crops int64
}

// InceptionEval is slim's preprocessing for evaluation (preprocessing/
// inception_preprocessing.py preprocess_for_eval): the central 0.875 of each
// side, TensorFlow 1's bilinear kernel, pixels in -1..1.
func InceptionEval(h, w int64) Preparation {
	return Preparation{Height: h, Width: w, Standardize: Inception, Crop: 0.875, Legacy: true}
}

// Decode turns encoded images (JPEG, PNG, GIF, BMP), string [N], into prepared
// pictures [N,H,W,3] inside the graph. They are decoded in parallel: the batch
// runs through a small dataset of its own.
func Decode(s *tfgraph.Scope, encoded tfgraph.Tensor, p Preparation) tfgraph.Tensor {
	one := func(s *tfgraph.Scope, element, _ []tfgraph.Tensor) []tfgraph.Tensor {
		return []tfgraph.Tensor{p.image(s, decodeRGB(s, element[0]))}
	}
	d := tfdata.Slices(s, encoded).Map(s, tfdata.Autotune, nil, one).Batch(s, 1<<20, false)
	x := tfgraph.Reshape(s, d.Single(s)[0], -1, p.Height, p.Width, 3) // [N,H,W,3] float32, 0..255
	return standardize(s, x, p.Standardize)
}

// ExampleImages takes the encoded images out of serialized tf.train.Examples,
// string [N], by their key. An Example without it is an error of the run.
func ExampleImages(s *tfgraph.Scope, examples tfgraph.Tensor, key string) tfgraph.Tensor {
	none := tfgraph.StringsConst(s, []string{})
	op := s.Add("ParseExampleV2", tfgraph.Attrs{
		"num_sparse": 0, "sparse_types": []tfgraph.DataType{}, "ragged_value_types": []tfgraph.DataType{}, "ragged_split_types": []tfgraph.DataType{},
		"Tdense": []tfgraph.DataType{tfgraph.String}, "dense_shapes": []tfgraph.Shape{{}},
	}, examples, none, none, tfgraph.StringsConst(s, []string{key}), none, []tfgraph.Tensor{none})
	return op.Output(0) // [N]
}

// Prepare is Decode for pictures that are decoded already, uint8 [N,h,w,3] of one
// size, without a crop and by TensorFlow 1's bilinear kernel.
func (p Preparation) Prepare(s *tfgraph.Scope, pictures tfgraph.Tensor) tfgraph.Tensor {
	if !p.Legacy || p.Crop != 0 && p.Crop != 1 {
		return s.Fail("pictures of a batch are resized as a whole by the legacy kernel alone")
	}
	x := legacyResize(s, pictures, p.Height, p.Width)
	return standardize(s, tfgraph.Reshape(s, x, -1, p.Height, p.Width, 3), p.Standardize)
}

// decodeRGB decodes one image to uint8 [·,·,3].
func decodeRGB(s *tfgraph.Scope, encoded tfgraph.Tensor) tfgraph.Tensor {
	return s.One("DecodeImage", tfgraph.Attrs{"channels": 3, "dtype": tfgraph.Uint8, "expand_animations": false}, encoded)
}

// image crops and resizes one picture, uint8 [·,·,3], to float32 [H,W,3] in
// 0..255.
func (p Preparation) image(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
	if p.Crop < 0 || p.Crop > 1 {
		return s.Fail("a central crop of %g of each side; want 0 to 1", p.Crop)
	}
	if p.Crop > 0 && p.Crop < 1 {
		x = centralCrop(s, x, p.Crop)
	}
	if !p.Legacy {
		return resize(s, x, p.Height, p.Width)
	}
	return tfgraph.Reshape(s, legacyResize(s, tfgraph.ExpandDims(s, x, 0), p.Height, p.Width), p.Height, p.Width, 3)
}

// legacyResize scales pictures of one size, [N,·,·,3], by TensorFlow 1's bilinear
// kernel to [N,H,W,3] float32.
func legacyResize(s *tfgraph.Scope, x tfgraph.Tensor, h, w int64) tfgraph.Tensor {
	attrs := tfgraph.Attrs{"align_corners": false, "half_pixel_centers": false}
	return s.One("ResizeBilinear", attrs, tfgraph.Cast(s, x, tfgraph.Float32), tfgraph.Vector(s, int32(h), int32(w)))
}

// prepared brings one picture, uint8 [·,·,3], to [H,W,3] float32, or to
// [Crops,H,W,3] of several crops.
func (p Preparation) prepared(s *tfgraph.Scope, x tfgraph.Tensor) tfgraph.Tensor {
	if p.Crops <= 1 {
		return tfgraph.Reshape(s, standardize(s, tfgraph.ExpandDims(s, p.image(s, x), 0), p.Standardize), p.Height, p.Width, 3)
	}
	if p.Crops != 5 && p.Crops != 10 {
		return s.Fail("%d crops of an image; want 1, 5 or 10", p.Crops)
	}
	if p.Crop == 0 || p.Crop == 1 {
		p.Crop = 0.875
	}
	whole := p
	whole.Crop = 0
	views := []tfgraph.Tensor{p.image(s, x)}
	for corner := range 4 {
		views = append(views, whole.image(s, cornerCrop(s, x, p.Crop, corner)))
	}
	y := standardize(s, tfgraph.Stack(s, 0, views...), p.Standardize) // [5,H,W,3]
	if p.Crops == 10 {
		y = tfgraph.Concat(s, 0, y, s.One("ReverseV2", nil, y, tfgraph.Vector(s, int32(2)))) // [10,H,W,3]
	}
	return y
}

// cornerCrop keeps a share of each side at a corner: 0 to 3, row by row.
func cornerCrop(s *tfgraph.Scope, x tfgraph.Tensor, share float64, corner int) tfgraph.Tensor {
	size := tfgraph.Cast(s, tfgraph.Slice(s, tfgraph.ShapeOf(s, x), []int32{0}, []int32{2}), tfgraph.Float64) // [2]
	kept := tfgraph.Cast(s, tfgraph.Mul(s, size, tfgraph.Scalarc(s, share)), tfgraph.Int32)
	rest := tfgraph.Sub(s, tfgraph.Cast(s, size, tfgraph.Int32), kept)
	begin := tfgraph.Mul(s, rest, tfgraph.Vector(s, int32(corner/2), int32(corner%2)))
	return s.One("Slice", nil, x, tfgraph.Concat(s, 0, begin, tfgraph.Vector(s, int32(0))), tfgraph.Concat(s, 0, kept, tfgraph.Vector(s, int32(-1))))
}

// centralCrop keeps the middle of a picture as tf.image.central_crop does: it
// begins at (size - size*share)/2, rounded down, and ends as far from the end.
func centralCrop(s *tfgraph.Scope, x tfgraph.Tensor, share float64) tfgraph.Tensor {
	size := tfgraph.Cast(s, tfgraph.Slice(s, tfgraph.ShapeOf(s, x), []int32{0}, []int32{2}), tfgraph.Float64) // [2]
	kept := tfgraph.Mul(s, size, tfgraph.Scalarc(s, share))
	begin := tfgraph.Cast(s, tfgraph.Div(s, tfgraph.Sub(s, size, kept), tfgraph.Scalarc(s, 2.0)), tfgraph.Int32)
	length := tfgraph.Sub(s, tfgraph.Cast(s, size, tfgraph.Int32), tfgraph.Mul(s, begin, tfgraph.Scalarc(s, int32(2))))
	zero, all := tfgraph.Vector(s, int32(0)), tfgraph.Vector(s, int32(-1))
	return s.One("Slice", nil, x, tfgraph.Concat(s, 0, begin, zero), tfgraph.Concat(s, 0, length, all))
}

// resize scales one picture [·,·,3] to [H,W,3] float32, with antialiasing.
// Pixels stay as they are where it has that size already.
func resize(s *tfgraph.Scope, x tfgraph.Tensor, h, w int64) tfgraph.Tensor {
	size := tfgraph.Vector(s, int32(h), int32(w))
	from := tfgraph.Cast(s, tfgraph.Slice(s, tfgraph.ShapeOf(s, x), []int32{0}, []int32{2}), tfgraph.Float32)
	scale := tfgraph.Div(s, tfgraph.Vector(s, float32(h), float32(w)), from)
	batch := tfgraph.Cast(s, tfgraph.ExpandDims(s, x, 0), tfgraph.Float32)
	y := s.One("ScaleAndTranslate", tfgraph.Attrs{"kernel_type": "triangle", "antialias": true}, batch, size, scale, tfgraph.Zeros(s, 2))
	return tfgraph.Reshape(s, y, h, w, 3)
}
