package nn

import "github.com/nasnet-go/nasnet/tfgraph"

// DropMasks returns one mask a site for dropping whole paths, each [N,1,1,1]:
// floor(keep + u) / keep with u uniform in [0,1), so a path of one example is
// either gone or scaled up (slim nasnet_utils.drop_path). keep [sites] holds
// the keep probabilities; u [sites,N].
func DropMasks(s *tfgraph.Scope, keep, u tfgraph.Tensor, sites int) []tfgraph.Tensor {
	k := tfgraph.ExpandDims(s, keep, 1)                               // [sites,1]
	mask := tfgraph.Div(s, tfgraph.Floor(s, tfgraph.Add(s, k, u)), k) // [sites,N]
	mask = tfgraph.Reshape(s, mask, int64(sites), -1, 1, 1, 1)        // [sites,N,1,1,1]
	op := s.Add("Unpack", tfgraph.Attrs{"num": sites, "axis": 0}, mask)
	out := make([]tfgraph.Tensor, sites)
	for i := range out {
		out[i] = op.Output(i) // [N,1,1,1]
	}
	return out
}

// Dropout keeps each element of x with probability keep and scales what is
// kept by 1/keep; u is uniform noise of x's shape.
func Dropout(s *tfgraph.Scope, x, u tfgraph.Tensor, keep float32) tfgraph.Tensor {
	k := tfgraph.Scalarc(s, keep)
	return tfgraph.Mul(s, x, tfgraph.Div(s, tfgraph.Floor(s, tfgraph.Add(s, u, k)), k))
}
