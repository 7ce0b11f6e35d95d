// Package contactsheet puts pictures side by side, with captions and boxes, into
// one PNG: what a data set holds, at one look.
//
//	┌───────┐ ┌───────┐ ┌───────┐
//	│ cat   │ │       │ │       │  each picture fitted into a square,
//	│ ┌──┐  │ │       │ │       │  boxes with labels over it
//	│ └──┘  │ │       │ │       │
//	└───────┘ └───────┘ └───────┘
//	caption   caption   caption    one line or more, cut at the tile's width
//
// Caveat: the font has ASCII alone; other letters show as a replacement mark. All
// pictures of a sheet are in memory at once.
package contactsheet
