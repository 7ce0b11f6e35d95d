package cells_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells"
)

// What leaves each published cell, by the used_hiddenstates of the releases
// (tensorflow/tpu model_specs.py, slim nasnet_utils.py and pnasnet.py) and the
// concats of quark0/darts.
func TestZooConcats(t *testing.T) {
	for name, want := range map[string][2]string{
		"nasnet-a":    {"1 2 3 4 5 6", "3 4 5 6"},
		"amoebanet-a": {"1 3 4 6", "2 3 4 5 6"},
		"amoebanet-b": {"0 3 4 6", "5 6"},
		"amoebanet-c": {"1 2 4 5 6", "0 2 3 4 5 6"},
		"amoebanet-d": {"0 3 4 6", "4 5 6"},
		"pnasnet-5":   {"2 3 4 5 6", "2 3 4 5 6"},
		"darts-v1":    {"2 3 4 5", "2 3 4 5"},
		"darts-v2":    {"2 3 4 5", "2 3 4 5"},
	} {
		g, err := cells.Lookup(name)
		if err != nil {
			t.Error(err)
			continue
		}
		got := [2]string{strings.Trim(fmt.Sprint(g.Normal.Concat), "[]"), strings.Trim(fmt.Sprint(g.Reduction.Concat), "[]")}
		if got != want || g.Name != name || g.Source == "" {
			t.Errorf("%s: concats %q, want %q; name %q, source %q", name, got, want, g.Name, g.Source)
		}
	}
}

// A cell that is looked up belongs to the caller.
func TestLookupGivesACopy(t *testing.T) {
	g := cells.NASNetA()
	g.Normal.Blocks[0].Left.Op = cells.Max7x7
	g.Reduction.Concat[0] = 0
	if h := cells.NASNetA(); h.Normal.Blocks[0].Left.Op != cells.Sep5x5 || h.Reduction.Concat[0] != 3 {
		t.Error("changing a looked-up cell changed the built-in one")
	}
}

func TestLoadSaysWhyACellIsNotThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.yaml"), []byte(fourInputs), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := cells.Load("mine.yaml", dir); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"nasnet-b": "published as a figure only", "nasnet-x": "no built-in cell", "absent.yaml": "neither a built-in cell nor a readable file",
	} {
		if _, err := cells.Load(name, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
}

// The structure of NASNet-B: four inputs, and a state for each of the next four
// cells in place of a concat (paper, appendix, figure 8).
const fourInputs = `
inputs: 4
normal:
  blocks:
    - {left: [0, sep3x3], right: [3, avg3x3]}
    - {left: [1, conv1x1], right: [4, identity], combine: add_layer_norm}
    - {left: [2, max3x3], right: [5, sep5x5], combine: add_instance_norm}
    - {left: [3, identity], right: [0, sep7x7]}
  outputs: [4, 5, 7, 6]
`

func TestCellsThatPassOnTheirStatesOneByOne(t *testing.T) {
	g, err := cells.Parse([]byte(fourInputs))
	if err != nil {
		t.Fatal(err)
	}
	if g.States() != 4 || fmt.Sprint(g.Normal.Outputs) != "[4 5 7 6]" {
		t.Errorf("%+v", g)
	}
	other := strings.Replace(fourInputs, "[4, 5, 7, 6]", "[5, 4, 7, 6]", 1)
	h, err := cells.Parse([]byte(other))
	if err != nil || h.Hash() == g.Hash() {
		t.Errorf("states that go to other cells have the same hash (%v)", err)
	}
	for text, want := range map[string]string{
		strings.Replace(fourInputs, "[4, 5, 7, 6]", "[4, 5, 7]", 1):                                "outputs: 3 states for cells of 4 inputs",
		strings.Replace(fourInputs, "[4, 5, 7, 6]", "[0, 5, 7, 6]", 1):                             "outputs: state 0 is an input",
		strings.Replace(fourInputs, "[4, 5, 7, 6]", "[4, 5, 7, 6]\n  concat: [4]", 1):              "concat and outputs are both given",
		fourInputs + "reduction: {blocks: [{left: [0, max3x3], right: [1, max3x3]}], concat: [4]}": "one cell has outputs and the other a concat",
	} {
		if _, err := cells.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q", err, want)
		}
	}
}

func TestDifferencesGoByWhatStatesCompute(t *testing.T) {
	a := cells.Cell{Blocks: []cells.Block{
		{Left: cells.Branch{From: 0, Op: cells.Sep3x3}, Right: cells.Branch{From: 1, Op: cells.Identity}},
		{Left: cells.Branch{From: 2, Op: cells.Max3x3}, Right: cells.Branch{From: 1, Op: cells.Avg3x3}},
	}, Concat: []int{2, 3}}
	b := cells.Cell{Blocks: []cells.Block{
		{Left: cells.Branch{From: 0, Op: cells.Conv1x1}, Right: cells.Branch{From: 0, Op: cells.Identity}},
		{Left: cells.Branch{From: 1, Op: cells.Identity}, Right: cells.Branch{From: 0, Op: cells.Sep3x3}}, // a's first block
	}, Concat: []int{3, 2}}
	d := cells.Differences(a, b, 2)
	if got := fmt.Sprint(d.OnlyA, d.OnlyB, d.ConcatOnlyA, d.ConcatOnlyB, d.Blocks); got != "[1] [0] [3] [2] 1" {
		t.Errorf("got %s", got)
	}
	if !cells.Differences(a, a, 2).Same() || d.Same() {
		t.Error("Same is wrong")
	}
}
