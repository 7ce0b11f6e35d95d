// Package libtf finds TensorFlow's C library, or fetches it, without linking it.
//
//	LIBTENSORFLOW_DIR ─► system's library dirs ─► python3's tensorflow ─► user cache ─► Fetch: pip download
//	      │                    │                        │                    │          hash, unpack, rename
//	      └────────────────────┴────────────────────────┴────────────────────┘
//	                    Library: Lib, Include, LoaderDirs ─► BuildEnv (cgo), RunEnv (engine)
//
// What Fetch leaves in the user's cache:
//
//	libtensorflow/2.18.1/include/tensorflow/c/…       the C headers and what they include
//	libtensorflow/2.18.1/lib/libtensorflow_cc.so.2    the wheel's library: the whole C API
//	libtensorflow/2.18.1/lib/libtensorflow.so         link, the name that cgo asks for
//	libtensorflow/2.18.1/manifest.json                version, origin, size of each file
//
// Caveat: the check of an unpacked library compares sizes, not hashes (hashing
// 680 MB at each start would cost half a second). The hash is checked once, on
// the archive, before anything of it is unpacked.
package libtf
