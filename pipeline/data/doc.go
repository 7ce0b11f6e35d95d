// Package data feeds images to networks: tf.data pipelines, built here as graph
// nodes and run by TensorFlow's own threads.
//
//	positions p, p+1, … ─► which example (seeded shuffle) ─► gather ─► augment ─► batch
//
// A training pipeline is a pure function of its seed and of the position, the
// number of examples handed out since training began. So a run that is resumed
// at position p sees exactly what the undisturbed run would have seen, and over
// one epoch every example is seen exactly once.
//
// The data sets themselves are fetched and converted by package sets, which
// needs no TensorFlow.
package data
