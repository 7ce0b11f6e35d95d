package model_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/reftest"
)

func count(vars []model.Variable, keep func(model.Variable) bool) int64 {
	n := int64(0)
	for _, v := range vars {
		if keep(v) {
			n += v.Size()
		}
	}
	return n
}

func isAux(v model.Variable) bool { return strings.HasPrefix(v.Name, "aux_") }

// Counts of reference nasnet.md section 7: slim, Keras and arithmetic agree.
func TestParameterCounts(t *testing.T) {
	for _, c := range []struct {
		name                   string
		classes                int
		trainable, moving, aux int64
		tensors                int
	}{
		{"nasnet-a-cifar", 10, 3346538, 37248, 1631498, 944},
		{"nasnet-a-mobile", 1001, 5291035, 36738, 2412009, 750},
		{"nasnet-a-mobile", 1000, 5289978, 36738, 2411240, 750},
		{"nasnet-a-large", 1001, 88757183, 196668, 4568553, 1026},
		{"nasnet-a-large", 1000, 88753150, 196668, 4567784, 1026},
	} {
		m, err := model.Preset(c.name)
		if err != nil {
			t.Fatal(err)
		}
		m.Classes = c.classes
		p, err := model.Build(m)
		if err != nil {
			t.Fatal(err)
		}
		vars := p.Variables()
		got := []int64{
			count(vars, func(v model.Variable) bool { return v.Trainable && !isAux(v) }),
			count(vars, func(v model.Variable) bool { return !v.Trainable && !isAux(v) }),
			count(vars, func(v model.Variable) bool { return v.Trainable && isAux(v) }),
			count(vars, func(v model.Variable) bool { return !v.Trainable && isAux(v) }),
		}
		for i, want := range []int64{c.trainable, c.moving, c.aux, 1792} {
			if got[i] != want {
				t.Errorf("%s with %d classes: %s %d, want %d", c.name, c.classes, []string{"trainable", "moving", "aux", "aux moving"}[i], got[i], want)
			}
		}
		tensors := 0
		for _, v := range vars {
			if v.Trainable {
				tensors++
			}
		}
		if tensors != c.tensors {
			t.Errorf("%s: %d trainable tensors, want %d", c.name, tensors, c.tensors)
		}
	}
}

// Names, order, shapes and decay of every variable are those of slim's own runs.
func TestVariablesAreThoseOfSlim(t *testing.T) {
	for _, name := range []string{"a1-cifar", "a2-mobile", "a3-large"} {
		dir := reftest.Shared(t, "golden", "slim", name)
		p := goldenPlan(t, dir)
		f, err := os.Open(filepath.Join(dir, "variables.csv"))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		vars := p.Variables()
		if len(vars) != len(rows)-1 {
			t.Errorf("%s: %d variables, slim has %d", name, len(vars), len(rows)-1)
		}
		for i, row := range rows[1:] {
			var dims []string
			for _, d := range vars[i].Shape {
				dims = append(dims, strconv.Itoa(d))
			}
			flag := map[bool]string{true: "1", false: "0"}
			got := []string{row[0], vars[i].Name, strings.Join(dims, "x"), flag[vars[i].Trainable], flag[vars[i].L2], row[5]}
			if strings.Join(got, ",") != strings.Join(row, ",") {
				t.Fatalf("%s: variable %v, slim has %v", name, got, row)
			}
		}
		checkEndPoints(t, name, p, filepath.Join(dir, "endpoints.json"))
	}
}

func checkEndPoints(t *testing.T, name string, p *model.Plan, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ Train map[string][]int }
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	for _, e := range p.EndPoints {
		shape, ok := want.Train[e.Name]
		if !ok {
			t.Errorf("%s: slim has no end point %s", name, e.Name)
			continue
		}
		got := p.Layers[e.Layer].Shape
		if len(shape) == 4 && got != [3]int{shape[1], shape[2], shape[3]} || len(shape) == 2 && got[2] != shape[1] {
			t.Errorf("%s: end point %s is %v, slim's %v", name, e.Name, got, shape)
		}
	}
}

