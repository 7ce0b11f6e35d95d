package data

import (
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tfdata"
)

// Decode turns encoded images (JPEG, PNG, GIF, BMP), string [N], into
// standardized pictures [N,H,W,3] inside the graph: decode, bilinear resize
// with antialiasing where the size differs, standardize. Images are decoded in
// parallel: the batch runs through a small dataset of its own.
func Decode(s *tfgraph.Scope, encoded tfgraph.Tensor, h, w int64, std Standardize) tfgraph.Tensor {
	one := func(s *tfgraph.Scope, element, _ []tfgraph.Tensor) []tfgraph.Tensor {
		x := s.One("DecodeImage", tfgraph.Attrs{"channels": 3, "dtype": tfgraph.Uint8, "expand_animations": false}, element[0])
		return []tfgraph.Tensor{resize(s, x, h, w)}
	}
	d := tfdata.Slices(s, encoded).Map(s, tfdata.Autotune, nil, one).Batch(s, 1<<20, false)
	x := tfgraph.Reshape(s, d.Single(s)[0], -1, h, w, 3) // [N,H,W,3] float32, 0..255
	return standardize(s, x, std)
}

// resize scales one picture [·,·,3] to [H,W,3] float32. Pixels stay as they are
// where it has that size already.
func resize(s *tfgraph.Scope, x tfgraph.Tensor, h, w int64) tfgraph.Tensor {
	size := tfgraph.Vector(s, int32(h), int32(w))
	from := tfgraph.Cast(s, tfgraph.Slice(s, tfgraph.ShapeOf(s, x), []int32{0}, []int32{2}), tfgraph.Float32)
	scale := tfgraph.Div(s, tfgraph.Vector(s, float32(h), float32(w)), from)
	batch := tfgraph.Cast(s, tfgraph.ExpandDims(s, x, 0), tfgraph.Float32)
	y := s.One("ScaleAndTranslate", tfgraph.Attrs{"kernel_type": "triangle", "antialias": true}, batch, size, scale, tfgraph.Zeros(s, 2))
	return tfgraph.Reshape(s, y, h, w, 3)
}
