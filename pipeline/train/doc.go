// Package train runs the training loop: it builds a step from a network's
// tower, feeds it from a pipeline, and keeps metrics and checkpoints.
//
//	Source ─► images, labels ─► Build (the caller's tower) ─► loss ─► gradients ─► optim
//	             ▲ position        │ one copy a device            ▲ mean    ▲ rate, keep: computed in Go each step
//	             │                 └──────────────────────────────┘         │
//	loop: step ─► finite? ─► report ─► hooks ─► evaluation ─► checkpoint ───┘ until steps, budget or patience end
//	                           │                                  └─► checkpoints/step-00000500/{model.ckpt.*, state.json}
//	                           └─► metrics.jsonl, events/
//
// A checkpoint is written into a fresh directory, read back with all its
// checksums, synced and renamed. A run that is stopped at any moment, even by
// kill -9, goes on from its newest checkpoint that verifies: the input is a
// function of the position, random masks of the step, so the result is that of
// an undisturbed run, bit for bit.
//
// Caveat: bit for bit only where each operation is: with SessionOptions.IntraOp
// 1 on a CPU (InterOp may be more). With several threads an operation, or on a
// GPU, TensorFlow may add sums in another order each time.
package train
