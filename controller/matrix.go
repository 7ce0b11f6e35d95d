package controller

// mulT adds a times the transpose of b to c: c[m,n] += a[m,k] * b[n,k], all
// row-major. Blocks of four rows by two columns keep eight sums in registers,
// which is several times as fast as one at a time. Each sum runs over k in
// order, so the result does not depend on the blocking.
func mulT(c, a, b []float64, m, n, k int) {
	i := 0
	for ; i+4 <= m; i += 4 {
		a0, a1, a2, a3 := a[i*k:i*k+k], a[(i+1)*k:(i+1)*k+k], a[(i+2)*k:(i+2)*k+k], a[(i+3)*k:(i+3)*k+k]
		j := 0
		for ; j+2 <= n; j += 2 {
			b0, b1 := b[j*k:j*k+k], b[(j+1)*k:(j+1)*k+k]
			a0, a1, a2, a3, b1 := a0[:len(b0)], a1[:len(b0)], a2[:len(b0)], a3[:len(b0)], b1[:len(b0)]
			var s00, s01, s10, s11, s20, s21, s30, s31 float64
			for x, y0 := range b0 {
				y1 := b1[x]
				s00 += float64(a0[x] * y0)
				s01 += float64(a0[x] * y1)
				s10 += float64(a1[x] * y0)
				s11 += float64(a1[x] * y1)
				s20 += float64(a2[x] * y0)
				s21 += float64(a2[x] * y1)
				s30 += float64(a3[x] * y0)
				s31 += float64(a3[x] * y1)
			}
			c[i*n+j] += s00
			c[i*n+j+1] += s01
			c[(i+1)*n+j] += s10
			c[(i+1)*n+j+1] += s11
			c[(i+2)*n+j] += s20
			c[(i+2)*n+j+1] += s21
			c[(i+3)*n+j] += s30
			c[(i+3)*n+j+1] += s31
		}
		for ; j < n; j++ {
			for r := range 4 {
				c[(i+r)*n+j] += dot(a[(i+r)*k:(i+r)*k+k], b[j*k:j*k+k])
			}
		}
	}
	for ; i < m; i++ {
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
