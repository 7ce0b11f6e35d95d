package weights_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/savedmodel/weights"
)

func plan(t *testing.T, change func(*model.Model)) *model.Plan {
	t.Helper()
	m, err := model.Preset("nasnet-a-mobile")
	if err != nil {
		t.Fatal(err)
	}
	m.NormalCells, m.Filters, m.Input = 3, 8, [3]int{96, 96, 3}
	if change != nil {
		change(&m)
	}
	p, err := model.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// checkpoint lists a plan's variables as a checkpoint would.
func checkpoint(p *model.Plan, suffix string) []weights.Entry {
	var list []weights.Entry
	for _, v := range p.Variables() {
		e := weights.Entry{Name: v.Name + suffix}
		for _, d := range v.Shape {
			e.Shape = append(e.Shape, int64(d))
		}
		list = append(list, e)
	}
	return list
}

func TestSlimTakesAverages(t *testing.T) {
	p := plan(t, nil)
	entries := append(checkpoint(p, ""), checkpoint(p, weights.AverageSuffix)...)
	entries = append(entries, weights.Entry{Name: "global_step"}, weights.Entry{Name: "conv0/weights/RMSProp_1", Shape: []int64{3, 3, 3, 32}})
	for averages, want := range map[weights.Averages]string{
		weights.AveragesAuto: "conv0/weights/ExponentialMovingAverage", weights.AveragesNo: "conv0/weights",
	} {
		m, err := weights.Slim(p, entries, weights.Options{Averages: averages})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Sources["conv0/weights"].Name; got != want || len(m.Sources) != len(p.Variables()) {
			t.Errorf("%s: conv0/weights from %s; %d of %d variables", averages, got, len(m.Sources), len(p.Variables()))
		}
		if !slices.Equal(m.Ignored, []string{"conv0/weights/RMSProp_1", "global_step"}) {
			t.Errorf("ignored: %v", m.Ignored)
		}
	}
	if _, err := weights.Slim(p, checkpoint(p, ""), weights.Options{Averages: weights.AveragesYes}); err == nil || !strings.Contains(err.Error(), "missing: conv0/weights/ExponentialMovingAverage") {
		t.Errorf("averages that are not there: %v", err)
	}
}

func TestEveryFaultIsListed(t *testing.T) {
	p := plan(t, nil)
	entries := checkpoint(p, "")
	entries[0].Shape = []int64{5, 5, 3, 32} // conv0/weights
	gone := entries[7].Name
	entries = append(slices.Delete(entries, 7, 8), weights.Entry{Name: "cell_0/nonsense", Shape: []int64{2}})
	_, err := weights.Slim(p, entries, weights.Options{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"3 faults", "misshapen: conv0/weights is [5 5 3 32], the model wants [3 3 3 32]", "missing: " + gone, "unmapped: cell_0/nonsense [2]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

// A head that only one side has is left out.
func TestAuxiliaryHeadIsOptional(t *testing.T) {
	with, without := plan(t, nil), plan(t, func(m *model.Model) { m.AuxHead = false })
	m, err := weights.Slim(with, checkpoint(without, ""), weights.Options{})
	if err != nil || m.Plan.AuxLogits >= 0 || m.Plan.Model.AuxHead {
		t.Errorf("a source without the head: %v", err)
	}
	m, err = weights.Slim(without, checkpoint(with, ""), weights.Options{})
	if err != nil || len(m.Ignored) == 0 {
		t.Errorf("a model without the head: %v; ignored %v", err, m.Ignored)
	}
}

// Known pairs of names (keras/src/applications/nasnet.py), and no two variables
// under one name.
func TestKerasNames(t *testing.T) {
	for ours, want := range map[string]string{
		"conv0/weights":                "stem_conv1/kernel",
		"cell_stem_0/1x1/weights":      "reduction_conv_1_stem_1/kernel",
		"cell_stem_1/prev_1x1/weights": "adjust_conv_projection_stem_2/kernel",
		"cell_3/beginning_bn/gamma":    "normal_bn_1_3/gamma",

		"cell_4/comb_iter_0/left/separable_5x5_1/depthwise_weights":            "separable_conv_1_normal_left1_5/depthwise_kernel",
		"cell_11/comb_iter_4/left/bn_sep_3x3_2/moving_mean":                    "separable_conv_2_bn_normal_left5_12/moving_mean",
		"reduction_cell_0/comb_iter_4/left/separable_3x3_2/pointwise_weights":  "separable_conv_2_reduction_left4_reduce_4/pointwise_kernel",
		"reduction_cell_1/comb_iter_1/right/separable_7x7_1/depthwise_weights": "separable_conv_1_reduction_right2_reduce_8/depthwise_kernel",
		"cell_8/final_path_bn/beta":                                            "adjust_bn_9/beta",
		"final_layer/FC/biases":                                                "predictions/bias",
	} {
		if got := weights.KerasName(ours, 4); got != want {
			t.Errorf("%s is %s, want %s", ours, got, want)
		}
	}
	p := plan(t, func(m *model.Model) { m.NormalCells, m.AuxHead = 12, false })
	seen := map[string]string{}
	for _, v := range p.Variables() {
		name := weights.KerasName(v.Name, 4)
		if old, twice := seen[name]; twice || name == "" {
			t.Errorf("%s and %s are both %q", v.Name, old, name)
		}
		seen[name] = v.Name
	}
}

// Keras 2 writes layer/layer/kernel:0.
func TestNpzReadsBothSpellings(t *testing.T) {
	p := plan(t, func(m *model.Model) { m.AuxHead = false })
	var entries []weights.Entry
	for _, e := range checkpoint(p, "") {
		layer, weight, _ := strings.Cut(weights.KerasName(e.Name, 1), "/")
		entries = append(entries, weights.Entry{Name: layer + "/" + layer + "/" + weight + ":0", Shape: e.Shape})
	}
	m, err := weights.Npz(p, entries, weights.Options{})
	if err != nil || m.Sources["conv0/weights"].Name != "stem_conv1/stem_conv1/kernel:0" {
		t.Errorf("%v, %v", err, m.Sources["conv0/weights"])
	}
	if _, err := weights.Npz(p, []weights.Entry{{Name: "arr_0"}}, weights.Options{}); err == nil || !strings.Contains(err.Error(), "have no names") {
		t.Errorf("arrays without names: %v", err)
	}
}
