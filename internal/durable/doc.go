// Package durable publishes files and directories so that a reader, or the
// next start after a crash or a power cut, finds either all of one or nothing.
//
//	write to a sibling ─► fsync it ─► rename over the target ─► fsync the parent
//
// Caveat: a rename is atomic only within one file system, so the sibling must
// lie beside the target.
package durable
