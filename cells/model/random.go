package model

import (
	"math"
	"math/rand/v2"
)

// RandomValues are weights under which values keep about their size from layer
// to layer, and norms have statistics of their own: for tests and benchmarks, which
// need outputs that can be compared. A pure function of plan and seed.
func (p *Plan) RandomValues(seed uint64) Values {
	r := rand.New(rand.NewPCG(seed, 0))
	values := Values{}
	for _, v := range p.Variables() {
		fanIn := 1.0
		for _, d := range v.Shape[:len(v.Shape)-1] {
			fanIn *= float64(d)
		}
		if len(v.Shape) == 4 && v.Shape[3] == 1 { // depthwise: channels do not add up
			fanIn /= float64(v.Shape[2])
		}
		data := make([]float32, v.Size())
		for i := range data {
			if v.Init == Ones {
				data[i] = 0.5 + r.Float32()
			} else {
				data[i] = float32(r.NormFloat64() / math.Sqrt(fanIn))
			}
		}
		values[v.Name] = data
	}
	return values
}
