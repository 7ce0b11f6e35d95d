// Package bundle reads TensorFlow's checkpoints (the "tensor bundle" format, V2)
// without TensorFlow, and checks every checksum in them.
//
//	PREFIX.index                 an SSTable: sorted keys, prefix-compressed
//	┌───────────┬─────┬────────────┬─────────────┬─────────────────────┐
//	│ data block│  …  │ meta block │ index block │ footer, 48 bytes    │
//	└───────────┴─────┴────────────┴─────────────┴─────────────────────┘
//	each block: entries, restarts, then 1 byte of type and 4 of masked crc32c
//	key ""   -> BundleHeaderProto (shards, byte order)
//	key NAME -> BundleEntryProto  (type, shape, shard, offset, size, masked crc32c)
//
//	PREFIX.data-00000-of-00001   the tensors' bytes, little-endian, row-major
//
// Format: tensorflow core/util/tensor_bundle/tensor_bundle.cc and
// core/lib/io/format.cc. Lengths and offsets are held against the files' sizes
// before anything is allocated.
//
// Caveat: variables that were saved in slices (partitioned ones) are listed
// and checked but not put together again; compressed index blocks, which
// TensorFlow does not write, are refused.
package bundle
