// Package nn holds the layers of convolutional networks as functions of
// tensors: convolutions, batch norm, pools, factorised reduction, drop path,
// losses. Images are NHWC, float32, throughout.
//
// Nothing here owns a variable: weights come in as tensors, so that one
// function serves training, inference and tests. Order in NASNet is ReLU,
// convolution, batch norm (reference: slim nasnet_utils.py).
package nn
