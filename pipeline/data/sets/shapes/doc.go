// Package shapes draws a synthetic set for detection: one to three discs, squares
// and triangles on a photograph or on a made-up background.
//
//	seed ─► Scene: what lies where (boxes and areas are known) ─► Draw on a background ─► RGBA
//
// The same seed gives the same scene and, on one kind of processor, the same
// pixels. Shapes are turned, stretched, of 14 to 55 % of the image's side, of any
// colour that their place does not hide, a little transparent; they overlap by a
// quarter at most.
package shapes
