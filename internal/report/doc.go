// Package report writes documents of text, tables and figures: as one HTML file
// that needs nothing beside it, or as Markdown with its figures in a folder.
//
// The HTML has no script, follows the reader's light or dark setting, fits
// narrow and wide windows, and forbids itself every request (its
// Content-Security-Policy).
//
// Caveat: figures are taken as they are; who makes an SVG must escape what
// stands in it.
package report
