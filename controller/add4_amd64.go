package controller

import "golang.org/x/sys/cpu"

//go:noescape
func add4AVX(y *float64, n int, x *float64, a *[4]float64)

// add4 is add4Go, four elements at a time where the processor can: the same
// numbers, because every element is summed on its own and in the same order.
func add4(y, x []float64, a [4]float64) {
	n := len(y)
	if !cpu.X86.HasAVX || n == 0 || n%4 != 0 {
		add4Go(y, x, a)
		return
	}
	_ = x[4*n-1]
	add4AVX(&y[0], n, &x[0], &a)
}
