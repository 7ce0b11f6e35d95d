// Package network turns a network's plan (package model) into a TensorFlow
// graph.
//
//	model.Build(m) ─► Plan (layers, shapes, variables) ─► Build ─► logits, end points, updates
//
// The structure is written once, in package model; here each kind of layer has
// its few lines of TensorFlow. Variables carry slim's names, so checkpoints
// written by slim load as they are, and ours load into slim.
//
// Caveat: a training graph differs from an inference graph in its batch norms
// (batch statistics), its auxiliary head, drop path and dropout. Build both
// from one plan with the store's Shared view for the second.
package network
