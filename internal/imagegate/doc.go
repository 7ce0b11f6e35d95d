// Package imagegate looks at an encoded image before anything decodes it: what
// format it is, how many pixels it declares, and whether its end is there.
//
//	bytes ─► magic ─► walk of the segments (JPEG) or chunks (PNG), no pixel decoded ─► Info
//
// A 4 KB file may declare 13,000 x 13,000 pixels and cost a decoder half a
// gigabyte; the gate refuses it for the cost of reading its header. The allow
// list is JPEG, PNG, GIF, BMP and WebP.
//
// Caveat: the gate proves structure, not content: a JPEG with damaged scan data
// and an intact end passes.
package imagegate
