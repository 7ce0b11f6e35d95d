package nn

import "github.com/nasnet-go/nasnet/tfgraph"

// CrossEntropy is the mean softmax cross entropy of logits [N,K] against
// targets, float32 [N,K], which sum to one a row. A scalar.
//
// The operation with integer classes has no gradient in the C API, hence the
// dense targets.
func CrossEntropy(s *tfgraph.Scope, logits, targets tfgraph.Tensor) tfgraph.Tensor {
	return tfgraph.Mean(s, CrossEntropies(s, logits, targets))
}

// CrossEntropies is the softmax cross entropy of each example, [N].
func CrossEntropies(s *tfgraph.Scope, logits, targets tfgraph.Tensor) tfgraph.Tensor {
	return s.One("SoftmaxCrossEntropyWithLogits", nil, logits, targets)
}

// Targets turns classes, int64 [N], into one-hot rows [N,K] with label
// smoothing: onehot*(1-smoothing) + smoothing/K (slim losses).
func Targets(s *tfgraph.Scope, classes tfgraph.Tensor, k int32, smoothing float32) tfgraph.Tensor {
	rest := smoothing / float32(k)
	return s.One("OneHot", nil, classes, tfgraph.Scalarc(s, k), tfgraph.Scalarc(s, 1-smoothing+rest), tfgraph.Scalarc(s, rest))
}

// Accuracy is the share of examples whose largest logit is their class.
func Accuracy(s *tfgraph.Scope, logits, classes tfgraph.Tensor) tfgraph.Tensor {
	return tfgraph.Mean(s, Correct(s, logits, classes))
}

// Correct is 1 for each example whose largest logit is its class, else 0; [N].
func Correct(s *tfgraph.Scope, logits, classes tfgraph.Tensor) tfgraph.Tensor {
	return tfgraph.Cast(s, tfgraph.Equal(s, tfgraph.ArgMax(s, logits), classes), tfgraph.Float32)
}

// L2 is half the sum of squares of each weight, added up. A scalar.
func L2(s *tfgraph.Scope, weights []tfgraph.Tensor) tfgraph.Tensor {
	parts := make([]tfgraph.Tensor, len(weights))
	for i, w := range weights {
		parts[i] = s.One("L2Loss", nil, w)
	}
	return tfgraph.Sum(s, parts...)
}
