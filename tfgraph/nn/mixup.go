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
	key = tfgraph.Add(s, key, tfgraph.Vector(s, mixupSite, int64(0)))
	// Beta from two gamma variates.
	pair := s.One("StatelessRandomGammaV2", nil, tfgraph.Vector(s, int32(2)), key, tfgraph.Scalarc(s, alpha)) // [2]
	first := tfgraph.Reshape(s, tfgraph.Slice(s, pair, []int32{0}, []int32{1}))
	share := tfgraph.Div(s, first, tfgraph.Sum(s, tfgraph.Reshape(s, tfgraph.Slice(s, pair, []int32{1}, []int32{1})), first))
	rest := tfgraph.Sub(s, tfgraph.Scalarc(s, float32(1)), share)
	mix := func(x tfgraph.Tensor) tfgraph.Tensor {
		mirror := s.One("ReverseV2", nil, x, tfgraph.Vector(s, int32(0)))
		return tfgraph.Add(s, tfgraph.Mul(s, x, share), tfgraph.Mul(s, mirror, rest))
	}
	return mix(images), mix(targets)
}
