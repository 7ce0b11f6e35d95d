// Package tftest is what tests of graph code share: build, run and compare in
// one call, golden arrays from .npz files, finite-difference gradients.
package tftest
