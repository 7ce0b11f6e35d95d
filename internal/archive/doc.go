// Package archive reads tar archives that may be hostile.
//
//	bytes ─► gunzip ─► tar ─► name is local? plain file? within the caps? ─► visit
//
// Nothing is written to disk here: a visitor sees each file's name and content
// and decides. Links, devices, absolute names and names with ".." end the walk
// with ErrUnsafe, and so do more entries or more bytes than the caller allows,
// before they are held in memory.
//
// Caveat: visitors must still write only below a root of their own; a local
// name may well hold a slash.
package archive
