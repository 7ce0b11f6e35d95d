// Package engine is how the front starts, feeds and supervises engine
// processes, and the small main loop those processes run.
//
//	nasnet (front, no cgo)                        nasnet-engine COMMAND (links TensorFlow)
//	┌──────────────────────┐  stdin: one request  ┌───────────────────────────────┐
//	│ Launcher.Run/Start   │ ───── JSON line ───► │ Main ─► Handler(ctx, request) │
//	│  memory, time limits │                      │  stdin at its end: exit       │
//	│  SIGTERM on cancel   │ ◄─ events, a line ── │  emit(progress, note)         │
//	│  last stderr lines   │       each (stdout)  │  result or error, once        │
//	└──────────────────────┘ ◄── logs (stderr) ── └───────────────────────────────┘
//
// The front keeps stdin open while it lives; the kernel closes it when the
// front dies, even by kill -9, and the engine then exits at once: no orphan
// goes on training. An abort inside TensorFlow takes the engine alone; the front
// gets a *DiedError that says why.
//
// Caveat: the memory limit is enforced by polling the resident size. A process
// that allocates faster than it is polled can overshoot for an instant; the
// kernel's own limits (cgroups) remain the last resort.
package engine
