package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/term"
)

func (a *app) describeCommand() *cobra.Command {
	var batch int64
	var layers, compare bool
	c := &cobra.Command{
		Use: "describe [MODEL]", Short: "Parameters, multiply-adds, memory and layers of a model, without TensorFlow",
		Long: "Parameters, multiply-adds, memory and layers of a built-in model or a model file, by\n" +
			"arithmetic alone; of a detector, its preset's name or --config, its parts. --compare sets the models of the paper's tables beside what the\n" +
			"released structure makes of them.",
		Example: "  nasnet describe nasnet-a-mobile --json\n  nasnet describe my-model.yaml --batch 32 --layers\n  nasnet describe coco-faster-rcnn-large\n  nasnet describe --compare",
		Args:    cobra.MaximumNArgs(1),
	}
	c.Flags().Int64Var(&batch, "batch", 1, "images that memory is told for")
	c.Flags().BoolVar(&layers, "layers", false, "list every layer with weights")
	c.Flags().BoolVar(&compare, "compare", false, "the paper's models, their sizes there and here, and their published accuracies")
	c.RunE = func(_ *cobra.Command, args []string) error {
		p, isDetector, err := a.detectorPlan(args)
		switch {
		case err != nil:
			return usagef("%v", err)
		case isDetector:
			return a.describeDetector(args, p)
		case compare:
			return a.compareModels()
		case len(args) == 0:
			return usagef("describe: which model? Built in are %v; a model file will do", model.Presets())
		case batch < 1 || batch > 1<<20:
			return usagef("describe: --batch is %d; want 1 to %d", batch, 1<<20)
		}
		d, err := describe(args[0], batch)
		if err != nil {
			return usagef("%v", err)
		}
		if a.json {
			return a.document(d)
		}
		return a.description(args[0], d, layers)
	}
	return c
}

// description is the JSON document of describe.
type description struct {
	model.Costs
	Input       [3]int        `json:"input"`
	Classes     int           `json:"classes"`
	Penultimate int           `json:"penultimate"`
	Memory      model.Memory  `json:"memory"`
	Stages      []model.Stage `json:"stages"`
	EndPoints   []endPoint    `json:"endpoints"`
	Layers      []layerLine   `json:"layers"`
}

type endPoint struct {
	Name  string `json:"name"`
	Shape [3]int `json:"shape"`
}

// layerLine is a layer that has weights.
type layerLine struct {
	Name      string     `json:"name"`
	Kind      model.Kind `json:"kind"`
	Stage     string     `json:"stage"`
	Shape     [3]int     `json:"shape"`
	Params    int64      `json:"params"` // moving statistics included
	MACs      int64      `json:"macs"`
	Auxiliary bool       `json:"auxiliary,omitempty"`
}

func describe(name string, batch int64) (description, error) {
	m, err := configs.Model{Name: name}.Network()
	if err != nil {
		return description{}, err
	}
	p, err := model.Build(m)
	if err != nil {
		return description{}, err
	}
	d := description{
		Costs: p.Costs(), Input: m.Input, Classes: m.Classes, Penultimate: p.Layers[p.Pooled].Shape[2],
		Memory: p.Memory(batch), Stages: p.Stages(),
	}
	d.EndPoints = endPoints(p)
	for _, l := range p.Layers {
		if len(l.Variables) > 0 {
			line := layerLine{Name: l.Name, Kind: l.Kind, Stage: l.Stage, Shape: l.Shape, MACs: l.MACs(), Auxiliary: l.Aux}
			for _, v := range l.Variables {
				line.Params += v.Size()
			}
			d.Layers = append(d.Layers, line)
		}
	}
	return d, nil
}

// description prints what describe found, as tables.
func (a *app) description(name string, d description, layers bool) error {
	a.say("%s: %s images, %d classes", name, shape(d.Input), d.Classes)
	a.say("  parameters    %s trainable, %s with moving statistics; auxiliary head %s more, in training only", digits(d.Trainable), digits(d.Params), digits(d.Aux))
	a.say("  multiply-adds %s an image", digits(d.MACs))
	a.say("  memory        weights %s; activations at batch %d: %s in inference, %s in training", mebibytes(d.Memory.Weights), d.Memory.Batch, mebibytes(d.Memory.Inference), mebibytes(d.Memory.Training))
	a.say("")
	rows := [][]string{}
	for _, s := range d.Stages {
		rows = append(rows, []string{s.Name, shape(s.Shape), digits(int64(s.Layers)), digits(s.Trainable), digits(s.MACs), digits(s.Activation)})
	}
	if err := term.Table(a.stdout, []string{"stage", "output", "convolutions", "trainable", "multiply-adds", "activations"}, rows); err != nil {
		return err
	}
	if !layers {
		a.say("\n  end points: nasnet describe %s --json; every layer: --layers", name)
		return nil
	}
	rows = [][]string{}
	for _, l := range d.Layers {
		rows = append(rows, []string{l.Name, string(l.Kind), shape(l.Shape), digits(l.Params), digits(l.MACs)})
	}
	a.say("")
	return term.Table(a.stdout, []string{"layer", "kind", "output", "parameters", "multiply-adds"}, rows)
}

func shape(s [3]int) string { return fmt.Sprintf("%dx%dx%d", s[0], s[1], s[2]) }

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// digits groups a number by thousands.
func digits(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// comparison is a published row beside our count.
type comparison struct {
	model.Published
	Trainable int64 `json:"trainable_params,omitempty"`
	OurMACs   int64 `json:"macs,omitempty"`
}

func comparisons() ([]comparison, error) {
	published, err := model.PublishedModels()
	if err != nil {
		return nil, err
	}
	var rows []comparison
	for _, p := range published {
		row := comparison{Published: p}
		if p.Structure != nil {
			plan, err := model.Build(*p.Structure)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.Name, err)
			}
			row.Trainable, row.OurMACs = plan.Costs().Trainable, plan.Costs().MACs
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (a *app) compareModels() error {
	rows, err := comparisons()
	if err != nil {
		return err
	}
	if a.json {
		return a.document(rows)
	}
	var lines [][]string
	for _, r := range rows {
		lines = append(lines, r.line())
	}
	header := []string{"model", "px", "params, paper", "here", "MACs, paper", "here", "accuracy, paper"}
	if err := term.Table(a.stdout, header, lines); err != nil {
		return err
	}
	a.say("\n  here: trainable parameters without the auxiliary head. -: the cell was published as a figure only.\n" +
		"  *: the paper's sizes do not follow from the structure that was released; 1538 is not a multiple of 24, 1536 is built.")
	return nil
}

func (r comparison) line() []string {
	million := func(x float64) string { return fmt.Sprintf("%.1f M", x/1e6) }
	or := func(ok bool, text string) string {
		if ok {
			return text
		}
		return "-"
	}
	name := r.Name
	if r.Departs {
		name += " *"
	}
	accuracy := fmt.Sprintf("top-1 %.1f, top-5 %.1f %%", r.Top1, r.Top5)
	if r.Error > 0 {
		accuracy = fmt.Sprintf("error %.2f %%", r.Error)
		if r.Cutout > 0 {
			accuracy += fmt.Sprintf(", with cutout %.2f %%", r.Cutout)
		}
	}
	built := r.Structure != nil
	return []string{
		name, fmt.Sprint(r.Pixels), million(r.Params), or(built, million(float64(r.Trainable))),
		or(r.MACs > 0, million(r.MACs)), or(built, million(float64(r.OurMACs))), accuracy,
	}
}
