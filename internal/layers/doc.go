// Package layers holds only a test: it checks that the packages import each
// other as ARCHITECTURE.md draws it, and that files and functions stay small.
//
//	cells ◄─ controller ◄─ controller/search ┐
//	  ▲         configs, savedmodel/serving ─┴─► cmd/nasnet          without cgo
//	  │         internal/…  (from everywhere)
//	  └─ cells/network ◄─ pipeline/… ┐
//	tfgraph ◄─ nn, optim ◄───────────┴─ savedmodel ─► cmd/nasnet-engine  with cgo
//
// Caveat: tests may import more than the code they test (a reference, a small
// network), but the tests of packages without cgo stay without cgo too.
package layers
