package model_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
)

// described are variables with their shapes, without a prefix and without those
// of the heads, sorted.
func described(list []model.Variable, prefix string) []string {
	var names []string
	for _, v := range list {
		if !isAux(v) && !strings.HasPrefix(v.Name, "final_layer/") {
			names = append(names, fmt.Sprint(strings.TrimPrefix(v.Name, prefix), v.Shape))
		}
	}
	slices.Sort(names)
	return names
}

// Both stages together have the variables and the drop-path cells of the whole
// network, whatever its cells.
func TestTheStagesAreTheNetwork(t *testing.T) {
	for _, name := range cells.Names() {
		g, err := cells.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, preset := range []string{"nasnet-a-mobile", "nasnet-a-large"} {
			m, err := model.Preset(preset)
			if err != nil {
				t.Fatal(err)
			}
			m.Cell, m.Filters, m.NormalCells, m.Input, m.DropPathKeep = g, 48, 6, [3]int{192, 192, 3}, 0.7
			first, second, err := model.Split(m, 17, [2]string{"First", "Second"})
			if g.States() > 2 || len(g.Normal.Outputs) > 0 {
				if err == nil {
					t.Errorf("%s: cells of %d inputs were split", name, g.States())
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			whole, err := model.Build(m)
			if err != nil {
				t.Fatal(err)
			}
			got := append(described(first.Variables(), "First/"), described(second.Variables(), "Second/")...)
			slices.Sort(got)
			if want := described(whole.Variables(), ""); !slices.Equal(got, want) {
				t.Errorf("%s, %s: %d variables, the whole has %d", preset, name, len(got), len(want))
			}
			if got, want := append(dropCells(first), dropCells(second)...), dropCells(whole); !slices.Equal(got, want) || first.TotalCells != whole.TotalCells || second.TotalCells != whole.TotalCells {
				t.Errorf("%s, %s: drop path in cells %v, in the whole %v", preset, name, got, want)
			}
			if shape := first.Layers[first.Pooled].Shape; shape[0] != 12 || shape[1] != 12 {
				t.Errorf("%s, %s: features %v of 192 pixels, want a place each 16", preset, name, shape)
			}
		}
	}
}

// dropCells are the cells of a plan's drop-path layers.
func dropCells(p *model.Plan) []int {
	var list []int
	for _, l := range p.Layers {
		if l.Kind == model.DropPath {
			list = append(list, l.Cell)
		}
	}
	return list
}

// What the second stage reads: its inputs in their order, and nothing else.
func TestTheSecondStageHasTwoInputs(t *testing.T) {
	m, err := model.Preset("nasnet-a-large")
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := model.Split(m, 17, [2]string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	values := second.RandomValues(1)
	folded, _, err := second.Inference(values)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*model.Plan{second, folded} {
		var inputs []string
		for _, l := range p.Layers {
			if l.Kind == model.Input {
				inputs = append(inputs, fmt.Sprint(l.Name, l.Shape))
			}
		}
		if want := []string{"b/previous[17 17 2016]", "b/current[17 17 2016]"}; !slices.Equal(inputs, want) {
			t.Errorf("inputs %v, want %v", inputs, want)
		}
	}
	for name, want := range map[string][3]int{"Reduction_Cell_1": {9, 9, 2688}, "Cell_17": {9, 9, 4032}, model.LastPoint: {9, 9, 4032}, model.PooledPoint: {1, 1, 4032}} {
		i := slices.IndexFunc(second.EndPoints, func(e model.EndPoint) bool { return e.Name == name })
		if i < 0 || second.Layers[second.EndPoints[i].Layer].Shape != want {
			t.Errorf("%s: %v", name, second.EndPoints)
		}
	}
}
