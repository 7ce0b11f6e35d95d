package model

// bytesPerElement is float32's.
const bytesPerElement = 4

// Memory is what the activations and weights of a network take, in bytes. It is
// arithmetic on shapes: buffers of a device's kernels, and what a runtime keeps
// for later, come on top.
type Memory struct {
	Batch int64 `json:"batch"`
	// Inference is the largest sum of layer outputs alive at once when layers
	// run one by one: an output lives until its last reader, and an
	// element-wise layer overwrites an input that nobody else reads.
	Inference int64 `json:"activations_inference_bytes"`
	// Training is the sum of the layer outputs that the backward pass reads:
	// inputs of convolutions, dense layers, norms, ReLUs (the gradients of
	// TensorFlow's C API read the input, not the output) and maximum pools, and
	// the latter's outputs; the auxiliary head included.
	Training int64 `json:"activations_training_bytes"`
	Weights  int64 `json:"weights_bytes"` // float32, moving statistics included, without the auxiliary head
}

// Elements is the size of the layer's output for one image.
func (l Layer) Elements() int64 {
	return int64(l.Shape[0]) * int64(l.Shape[1]) * int64(l.Shape[2])
}

// Memory adds up the plan's outputs for a batch of so many images.
func (p *Plan) Memory(batch int64) Memory {
	m := Memory{Batch: batch, Weights: bytesPerElement * p.Costs().Params}
	m.Inference = bytesPerElement * batch * p.liveElements()
	for i, kept := range p.keptForBackward() {
		if kept {
			m.Training += bytesPerElement * batch * p.Layers[i].Elements()
		}
	}
	return m
}

// alias reports layers whose output is the memory of their first input.
func (l Layer) alias() bool { return l.Kind == Flatten || l.Kind == Dropout || l.Kind == DropPath }

// overwrites reports layers that may write their output over an input.
func (l Layer) overwrites() bool {
	return l.Kind == ReLU || l.Kind == BatchNorm || l.Kind == AddUp || l.alias()
}

// liveElements is the peak of Memory.Inference for one image, in elements.
func (p *Plan) liveElements() int64 {
	readers := make([]int, len(p.Layers))
	for _, l := range p.Layers {
		for _, in := range l.Inputs {
			if !l.Aux {
				readers[in]++
			}
		}
	}
	var live, peak int64
	for _, l := range p.Layers {
		if l.Aux {
			continue
		}
		var freed int64
		for _, in := range l.Inputs {
			if readers[in]--; readers[in] == 0 {
				freed += p.Layers[in].Elements()
			}
		}
		size := l.Elements()
		if l.overwrites() && freed >= size { // in place
			live -= size
			freed -= size
		}
		live += size
		peak = max(peak, live)
		live -= freed
	}
	return peak
}

// keptForBackward marks the outputs that gradients read. What an aliasing layer
// passes on is counted once, at its source, and the ReLUs of one output are one.
func (p *Plan) keptForBackward() []bool {
	kept := make([]bool, len(p.Layers))
	relus := map[int]int{} // by input
	keep := func(i int) {
		for p.Layers[i].Kind == Flatten || p.Layers[i].Kind == Dropout && p.Model.DropoutKeep >= 1 {
			i = p.Layers[i].Inputs[0]
		}
		if l := p.Layers[i]; l.Kind == ReLU {
			first, ok := relus[l.Inputs[0]]
			if !ok {
				relus[l.Inputs[0]], first = i, i
			}
			i = first
		}
		kept[i] = true
	}
	for i, l := range p.Layers {
		switch l.Kind {
		case Conv, DepthwiseConv, Dense, BatchNorm, LayerNorm, InstanceNorm, ReLU:
			keep(l.Inputs[0])
		case MaxPool:
			keep(l.Inputs[0])
			keep(i)
		}
	}
	return kept
}
