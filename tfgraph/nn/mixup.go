package nn

import "github.com/nasnet-go/nasnet/tfgraph"

// mixupSite keeps mixup's random numbers apart from those of other uses of a
// step's key.
const mixupSite = int64(1) << 30

// Mixup mixes each example of a batch with the one at the other end of it:
// share*x + (1-share)*mirror(x), images [N,H,W,C] and targets [N,K] alike. The
// share of the batch is drawn from Beta(alpha, alpha), a pure function of key,
// int64 [2] (Zhang et al., arXiv 1710.09412).
func Mixup(s *tfgraph.Scope, images, targets, key tfgraph.Tensor, alpha float32) (mixedImages, mixedTargets tfgraph.Tensor) {
	share := beta(s, key, alpha)
	return mixed(s, images, share), mixed(s, targets, share)
}

// CutMix puts a box of the image at the other end of the batch into each: one box
// a batch, its centre anywhere, its area 1-share of the image's before what hangs
// over the border is cut off; targets are mixed by the area that is left. The share
// is drawn as Mixup's (Yun et al., arXiv 1905.04899).
func CutMix(s *tfgraph.Scope, images, targets, key tfgraph.Tensor, alpha float32) (mixedImages, mixedTargets tfgraph.Tensor) {
	one, h, w := tfgraph.Scalarc(s, float32(1)), images.Dim(1), images.Dim(2)
	side := tfgraph.Scale(s, tfgraph.Sqrt(s, tfgraph.Sub(s, one, beta(s, key, alpha))), 0.5) // half of it
	centre := tfgraph.StatelessUniform(s, tfgraph.Vector(s, int32(2)), tfgraph.Add(s, key, tfgraph.Vector(s, mixupSite+1, 0)))
	span := func(axis int32, size int64) tfgraph.Tensor { // 1 within the box
		places := make([]float32, size)
		for i := range places {
			places[i] = (float32(i) + 0.5) / float32(size)
		}
		from := tfgraph.Sub(s, tfgraph.Vector(s, places...), tfgraph.Slice(s, centre, []int32{axis}, []int32{1}))
		return tfgraph.Cast(s, tfgraph.Less(s, s.One("Abs", nil, from), side), tfgraph.Float32)
	}
	box := tfgraph.Mul(s, tfgraph.Reshape(s, span(0, h), 1, h, 1, 1), tfgraph.Reshape(s, span(1, w), 1, 1, w, 1)) // [1,H,W,1]
	keep := tfgraph.Sub(s, one, box)
	return mixed(s, images, keep), mixed(s, targets, tfgraph.Mean(s, keep))
}

// beta draws one number from Beta(alpha, alpha), as of two gamma variates.
func beta(s *tfgraph.Scope, key tfgraph.Tensor, alpha float32) tfgraph.Tensor {
	key = tfgraph.Add(s, key, tfgraph.Vector(s, mixupSite, int64(0)))
	pair := s.One("StatelessRandomGammaV2", nil, tfgraph.Vector(s, int32(2)), key, tfgraph.Scalarc(s, alpha)) // [2]
	first := tfgraph.Reshape(s, tfgraph.Slice(s, pair, []int32{0}, []int32{1}))
	return tfgraph.Div(s, first, tfgraph.Sum(s, tfgraph.Reshape(s, tfgraph.Slice(s, pair, []int32{1}, []int32{1})), first))
}

// mixed is share of x and the rest of its mirror along the batch.
func mixed(s *tfgraph.Scope, x, share tfgraph.Tensor) tfgraph.Tensor {
	mirror := s.One("ReverseV2", nil, x, tfgraph.Vector(s, int32(0)))
	rest := tfgraph.Sub(s, tfgraph.Scalarc(s, float32(1)), share)
	return tfgraph.Add(s, tfgraph.Mul(s, x, share), tfgraph.Mul(s, mirror, rest))
}
