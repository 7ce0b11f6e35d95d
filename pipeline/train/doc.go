// Package train runs the training loop: it builds a step from a network's
// tower, feeds it from a pipeline, and keeps metrics and checkpoints.
//
//	Source ─► images, labels ─► Build (the caller's tower) ─► loss ─► gradients ─► optim
//	             ▲ position                                            ▲ rate, keep: computed in Go each step
//	checkpoints/step-00000500/{model.ckpt.*, state.json}  ◄─ published by rename after verifying
//
// A run that is stopped at any moment, even by kill -9, goes on from its newest
// checkpoint that verifies: the input is a function of the position, random
// masks of the step, so with one thread an operation the result is that of an
// undisturbed run, bit for bit.
package train
