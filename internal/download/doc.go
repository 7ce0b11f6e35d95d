// Package download fetches one file over HTTP so that the file at the target
// path is always whole and what it should be.
//
//	GET, Range: bytes=N-  ─►  PATH.part  ─► size and SHA-256 right? ─► fsync, rename ─► PATH
//	     ▲ retry, backoff        │ kept when the transfer breaks        │ no: deleted, ErrHash
//	     └───────────────────────┘
//
// Caveat: two processes must not fetch to one path at once; callers hold a
// lock of their own.
package download