func goldenPlan(t *testing.T, dir string) *model.Plan {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Style      string  `json:"style"`
		Input      int     `json:"input_size"`
		Cells      int     `json:"num_cells"`
		Filters    int     `json:"num_conv_filters"`
		Classes    int     `json:"num_classes"`
		Skip       int     `json:"skip_reduction_layer_input"`
		Multiplier float64 `json:"stem_multiplier"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	m, err := model.Preset("nasnet-a-mobile")
	if c.Style == "cifar" {
		m, err = model.Preset("nasnet-a-cifar")
	}
	if err != nil {
		t.Fatal(err)
	}
	m.NormalCells, m.Filters, m.Classes, m.SkipReductionInput = c.Cells, c.Filters, c.Classes, c.Skip == 1
	m.StemMultiplier, m.Input = c.Multiplier, [3]int{c.Input, c.Input, 3}
	p, err := model.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every genotype of the space, at any size, makes a consistent plan: inputs come
// before, names are unique, sums and concats fit, states have the cell's width.
func TestEveryGenotypeOfTheSpaceBuilds(t *testing.T) {
	space := cells.NASNetSpace()
	rapid.Check(t, func(t *rapid.T) {
		var choices []int
		for _, n := range space.Sizes() {
			choices = append(choices, rapid.IntRange(0, n-1).Draw(t, "choice"))
		}
		g, err := space.Decode(choices)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := model.Preset(rapid.SampledFrom([]string{"nasnet-a-cifar", "nasnet-a-mobile"}).Draw(t, "preset"))
		m.Cell, m.AuxHead = g, false
		m.NormalCells = 3 * rapid.IntRange(1, 3).Draw(t, "N")
		m.Filters = rapid.IntRange(8, 20).Draw(t, "filters")
		m.SkipReductionInput = rapid.Bool().Draw(t, "skip")
		side := rapid.IntRange(17, 40).Draw(t, "side")
		m.Input = [3]int{side, side, 3}
		p, err := model.Build(m)
		if err != nil {
			t.Fatal(err)
		}
		checkPlan(t, p)
	})
}

func checkPlan(t *rapid.T, p *model.Plan) {
	names := map[string]bool{}
	for _, v := range p.Variables() {
		if names[v.Name] {
			t.Fatalf("two variables are called %s", v.Name)
		}
		names[v.Name] = true
	}
	for i, l := range p.Layers {
		channels := 0
		for _, in := range l.Inputs {
			if in >= i {
				t.Fatalf("layer %d (%s) reads layer %d", i, l.Name, in)
			}
			s := p.Layers[in].Shape
			channels += s[2]
			if l.Kind == model.AddUp && s != l.Shape || l.Kind == model.ConcatChannels && (s[0] != l.Shape[0] || s[1] != l.Shape[1]) {
				t.Fatalf("%s (%s) of %v gets %v", l.Name, l.Kind, l.Shape, s)
			}
		}
		if l.Kind == model.ConcatChannels && channels != l.Shape[2] {
			t.Fatalf("%s has %d channels of %d", l.Name, l.Shape[2], channels)
		}
		if l.Shape[0] < 1 || l.Shape[1] < 1 || l.Shape[2] < 1 {
			t.Fatalf("%s has shape %v", l.Name, l.Shape)
		}
	}
}

func TestFaultsAreAllNamed(t *testing.T) {
	err := model.Model{Filters: -1, Classes: 1}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{"style", "normal_cells", "filters", "stem_multiplier", "input", "classes", "batch_norm.decay", "pooling", "cell"} {
		if !strings.Contains(err.Error(), "model: "+key+":") {
			t.Errorf("the error lacks %s:\n%v", key, err)
		}
	}
	m, _ := model.Preset("nasnet-a-mobile")
	m.Input = [3]int{64, 64, 3}
	if _, err := model.Build(m); err == nil || !strings.Contains(err.Error(), "too small") || !strings.Contains(err.Error(), "aux_") {
		t.Errorf("an input too small for the auxiliary head: %v", err)
	}
}
