package main

import (
	"os"
	"slices"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/term"
)

// detectorPlan plans the detector of a preset, or of the configuration that --config
// names, if that has one.
func (a *app) detectorPlan(args []string) (*detector.Plan, bool, error) {
	config := a.config
	if len(args) > 0 {
		config = args[0]
		if !slices.Contains(configs.Presets(), config) {
			return nil, false, nil
		}
	}
	if config == "" {
		return nil, false, nil
	}
	c, err := configs.Load(configs.Source{Config: config, Set: slices.Concat(a.set, a.short), Env: os.Environ()})
	if err != nil {
		return nil, false, err
	}
	if c.Data.Set != detectionSet {
		return nil, false, nil
	}
	d, err := c.Detector()
	if err != nil {
		return nil, true, err
	}
	p, err := detector.Build(d)
	return p, true, err
}

// detectionSet is data.set of the commands under detect.
const detectionSet = "detection"

// detectorDescription is the JSON document of describe for a detector.
type detectorDescription struct {
	model.Costs                  // multiply-adds at the configured number of proposals
	Input        [3]int          `json:"input"`
	Classes      int             `json:"classes"` // without the background
	Features     [3]int          `json:"features"`
	Stride       int             `json:"stride"`
	Anchors      int             `json:"anchors"`
	Inside       int             `json:"anchors_inside"` // that training uses
	Proposals    int             `json:"proposals"`
	MACs         map[int]int64   `json:"macs_at_proposals"`
	Parts        []detector.Part `json:"parts"`
	EndPoints    []endPoint      `json:"endpoints"`        // of the first stage
	SecondPoints []endPoint      `json:"second_endpoints"` // of the second, for a proposal
}

// usualProposals are the numbers that releases and the paper name.
var usualProposals = []int{50, 300, 500}

func describeDetector(p *detector.Plan) detectorDescription {
	o, in := p.Options, p.First.Model.Input
	d := detectorDescription{
		Costs: p.Costs(o.Proposals.Count), Input: in, Classes: o.Classes, Features: p.Features, Stride: p.Stride,
		Anchors: p.AnchorCount(), Proposals: o.Proposals.Count, MACs: map[int]int64{}, Parts: p.Parts(),
		EndPoints: endPoints(p.First), SecondPoints: endPoints(p.Second),
	}
	for _, inside := range detector.Inside(p.AnchorBoxes(), in[0], in[1]) {
		if inside {
			d.Inside++
		}
	}
	for _, n := range append(usualProposals, o.Proposals.Count) {
		d.MACs[n] = p.Costs(n).MACs
	}
	return d
}

func (a *app) describeDetector(args []string, p *detector.Plan) error {
	name := a.config
	if len(args) > 0 {
		name = args[0]
	}
	d := describeDetector(p)
	if a.json {
		return a.document(d)
	}
	a.say("%s: Faster-RCNN, %s images, %d classes", name, shape(d.Input), d.Classes)
	a.say("  parameters    %s trainable, %s with moving statistics", digits(d.Trainable), digits(d.Params))
	a.say("  features      %s, a place each %d pixels; %s anchors, %s inside the image", shape(d.Features), d.Stride, digits(int64(d.Anchors)), digits(int64(d.Inside)))
	for _, n := range slices.Compact(slices.Sorted(slices.Values(append(usualProposals, d.Proposals)))) {
		here := ""
		if n == d.Proposals {
			here = ", as configured"
		}
		a.say("  multiply-adds %.1f G per image at %d proposals%s", float64(d.MACs[n])/1e9, n, here)
	}
	a.say("")
	rows := [][]string{}
	for _, part := range d.Parts {
		unit := "image"
		if part.Proposal {
			unit = "proposal"
		}
		rows = append(rows, []string{part.Name, shape(part.Shape), digits(part.Trainable), digits(part.Params), digits(part.MACs) + " per " + unit})
	}
	return term.Table(a.stdout, []string{"part", "output", "trainable", "with statistics", "multiply-adds"}, rows)
}

func endPoints(p *model.Plan) []endPoint {
	var list []endPoint
	for _, e := range p.EndPoints {
		list = append(list, endPoint{e.Name, p.Layers[e.Layer].Shape})
	}
	return list
}
