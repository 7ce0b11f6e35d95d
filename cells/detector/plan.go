package detector

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nasnet-go/nasnet/cells/model"
)

// Detector is a network and what makes a detector of it.
type Detector struct {
	Model   model.Model `json:"model"` // its input is the detector's, its classes do not count
	Options Options     `json:"options"`
}

// Names below which the stages' variables stand in checkpoints (section 13).
const (
	FirstScope  = "FirstStageFeatureExtractor"
	SecondScope = "SecondStageFeatureExtractor"
)

// Plan is a detector as layers.
type Plan struct {
	Detector
	First, Second *model.Plan
	RPN           RPNLayers
	Heads         HeadLayers
	Features      [3]int // height, width, channels of the first stage's output
	Stride        int    // pixels between two places of it
}

// RPNLayers are those of the region proposal network: a 3x3 convolution with a
// ReLU6 behind it, and 1x1 convolutions to codes and to objectness, all with
// biases.
type RPNLayers struct{ Conv, Boxes, Objectness model.Layer }

// HeadLayers are dense: codes of each class, and classes with the background
// before them.
type HeadLayers struct{ Boxes, Classes model.Layer }

// Build plans a detector. It fails with all its faults, or with the first layer
// that its input is too small for.
func Build(d Detector) (*Plan, error) {
	if err := d.Options.Validate(); err != nil {
		return nil, fmt.Errorf("detector: %w", err)
	}
	p := &Plan{Detector: d, Stride: 2}
	if d.Model.Style == model.ImageNetStyle {
		p.Stride = 16
	}
	var err error
	if p.First, p.Second, err = model.Split(d.Model, d.Options.Crop, [2]string{FirstScope, SecondScope}); err != nil {
		return nil, fmt.Errorf("detector: %w", err)
	}
	p.Features = p.First.Layers[p.First.Pooled].Shape
	o := d.Options
	p.RPN = RPNLayers{
		Conv:       p.conv("Conv", 3, p.Features[2], o.RPNChannels),
		Boxes:      p.conv("FirstStageBoxPredictor/BoxEncodingPredictor", 1, o.RPNChannels, 4*p.perPlace()),
		Objectness: p.conv("FirstStageBoxPredictor/ClassPredictor", 1, o.RPNChannels, 2*p.perPlace()),
	}
	pooled := p.Second.Layers[p.Second.Pooled].Shape[2]
	p.Heads = HeadLayers{
		Boxes:   layer("SecondStageBoxPredictor/BoxEncodingPredictor", model.Dense, model.Glorot, [2]int{1, 1}, pooled, 4*o.Classes),
		Classes: layer("SecondStageBoxPredictor/ClassPredictor", model.Dense, model.Glorot, [2]int{1, 1}, pooled, 1+o.Classes),
	}
	return p, nil
}

// perPlace is the number of anchors at each place of the features.
func (p *Plan) perPlace() int { return len(p.Options.Anchors.Scales) * len(p.Options.Anchors.Ratios) }

func (p *Plan) conv(name string, kernel, in, out int) model.Layer {
	l := layer(name, model.Conv, model.SmallNormal, [2]int{p.Features[0], p.Features[1]}, in, out)
	l.Kernel, l.Stride, l.Padding = [2]int{kernel, kernel}, [2]int{1, 1}, model.Same
	l.Variables[0].Shape = []int{kernel, kernel, in, out}
	return l
}

// layer has a matrix of weights and biases; nothing decays them (section 0).
func layer(name string, kind model.Kind, init model.Init, size [2]int, in, out int) model.Layer {
	return model.Layer{Name: name, Kind: kind, Shape: [3]int{size[0], size[1], out}, Cell: -1, Variables: []model.Variable{
		{Name: name + "/weights", Shape: []int{in, out}, Trainable: true, Init: init},
		{Name: name + "/biases", Shape: []int{out}, Trainable: true, Init: model.Zeros},
	}}
}

// Whole has the layers of all parts, for what looks at variables alone: the
// inputs of its layers mean nothing.
func (p *Plan) Whole() *model.Plan {
	layers := slices.Concat(p.First.Layers, []model.Layer{p.RPN.Conv, p.RPN.Boxes, p.RPN.Objectness}, p.Second.Layers, []model.Layer{p.Heads.Boxes, p.Heads.Classes})
	return &model.Plan{Model: p.Model, Layers: layers, AuxLogits: -1, TotalCells: p.First.TotalCells}
}

// Variables lists all variables by their names in checkpoints.
func (p *Plan) Variables() []model.Variable { return p.Whole().Variables() }

// Inference rewrites both stages for running forward only, see
// [model.Plan.Inference], and the weights with them.
func (p *Plan) Inference(values model.Values) (*Plan, model.Values, error) {
	first, ours, err := p.First.Inference(values)
	if err != nil {
		return nil, nil, err
	}
	second, theirs, err := p.Second.Inference(values)
	if err != nil {
		return nil, nil, err
	}
	maps.Copy(ours, theirs)
	q := *p
	q.First, q.Second = first, second
	for _, v := range q.Variables() {
		if ours[v.Name] == nil { // of the heads
			ours[v.Name] = values[v.Name]
		}
		if int64(len(ours[v.Name])) != v.Size() {
			return nil, nil, fmt.Errorf("detector: %s has %d values, want %d", v.Name, len(ours[v.Name]), v.Size())
		}
	}
	return &q, ours, nil
}

// Part is a part of a detector with its sums.
type Part struct {
	Name      string `json:"name"`
	Shape     [3]int `json:"shape"` // of its output
	Params    int64  `json:"params"`
	Trainable int64  `json:"trainable_params"`
	MACs      int64  `json:"macs"` // for one image, or for one proposal
	Proposal  bool   `json:"for_each_proposal"`
}

// Parts are the first stage, the region proposal network, the second stage and
// the heads.
func (p *Plan) Parts() []Part {
	first, second := p.First.Costs(), p.Second.Costs()
	return []Part{
		{"first stage", p.Features, first.Params, first.Trainable, first.MACs, false},
		sum("region proposals", false, p.RPN.Conv, p.RPN.Boxes, p.RPN.Objectness),
		{"second stage", p.Second.Layers[p.Second.Pooled].Shape, second.Params, second.Trainable, second.MACs, true},
		sum("heads", true, p.Heads.Boxes, p.Heads.Classes),
	}
}

func sum(name string, proposal bool, layers ...model.Layer) Part {
	part := Part{Name: name, Shape: layers[0].Shape, Proposal: proposal}
	for _, l := range layers {
		part.MACs += l.MACs()
		for _, v := range l.Variables {
			part.Params += v.Size()
			part.Trainable += v.Size()
		}
	}
	return part
}

// Costs adds the parts up, the multiply-adds for so many proposals.
func (p *Plan) Costs(proposals int) model.Costs {
	var c model.Costs
	for _, part := range p.Parts() {
		c.Params += part.Params
		c.Trainable += part.Trainable
		if part.Proposal {
			c.MACs += int64(proposals) * part.MACs
		} else {
			c.MACs += part.MACs
		}
	}
	return c
}

// TotalCells counts the cells of both stages for drop path.
func (p *Plan) TotalCells() int { return p.First.TotalCells }
