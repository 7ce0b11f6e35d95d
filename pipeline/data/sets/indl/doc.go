// Package indl draws the five sets of geometric illusions of InDL (arXiv
// 2305.17716): does a network see whether two lines really differ, or what
// people believe to see?
//
//	1 Hering and Wundt      are two lines straight?            256x256, colour
//	2 Müller-Lyer           are two lines equally long?        128x128, one bit
//	3 Poggendorff           do two halves make one line?       128x128, one bit
//	4 vertical-horizontal   are two lines equally long?        128x128, one bit
//	5 Zöllner               are two lines parallel?            128x128, one bit
//
// Label 1, "equal": they are, and only the illusion says otherwise. Label 0,
// "different": they are not, by an amount that stands in label.csv.
//
//	OUT/train/different/00000.png   OUT/test/equal/00004.png   …
//	OUT/label.csv    index, name, split, label, value and the parameters of each drawing
//	OUT/indl.json    what was asked for, and the counts
//
// Caveat: sizes, shares and classes are InDL's; the ranges of the parameters are
// ours, for the published code does not fix them, so figures of the paper are
// only roughly comparable.
package indl
