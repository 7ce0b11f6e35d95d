package controller

import "math"

// network is the controller of the paper (appendix A.2): one LSTM layer, a
// softmax a decision. The choice just made is embedded and fed in at the next
// step; the first step's input is learned. What the paper leaves open is chosen
// so: embeddings of up to 32 values, and embeddings and softmax weights of each
// decision's own.
//
//	start ─► LSTM ─► softmax 0 ─► choice 0 ─► embedding ─► LSTM ─► softmax 1 ─► …
type network struct {
	sizes  []int
	units  int // H
	embed  int // D
	params []float64
	at     layout
	gatesT []float64 // transpose of the gates' weights, [D+H,4H]
}

// layout says where each tensor lies in params.
type layout struct {
	start int   // [D]
	gates int   // [4H,D+H]: input, forget, cell, output
	bias  int   // [4H]
	embed []int // [sizes[t],D] of decision t
	heads []int // [sizes[t],H]
	hbias []int // [sizes[t]]
	total int
}

// initRange is the paper's: weights uniform in ±0.1.
const initRange = 0.1

func newNetwork(sizes []int, units int, seed uint64) *network {
	n := &network{sizes: sizes, units: units, embed: min(32, units)}
	take := func(size int) int {
		n.at.total += size
		return n.at.total - size
	}
	h, d := units, n.embed
	n.at.start, n.at.gates, n.at.bias = take(d), take(4*h*(d+h)), take(4*h)
	for _, size := range sizes {
		n.at.embed = append(n.at.embed, take(size*d))
		n.at.heads = append(n.at.heads, take(size*h))
		n.at.hbias = append(n.at.hbias, take(size))
	}
	n.params = make([]float64, n.at.total)
	s := newStream(seed, purposeInit)
	for i := range n.params {
		n.params[i] = initRange * float64(2*s.float()-1)
	}
	n.gatesT = make([]float64, 4*h*(d+h))
	n.refresh()
	return n
}

// refresh renews what is derived from the weights; call it after changing them.
func (n *network) refresh() {
	transpose(n.gatesT, n.params[n.at.gates:n.at.bias], 4*n.units, n.embed+n.units)
}

// tape holds a forward pass over b sequences, for going back.
type tape struct {
	b      int
	inputs [][]float64 // [b,D+H] a step: input and previous hidden state
	gates  [][]float64 // [b,4H]: activated
	cells  [][]float64 // [b,H]
	tanhs  [][]float64 // [b,H]: of the cells
	hidden [][]float64 // [b,H]
	probs  [][]float64 // [b,sizes[t]]
}

func (n *network) newTape(b int) *tape {
	rows := func(width func(t int) int) [][]float64 {
		out := make([][]float64, len(n.sizes))
		for t := range out {
			out[t] = make([]float64, b*width(t))
		}
		return out
	}
	h, d := n.units, n.embed
	return &tape{
		b:      b,
		inputs: rows(func(int) int { return d + h }), gates: rows(func(int) int { return 4 * h }),
		cells: rows(func(int) int { return h }), tanhs: rows(func(int) int { return h }), hidden: rows(func(int) int { return h }),
		probs: rows(func(t int) int { return n.sizes[t] }),
	}
}

// forward runs the sequences; choose returns sequence i's choice at step t,
// given its probabilities.
func (n *network) forward(tp *tape, choose func(i, t int, probs []float64) int) {
	choices := make([]int, tp.b)
	for t, size := range n.sizes {
		n.step(tp, t, choices)
		for i := range tp.b {
			choices[i] = choose(i, t, tp.probs[t][i*size:(i+1)*size])
		}
	}
}

// step computes step t from the choices of the step before.
func (n *network) step(tp *tape, t int, previous []int) {
	h, d, b := n.units, n.embed, tp.b
	in, gates := tp.inputs[t], tp.gates[t]
	for i := range b {
		row := in[i*(d+h) : (i+1)*(d+h)]
		x := n.params[n.at.start : n.at.start+d]
		if t > 0 {
			at := n.at.embed[t-1] + previous[i]*d
			x = n.params[at : at+d]
			copy(row[d:], tp.hidden[t-1][i*h:(i+1)*h])
		} else {
			clear(row[d:])
		}
		copy(row, x)
		copy(gates[i*4*h:(i+1)*4*h], n.params[n.at.bias:n.at.bias+4*h])
	}
	mul(gates, in, n.gatesT, b, 4*h, d+h)
	for i := range b {
		g := gates[i*4*h : (i+1)*4*h]
		for j := range h {
			g[j], g[h+j], g[2*h+j], g[3*h+j] = sigmoid(g[j]), sigmoid(g[h+j]), math.Tanh(g[2*h+j]), sigmoid(g[3*h+j])
			c := float64(g[j] * g[2*h+j])
			if t > 0 {
				c += float64(g[h+j] * tp.cells[t-1][i*h+j])
			}
			tp.cells[t][i*h+j] = c
			tp.tanhs[t][i*h+j] = math.Tanh(c)
			tp.hidden[t][i*h+j] = g[3*h+j] * tp.tanhs[t][i*h+j]
		}
	}
	n.softmax(tp, t)
}

