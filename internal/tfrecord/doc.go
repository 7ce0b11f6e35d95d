// Package tfrecord reads and writes TensorFlow's record files, and keeps the
// count of what in them is broken.
//
//	┌────────────┬──────────────────┬──────────────┬────────────────┐
//	│ length  8  │ masked crc32c  4 │ data  length │ masked crc32c 4│  … next record
//	│ uint64 LE  │ of the 8 bytes   │              │ of the data    │
//	└────────────┴──────────────────┴──────────────┴────────────────┘
//	mask(c) = rotate_right(c, 15) + 0xa282ead8
//
// A record with broken data can be stepped over, for its length is sound; after
// a broken length nothing says where the next record begins, so the rest of the
// file is lost and the reader says how much that is.
//
// Caveat: files that are compressed as a whole (GZIP, ZLIB) are not read.
package tfrecord
