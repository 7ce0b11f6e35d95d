package detector_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/internal/reftest"
)

func plan(t *testing.T, preset string, size int, change func(*detector.Options)) *detector.Plan {
	t.Helper()
	m, err := model.Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	m.Input = [3]int{size, size, 3}
	o := detector.Release()
	if change != nil {
		change(&o)
	}
	p, err := detector.Build(detector.Detector{Model: m, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Sizes of reference detection.md section 14.
func TestReleasedSizes(t *testing.T) {
	p := plan(t, "nasnet-a-large", 1200, nil)
	if p.Features != [3]int{75, 75, 4032} || p.AnchorCount() != 67_500 || p.TotalCells() != 22 {
		t.Errorf("features %v, %d anchors, %d cells", p.Features, p.AnchorCount(), p.TotalCells())
	}
	inside := 0
	for _, in := range detector.Inside(p.AnchorBoxes(), 1200, 1200) {
		if in {
			inside++
		}
	}
	if inside != 44_160 {
		t.Errorf("%d anchors inside, want 44160", inside)
	}
	if c := p.Costs(300); c.Trainable != 105_155_937 || c.Params != 105_352_605 {
		t.Errorf("%d trainable, %d in all", c.Trainable, c.Params)
	}
	for i, want := range []int64{20_101_974, 18_616_904, 64_618_176, 1_818_883} {
		if got := p.Parts()[i].Trainable; got != want {
			t.Errorf("%s: %d trainable, want %d", p.Parts()[i].Name, got, want)
		}
	}
}

func TestMultiplyAdds(t *testing.T) {
	for _, c := range []struct {
		preset    string
		size      int
		proposals []int
		giga      []float64
	}{
		{"nasnet-a-large", 1200, []int{50, 300, 500}, []float64{587, 2035, 3193}},
		{"nasnet-a-large", 800, []int{50, 300, 500}, []float64{422, 1869, 3027}},
		{"nasnet-a-mobile", 600, []int{50, 300, 500}, []float64{24.6, 98.6, 157.7}},
	} {
		p := plan(t, c.preset, c.size, nil)
		for i, n := range c.proposals {
			if got := float64(p.Costs(n).MACs) / 1e9; math.Abs(got/c.giga[i]-1) > 0.01 {
				t.Errorf("%s at %d, %d proposals: %.1f G, want %.1f", c.preset, c.size, n, got, c.giga[i])
			}
		}
	}
}

func TestMobileByTheSameRule(t *testing.T) {
	p := plan(t, "nasnet-a-mobile", 600, nil)
	if p.Features != [3]int{38, 38, 1056} || p.AnchorCount() != 17_328 {
		t.Errorf("features %v, %d anchors", p.Features, p.AnchorCount())
	}
	if c := p.Costs(300); c.Trainable != 9_613_181 || c.Params-c.Trainable != 36_738 {
		t.Errorf("%d trainable, %d moving", c.Trainable, c.Params-c.Trainable)
	}
}

// Every variable of the released model: name, shape, role, and nothing else.
func TestReleasedVariables(t *testing.T) {
	f, err := os.Open(reftest.Shared(t, "golden", "detection", "variables.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, r := range rows[1:] {
		want = append(want, strings.Join([]string{r[1], r[2], r[3], r[4]}, " "))
	}
	bit := map[bool]string{true: "1", false: "0"}
	for _, v := range plan(t, "nasnet-a-large", 1200, nil).Variables() {
		shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(v.Shape), "[]"), " ", "x")
		got = append(got, strings.Join([]string{v.Name, shape, bit[v.Trainable], bit[v.L2]}, " "))
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(got) != len(want) {
		t.Errorf("%d variables, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("variable %q, want %q", got[i], want[i])
		}
	}
}

// A place of the grid by hand: the anchor leaves the image at the corner.
func TestAnchorsByHand(t *testing.T) {
	a := detector.Anchors{Scales: []float64{0.5, 1}, Ratios: []float64{1, 4}, Base: 8}
	got := a.Boxes(1, 2, 10)
	want := []float32{-2, -2, 2, 2, -4, -4, 4, 4, -1, -4, 1, 4, -2, -8, 2, 8, -2, 8, 2, 12, -4, 6, 4, 14, -1, 6, 1, 14, -2, 2, 2, 18}
	if !slices.Equal(got, want) {
		t.Errorf("anchors %v, want %v", got, want)
	}
	if in := detector.Inside([]float32{0, 0, 5, 10, 0, 0, 5, 10.01, -0.1, 0, 1, 1}, 5, 10); !slices.Equal(in, []bool{true, false, false}) {
		t.Errorf("inside: %v", in)
	}
}

func TestAnchorsOfTheReference(t *testing.T) {
	z, err := npy.OpenArchive(reftest.Shared(t, "golden", "detection", "anchors.npz"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for name, scales := range map[string][]float64{"anchors": {0.25, 0.5, 1, 2}, "small_anchors": {0.0625, 0.125, 0.25}} {
		want, _, err := z.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		got := detector.Anchors{Scales: scales, Ratios: []float64{0.5, 1, 2}, Base: 256}.Boxes(5, 7, 16)
		if len(got) != len(want) {
			t.Fatalf("%s: %d numbers, want %d", name, len(got), len(want))
		}
		for i := range got {
			if math.Abs(float64(got[i]-want[i])) > 1e-4 {
				t.Fatalf("%s: number %d is %g, want %g", name, i, got[i], want[i])
			}
		}
	}
}

func TestFaultsAreAllListed(t *testing.T) {
	m, err := model.Preset("nasnet-a-mobile")
	if err != nil {
		t.Fatal(err)
	}
	o := detector.Release()
	o.Classes, o.RPN.Unmatched, o.Second.Batch, o.ClipOrder = 0, 0.8, 501, "never"
	_, err = detector.Build(detector.Detector{Model: m, Options: o})
	for _, key := range []string{"classes", "rpn.unmatched", "second.batch", "clip_order"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not in: %v", key, err)
		}
	}
}