func (n *network) softmax(tp *tape, t int) {
	h, size := n.units, n.sizes[t]
	probs := tp.probs[t]
	for i := range tp.b {
		copy(probs[i*size:(i+1)*size], n.params[n.at.hbias[t]:n.at.hbias[t]+size])
	}
	mulT(probs, tp.hidden[t], n.params[n.at.heads[t]:n.at.heads[t]+size*h], tp.b, size, h)
	for i := range tp.b {
		p := probs[i*size : (i+1)*size]
		largest := p[0]
		for _, x := range p {
			largest = math.Max(largest, x)
		}
		sum := 0.0
		for j, x := range p {
			p[j] = math.Exp(x - largest)
			sum += p[j]
		}
		for j := range p {
			p[j] /= sum
		}
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// backward adds to grad the gradient of a loss whose gradient by the logits of
// step t is dlogits[t], [b,sizes[t]]. choices are those of the forward pass.
func (n *network) backward(tp *tape, choices [][]int, dlogits [][]float64, grad []float64) {
	h, d, b, steps := n.units, n.embed, tp.b, len(n.sizes)
	dh, dc := make([]float64, b*h), make([]float64, b*h)
	din := make([]float64, b*(d+h))
	dz := make([]float64, b*4*h)
	for t := steps - 1; t >= 0; t-- {
		n.headBackward(tp, t, dlogits[t], dh, grad)
		n.gateBackward(tp, t, dh, dc, dz)
		clear(din)
		mul(din, dz, n.params[n.at.gates:n.at.bias], b, d+h, 4*h)
		mulLeft(grad[n.at.gates:n.at.bias], dz, tp.inputs[t], 4*h, d+h, b)
		for i := range b {
			x := grad[n.at.start : n.at.start+d]
			if t > 0 {
				at := n.at.embed[t-1] + choices[i][t-1]*d
				x = grad[at : at+d]
			}
			for j := range d {
				x[j] += din[i*(d+h)+j]
			}
			copy(dh[i*h:(i+1)*h], din[i*(d+h)+d:(i+1)*(d+h)])
			for j := range 4 * h {
				grad[n.at.bias+j] += dz[i*4*h+j]
			}
		}
	}
}

// headBackward goes through step t's softmax weights: it adds to dh.
func (n *network) headBackward(tp *tape, t int, dlogits, dh, grad []float64) {
	h, size := n.units, n.sizes[t]
	w := n.params[n.at.heads[t]:]
	gw, gb := grad[n.at.heads[t]:], grad[n.at.hbias[t]:]
	for i := range tp.b {
		hidden := tp.hidden[t][i*h : (i+1)*h]
		for k := range size {
			g := dlogits[i*size+k]
			gb[k] += g
			for j := range h {
				gw[k*h+j] += float64(g * hidden[j])
				dh[i*h+j] += float64(g * w[k*h+j])
			}
		}
	}
}

// gateBackward turns the gradient by hidden state and cell of step t into that
// by the gates' inputs, dz [b,4H], and by the cell before, in dc.
func (n *network) gateBackward(tp *tape, t int, dh, dc, dz []float64) {
	h := n.units
	for i := range tp.b {
		g, z := tp.gates[t][i*4*h:(i+1)*4*h], dz[i*4*h:(i+1)*4*h]
		for j := range h {
			at := i*h + j
			in, forget, cell, out, tc := g[j], g[h+j], g[2*h+j], g[3*h+j], tp.tanhs[t][at]
			c := dc[at] + float64(dh[at]*out)*(1-float64(tc*tc))
			before := 0.0
			if t > 0 {
				before = tp.cells[t-1][at]
			}
			z[j] = float64(c*cell) * in * (1 - in)
			z[h+j] = float64(c*before) * forget * (1 - forget)
			z[2*h+j] = float64(c*in) * (1 - float64(cell*cell))
			z[3*h+j] = float64(dh[at]*tc) * out * (1 - out)
			dc[at] = c * forget
		}
	}
}
