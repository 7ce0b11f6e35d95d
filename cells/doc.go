// Package cells holds the architecture of a convolutional cell as data.
//
// A genotype is two cells, normal and reduction, of a few blocks each. A block
// takes two earlier states, applies an operation to each, and combines them:
//
//	state 0: current input  ─┐
//	state 1: previous input ─┼─► block 0 = combine(op(a), op(b)) ─► state 2 ─► …
//	                         │                                        │
//	                         └──────────── concat of the listed states ◄──┘
//
// The states that form the cell's output are listed explicitly: in the released
// NASNet-A they are not those that no block uses (reference nasnet.md section 2).
package cells
