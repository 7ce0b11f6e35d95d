package model

import (
	"fmt"
	"math"
	"slices"
)

// Values are weights by variable name, row-major in the variable's shape.
type Values map[string][]float32

// Inference rewrites a plan for running forward only: the same outputs from
// fewer steps, and the weights that go with them.
//
//   - Drop path, dropout and the auxiliary head are gone.
//   - A batch norm behind a convolution becomes that convolution's weights and bias.
//   - The halves of a factorised reduction are convolutions of stride 2 on the map
//     itself, not on copies of every second pixel.
//   - The ReLU of a concat becomes the concat of ReLUs. Then it is computed by the
//     convolution or sum that ends in it, and once for all readers.
//   - Equal steps without weights, such as a pool that two blocks read, are one.
//
// Of the end points only those in keep stay. A value that is missing, or that is
// not of its variable's size, is an error.
func (p *Plan) Inference(values Values, keep ...string) (*Plan, Values, error) {
	r := &rewriter{from: p, in: values, place: map[int]int{}, same: map[string]int{}, out: Values{}, users: make([]int, len(p.Layers))}
	for _, l := range p.Layers {
		for _, x := range l.Inputs {
			r.users[x]++
		}
	}
	q := &Plan{Model: p.Model, AuxLogits: -1, TotalCells: p.TotalCells}
	q.Model.AuxHead, q.Model.DropPathKeep, q.Model.DropoutKeep = false, 1, 1
	for i, l := range p.Layers { // in their order
		if l.Kind == Input {
			r.layer(i)
		}
	}
	q.Logits, q.Pooled = r.layer(p.Logits), r.layer(p.Pooled)
	var roots []int
	for _, name := range keep {
		at := slices.IndexFunc(p.EndPoints, func(e EndPoint) bool { return e.Name == name })
		if at < 0 {
			return nil, nil, fmt.Errorf("model: no end point is called %q", name)
		}
		x := r.layer(p.EndPoints[at].Layer)
		q.EndPoints, roots = append(q.EndPoints, EndPoint{name, x}), append(roots, x)
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	q.Layers = r.to
	q.prune(roots...) // concats whose every reader wanted their ReLU
	return q, r.out, nil
}

// rewriter makes one plan of another, layer by layer as outputs ask for them.
type rewriter struct {
	from  *Plan
	in    Values
	users []int          // how many old layers read each
	place map[int]int    // of old layers in the new list
	same  map[string]int // new layers without weights, by what they compute
	to    []Layer
	out   Values
	err   error
}

// layer is the place of an old layer's output in the new list.
func (r *rewriter) layer(i int) int {
	at, ok := r.place[i]
	if !ok {
		at = r.rewrite(r.from.Layers[i])
		r.place[i] = at
	}
	return at
}

func (r *rewriter) rewrite(l Layer) int {
	switch l.Kind {
	case DropPath, Dropout:
		return r.layer(l.Inputs[0])
	case ReLU:
		return r.relu(r.layer(l.Inputs[0]))
	case BatchNorm:
		if convs := r.foldable(l.Inputs[0]); convs != nil {
			return r.folded(l, convs)
		}
	}
	inputs := make([]int, len(l.Inputs))
	for j, x := range l.Inputs {
		inputs[j] = r.layer(x)
	}
	l.Inputs = inputs
	for _, v := range l.Variables {
		r.out[v.Name] = r.value(v)
	}
	return r.emit(l)
}

// value is a variable's; zeros where there is none, and the error is kept.
func (r *rewriter) value(v Variable) []float32 {
	x, ok := r.in[v.Name]
	switch {
	case ok && int64(len(x)) == v.Size():
		return x
	case r.err != nil:
	case !ok:
		r.err = fmt.Errorf("model: no value for %s", v.Name)
	default:
		r.err = fmt.Errorf("model: %s has %d values, want %d", v.Name, len(x), v.Size())
	}
	return make([]float32, v.Size())
}

// emit appends a layer, or finds an equal one without weights.
func (r *rewriter) emit(l Layer) int {
	key := fmt.Sprint(l.Kind, l.Inputs, l.Kernel, l.Stride, l.Dilation, l.Padding)
	at, ok := r.same[key]
	if ok && len(l.Variables) == 0 && l.Kind != Input { // another input has other values
		return at
	}
	r.to = append(r.to, l)
	at = len(r.to) - 1
	if len(l.Variables) == 0 {
		r.same[key] = at
	}
	return at
}

// relu is max(x, 0) of a new layer.
func (r *rewriter) relu(x int) int {
	l := r.to[x]
	switch l.Kind {
	case ReLU:
		return x
	case ConcatChannels:
		parts := make([]int, len(l.Inputs))
		for i, in := range l.Inputs {
			parts[i] = r.relu(in)
		}
		l.Inputs = parts
	default:
		l = Layer{Kind: ReLU, Inputs: []int{x}, Name: l.Name, Shape: l.Shape, Cell: l.Cell, Stage: l.Stage}
	}
	l.Name += "_relu"
	return r.emit(l)
}

// foldable lists the convolutions that layer x consists of, if nothing else reads
// them: x itself, or the halves it concatenates. nil: a norm of x stays.
func (r *rewriter) foldable(x int) []int {
	convs := []int{x}
	if r.from.Layers[x].Kind == ConcatChannels {
		convs = r.from.Layers[x].Inputs
	}
	if r.users[x] != 1 {
		return nil
	}
	for _, c := range convs {
		if r.users[c] != 1 || r.from.Layers[c].Kind != Conv {
			return nil
		}
	}
	return convs
}

// folded is the batch norm of convolutions, as convolutions with bias.
func (r *rewriter) folded(norm Layer, convs []int) int {
	scale, shift := r.affine(norm)
	halves := r.factorized(convs)
	parts := make([]int, len(convs))
	at := 0
	for i, c := range convs {
		l := r.from.Layers[c]
		w, f := l.Variables[0], l.Shape[2]
		scaled := slices.Clone(r.value(w))
		for j := range scaled {
			scaled[j] *= scale[at+j%f]
		}
		x := l.Inputs[0]
		if halves { // the convolution leaves the pixels out: no map is copied
			l.Stride, l.Padding = [2]int{2, 2}, []Padding{Valid, Shifted}[i]
			x = r.from.Layers[x].Inputs[0]
		}
		l.Inputs = []int{r.layer(x)}
		parts[i] = r.emit(r.biased(l, w, scaled, shift[at:at+f]))
		at += f
	}
	if len(parts) == 1 {
		return parts[0]
	}
	l := r.from.Layers[norm.Inputs[0]]
	l.Inputs = parts
	return r.emit(l)
}

// affine is what a batch norm does to each channel with moving statistics:
// x*scale + shift, scale = gamma/sqrt(variance+epsilon), shift = beta - mean*scale.
func (r *rewriter) affine(norm Layer) (scale, shift []float32) {
	var v [4][]float32 // gamma, beta, moving mean, moving variance
	for i := range v {
		v[i] = r.value(norm.Variables[i])
	}
	scale, shift = make([]float32, len(v[0])), make([]float32, len(v[0]))
	for c := range scale {
		k := float64(v[0][c]) / math.Sqrt(float64(v[3][c])+r.from.Model.BatchNorm.Epsilon)
		scale[c], shift[c] = float32(k), float32(float64(v[1][c])-float64(v[2][c])*k)
	}
	return scale, shift
}

// biased gives a convolution its weights [kh,kw,C,F] and bias [F].
func (r *rewriter) biased(l Layer, w Variable, weights, bias []float32) Layer {
	b := Variable{Name: l.Name + "/biases", Shape: []int{len(bias)}, Trainable: true, Init: Zeros}
	l.Variables = []Variable{w, b}
	r.out[w.Name], r.out[b.Name] = weights, bias
	return l
}

// factorized reports the two convolutions of a factorised reduction: one reads
// every second pixel of a map, the other the pixels between them.
func (r *rewriter) factorized(convs []int) bool {
	if len(convs) != 2 {
		return false
	}
	a, b := r.from.Layers[r.from.Layers[convs[0]].Inputs[0]], r.from.Layers[r.from.Layers[convs[1]].Inputs[0]]
	return a.Kind == Subsample && b.Kind == ShiftSubsample && a.Inputs[0] == b.Inputs[0]
}
