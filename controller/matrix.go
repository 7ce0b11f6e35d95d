package controller

// mul adds a times b to c: c[m,n] += a[m,k] * b[k,n], all row-major. Each
// element of c takes its summands in the order of k, whatever the processor.
func mul(c, a, b []float64, m, n, k int) {
	for i := range m {
		row, x := c[i*n:i*n+n], a[i*k:i*k+k]
		l := 0
		for ; l+4 <= k; l += 4 {
			add4(row, b[l*n:(l+4)*n], [4]float64(x[l:l+4]))
		}
		for ; l < k; l++ {
			add(row, b[l*n:l*n+n], x[l])
		}
	}
}

// mulLeft adds the transpose of a times b to c: c[m,n] += a[k,m] * b[k,n], in
// the order of k as mul.
func mulLeft(c, a, b []float64, m, n, k int) {
	l := 0
	for ; l+4 <= k; l += 4 {
		for i := range m {
			add4(c[i*n:i*n+n], b[l*n:(l+4)*n], [4]float64{a[l*m+i], a[(l+1)*m+i], a[(l+2)*m+i], a[(l+3)*m+i]})
		}
	}
	for ; l < k; l++ {
		for i := range m {
			add(c[i*n:i*n+n], b[l*n:l*n+n], a[l*m+i])
		}
	}
}

// add is y += a*x.
func add(y, x []float64, a float64) {
	x = x[:len(y)]
	for j := range y {
		y[j] += float64(a * x[j])
	}
}

// add4Go adds four rows of len(y) that lie one behind the other in x, the first
// first: y += a[0]*x0, y += a[1]*x1, …
func add4Go(y, x []float64, a [4]float64) {
	n := len(y)
	x0, x1, x2, x3 := x[:n], x[n:2*n], x[2*n:3*n], x[3*n:4*n]
	for j, v := range y {
		v += float64(a[0] * x0[j])
		v += float64(a[1] * x1[j])
		v += float64(a[2] * x2[j])
		v += float64(a[3] * x3[j])
		y[j] = v
	}
}

// mulT adds a times the transpose of b to c: c[m,n] += a[m,k] * b[n,k], for the
// few rows of a softmax.
func mulT(c, a, b []float64, m, n, k int) {
	for i := range m {
		for j := range n {
			c[i*n+j] += dot(a[i*k:i*k+k], b[j*k:j*k+k])
		}
	}
}

func dot(a, b []float64) float64 {
	b = b[:len(a)]
	s := 0.0
	for i, x := range a {
		s += float64(x * b[i])
	}
	return s
}

// transpose writes a[m,n] as out[n,m].
func transpose(out, a []float64, m, n int) {
	for i := range m {
		for j := range n {
			out[j*m+i] = a[i*n+j]
		}
	}
}
