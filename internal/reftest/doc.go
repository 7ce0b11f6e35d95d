// Package reftest finds what tests compare with: the folder of reference data
// beside the checkout, and a Python that has TensorFlow. It needs no cgo.
//
// Caveat: where the reference is absent the test is skipped, by name; so every
// such test needs a small sibling that always runs.
package reftest
