// Package model describes whole networks made of cells: how many, how wide,
// which stem and heads. It plans a network as a flat list of layers with their
// shapes and variables, without TensorFlow.
//
//	Model (a few numbers and a genotype) ─► Build ─► Plan (layers in order)
//	                                                  ├─► network: TensorFlow graph
//	                                                  ├─► costs: parameters, MACs, memory
//	                                                  └─► tables and drawings
//
// The structure of NASNet is written here once; everything else reads the plan.
// Names and order of variables are those of slim's checkpoints (tensorflow/models
// research/slim/nets/nasnet), rules and counts those of reference nasnet.md.
package model
