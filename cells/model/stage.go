package model

// Stage is a part of the network between two changes of the map's size, with
// its sums for one image.
type Stage struct {
	Name       string `json:"name"`   // stem, stack 1, reduction 1, …, head, auxiliary head
	Shape      [3]int `json:"shape"`  // of its last output
	Layers     int    `json:"layers"` // convolutions and dense layers
	Params     int64  `json:"params"` // trainable and moving statistics
	Trainable  int64  `json:"trainable_params"`
	MACs       int64  `json:"macs"`
	Activation int64  `json:"activation_elements"` // of all its layers' outputs
}

// Stages sums the plan's layers up by stage, in their order.
func (p *Plan) Stages() []Stage {
	var list []Stage
	at := map[string]int{}
	for _, l := range p.Layers {
		i, ok := at[l.Stage]
		if !ok {
			i = len(list)
			at[l.Stage] = i
			list = append(list, Stage{Name: l.Stage})
		}
		s := &list[i]
		s.Shape = l.Shape
		s.MACs += l.MACs()
		s.Activation += l.Elements()
		if l.MACs() > 0 {
			s.Layers++
		}
		for _, v := range l.Variables {
			s.Params += v.Size()
			if v.Trainable {
				s.Trainable += v.Size()
			}
		}
	}
	return list
}
