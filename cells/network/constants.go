package network

import (
	"fmt"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Constants returns a store of the values of a plan's variables, for a network
// that only runs forward. Those of the auxiliary head may be missing.
func Constants(p *model.Plan, values model.Values) (*tfgraph.Store, error) {
	return StoredConstants(p, values, tfgraph.Float32)
}

// StoredConstants is Constants with weights stored in another floating type, and
// cast to float32 in the graph. Biases and norms stay float32: they are small.
func StoredConstants(p *model.Plan, values model.Values, stored tfgraph.DataType) (*tfgraph.Store, error) {
	all := map[string]*tfgraph.Value{}
	var names []string // of what is stored in that type
	var list []*tfgraph.Value
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
			all[v.Name] = value
			if len(v.Shape) > 1 {
				names, list = append(names, v.Name), append(list, value)
			}
		}
	}
	if stored != tfgraph.Float32 {
		converted, err := tfgraph.Convert(list, stored)
		if err != nil {
			return nil, fmt.Errorf("network: %w", err)
		}
		for i, name := range names {
			all[name] = converted[i]
		}
	}
	return tfgraph.NewConstants(all), nil
}

func sizes(v model.Variable) []int64 {
	shape := make([]int64, len(v.Shape))
	for i, d := range v.Shape {
		shape[i] = int64(d)
	}
	return shape
}
