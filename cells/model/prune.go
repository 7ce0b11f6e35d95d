package model

// prune drops layers that neither the logits nor the auxiliary logits depend
// on: blocks that a genotype leaves unread, and states that the last cells would
// hand to cells that are not there. Their weights would get no gradient.
// Layers at roots stay in any case, and inputs, which are known by their order.
func (p *Plan) prune(roots ...int) {
	live := make([]bool, len(p.Layers))
	for _, i := range append(roots, p.Logits) {
		live[i] = true
	}
	if p.AuxLogits >= 0 {
		live[p.AuxLogits] = true
	}
	for i := len(p.Layers) - 1; i >= 0; i-- {
		for _, in := range p.Layers[i].Inputs {
			live[in] = live[in] || live[i]
		}
	}
	place := make([]int, len(p.Layers))
	kept := p.Layers[:0]
	for i, l := range p.Layers {
		if live[i] = live[i] || l.Kind == Input; !live[i] {
			continue
		}
		for k, in := range l.Inputs {
			l.Inputs[k] = place[in]
		}
		place[i] = len(kept)
		kept = append(kept, l)
	}
	p.Layers = kept
	p.Logits, p.Pooled = place[p.Logits], place[p.Pooled]
	if p.AuxLogits >= 0 {
		p.AuxLogits = place[p.AuxLogits]
	}
	points := p.EndPoints[:0]
	for _, e := range p.EndPoints {
		if live[e.Layer] {
			points = append(points, EndPoint{e.Name, place[e.Layer]})
		}
	}
	p.EndPoints = points
}
