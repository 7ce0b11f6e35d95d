// Package draw shows cells: as text for a terminal, in Graphviz' DOT, and as SVG
// for a page or a paper.
//
//	inputs (bottom) ─► operations ─► combinations (blocks) ─► concat (top)
//
// Caveat: the layout is made for cells of a dozen blocks; larger ones are drawn,
// but get wide.
package draw
