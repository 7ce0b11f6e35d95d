// Package npy reads and writes NumPy's .npy files of float32, and .npz archives of
// them: the forms in which arrays go in and out of nasnet's commands.
//
// Caveat: only little-endian float32 (and, for reading, float64, int64 and
// uint8) in C order; other files are refused by name of what they hold.
package npy
