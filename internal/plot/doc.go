// Package plot draws the curves, intervals and matrices of reports: as PNG, or
// as SVG whose colours follow the page it stands in, light or dark.
//
// Caveat: an SVG takes its colours from the style variables --plot-ink,
// --plot-grid and --plot-1 … --plot-6; where a page has none, from their light
// defaults.
package plot
