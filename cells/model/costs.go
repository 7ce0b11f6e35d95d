package model

// Costs are what a network takes, for one image.
type Costs struct {
	Params    int64 `json:"params"`           // trainable and moving statistics, without the auxiliary head
	Trainable int64 `json:"trainable_params"` // of these
	Aux       int64 `json:"aux_params"`       // trainable ones of the auxiliary head, in neither of the above
	MACs      int64 `json:"macs"`             // multiply-adds of convolutions and dense layers, without the auxiliary head
}

// Costs adds up the plan's layers.
func (p *Plan) Costs() Costs {
	var c Costs
	for _, l := range p.Layers {
		for _, v := range l.Variables {
			switch {
			case l.Aux && v.Trainable:
				c.Aux += v.Size()
			case !l.Aux:
				c.Params += v.Size()
				if v.Trainable {
					c.Trainable += v.Size()
				}
			}
		}
		if !l.Aux {
			c.MACs += l.MACs()
		}
	}
	return c
}

// MACs are the layer's multiply-adds for one image: the size of its weights at
// every output position.
func (l Layer) MACs() int64 {
	switch l.Kind {
	case Conv, DepthwiseConv, Dense:
		return l.Variables[0].Size() * int64(l.Shape[0]) * int64(l.Shape[1])
	}
	return 0
}
