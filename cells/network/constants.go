package network

import (
	"fmt"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Constants returns a store of the values of a plan's variables, for a network
// that only runs forward. Those of the auxiliary head may be missing.
func Constants(p *model.Plan, values model.Values) (*tfgraph.Store, error) {
	list := map[string]*tfgraph.Value{}
	for _, l := range p.Layers {
		for _, v := range l.Variables {
			data, ok := values[v.Name]
			if !ok && l.Aux {
				continue
			}
			value, err := tfgraph.NewValue(data, sizes(v)...)
			if err != nil {
				return nil, fmt.Errorf("network: %s: %w", v.Name, err)
			}
			list[v.Name] = value
		}
	}
	return tfgraph.NewConstants(list), nil
}

func sizes(v model.Variable) []int64 {
	shape := make([]int64, len(v.Shape))
	for i, d := range v.Shape {
		shape[i] = int64(d)
	}
	return shape
}
