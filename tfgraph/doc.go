// Package tfgraph is the project's only door to TensorFlow: it builds graphs
// through TensorFlow's C API and runs them.
//
//	Graph ── Root() ─► Scope ── Sub("cell_3") ─► Scope ── ops ─► Tensor
//	  │                                                        │
//	  ├─ Store: variables by full name                         │ Gradients
//	  └─ NewSession ─► Session.Run(feeds, fetches, targets) ◄──┘
//
// Errors are sticky: the first failed operation is remembered with its scope
// path and the line that asked for it, everything built after it is inert, and
// [Graph.Err] returns it once. So model code reads like the formula, without
// an error check a line.
//
// A Graph is built by one goroutine at a time; a Session may be run by many.
//
// Caveat: values that come out of [Session.Run] live in TensorFlow's memory,
// which Go's collector cannot see. The Session counts their bytes and collects
// on a budget (see [SessionOptions.LiveBytes]); do not hold on to values that
// are no longer needed.
package tfgraph
