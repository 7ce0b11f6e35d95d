package main

import (
	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/doctor"
	"github.com/nasnet-go/nasnet/internal/libtf"
)

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "describe MODEL", Short: "Parameters, multiply-adds and end points of a model, without TensorFlow",
		Example: "  nasnet describe nasnet-a-mobile --json\n  nasnet describe my-model.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := describe(args[0])
			if err != nil {
				return usagef("%v", err)
			}
			if a.json {
				return a.document(d)
			}
			a.say("%s: %d parameters, %d of them trainable; %d multiply-adds an image; auxiliary head %d parameters", args[0], d.Params, d.Trainable, d.MACs, d.Aux)
			for _, e := range d.EndPoints {
				a.say("  %-20s %v", e.Name, e.Shape)
			}
			return nil
		},
	}
}

// description is the JSON document of describe.
type description struct {
	model.Costs
	Input       [3]int     `json:"input"`
	Classes     int        `json:"classes"`
	Penultimate int        `json:"penultimate"`
	EndPoints   []endPoint `json:"endpoints"`
}

type endPoint struct {
	Name  string `json:"name"`
	Shape [3]int `json:"shape"`
}

func describe(name string) (description, error) {
	m, err := configs.Model{Name: name}.Network()
	if err != nil {
		return description{}, err
	}
	p, err := model.Build(m)
	if err != nil {
		return description{}, err
	}
	d := description{Costs: p.Costs(), Input: m.Input, Classes: m.Classes, Penultimate: p.Layers[p.Pooled].Shape[2]}
	for _, e := range p.EndPoints {
		d.EndPoints = append(d.EndPoints, endPoint{e.Name, p.Layers[e.Layer].Shape})
	}
	return d, nil
}

func (a *app) doctorCommand() *cobra.Command {
	var fix bool
	c := &cobra.Command{Use: "doctor", Short: "What this machine can do, and what is missing", Args: cobra.NoArgs}
	c.Flags().BoolVar(&fix, "fix", false, "fetch TensorFlow's C library where it is missing")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if fix {
			bar := a.term.Bar("libtensorflow", "bytes")
			_, err := libtf.Fetch(c.Context(), libtf.Options{}, func(_ string, done, total int64) { bar.Set(done, total, "") })
			bar.End()
			if err != nil {
				return err
			}
		}
		report, err := doctor.Examine(c.Context(), doctor.Options{Log: a.log()})
		if err != nil {
			return err
		}
		return a.document(report)
	}
	return c
}
