package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write puts a text into a file of the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// A bad genotype is refused with its place and reason wherever one is read.
func TestBadGenotypesExitWithTwo(t *testing.T) {
	const block = "{left: [0, identity], right: [1, identity]}"
	for name, c := range map[string]struct{ text, want string }{
		"a cycle":             {"normal: {blocks: [{left: [2, identity], right: [1, identity]}], concat: [2]}", "normal cell: block 0, left: state 2 is made by this block or a later one, a cycle"},
		"an unknown op":       {"normal: {blocks: [{left: [0, nosuch], right: [1, identity]}], concat: [2]}", `block 0, left: unknown operation "nosuch"`},
		"index out of range":  {"normal: {blocks: [{left: [0, identity], right: [17, identity]}], concat: [2]}", "block 0, right: state 17; the cell has 0 to 2"},
		"concat out of range": {"normal: {blocks: [" + block + "], concat: [3]}", "concat: state 3; the cell has 0 to 2"},
		"an empty concat":     {"normal: {blocks: [" + block + "], concat: []}", "concat: no state is listed"},
		"a million blocks":    {"normal: {blocks: [" + strings.Repeat(block+",", 1e6) + "], concat: [2]}", "a genotype of 44000033 bytes"},
	} {
		cell := write(t, "cell.yaml", c.text)
		model := write(t, "model.yaml", "cell: "+cell+"\n")
		for _, args := range [][]string{{"draw", cell}, {"describe", model}, {"train", "--set", "model.cell=" + cell, "--run", t.TempDir()}} {
			if code, _, errs := nasnet(args...); code != exitUsage || !strings.Contains(errs, c.want) {
				t.Errorf("%s, %v: exit code %d, %.300q; want %q", name, args[0], code, errs, c.want)
			}
		}
	}
}

// The counts of all presets (reference nasnet.md section 7).
func TestDescribePresets(t *testing.T) {
	for name, want := range map[string][4]int64{ // trainable, total, auxiliary, MACs
		"nasnet-a-cifar":  {3346538, 3346538 + 37248, 1631498, 544333},
		"nasnet-a-mobile": {5289978, 5326716, 2411240, 563639},
		"nasnet-a-large":  {88753150, 88949818, 4567784, 23783415},
	} {
		code, out, errs := nasnet("describe", name, "--json", "--batch", "4")
		var d description
		if err := json.Unmarshal([]byte(out), &d); code != 0 || err != nil {
			t.Fatal(code, errs, err)
		}
		if got := [4]int64{d.Trainable, d.Params, d.Aux, (d.MACs + 500) / 1000}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		var params, aux, macs int64
		for _, s := range d.Stages {
			if s.Name == "auxiliary head" {
				aux = s.Trainable
				continue
			}
			params, macs = params+s.Params, macs+s.MACs
		}
		if params != d.Params || aux != d.Aux || macs != d.MACs {
			t.Errorf("%s: the stages add up to %d, %d, %d", name, params, aux, macs)
		}
		if d.Memory.Weights != 4*d.Params || d.Memory.Batch != 4 || d.Memory.Training <= d.Memory.Inference {
			t.Errorf("%s: memory %+v", name, d.Memory)
		}
	}
}

// The paper's rows: those whose sizes do not follow are marked, the others agree
// to the paper's rounding.
func TestCompareMarksTheRowsThatDepart(t *testing.T) {
	_, out, _ := nasnet("describe", "--compare", "--json")
	var rows []comparison
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 10 {
		t.Fatalf("%d rows (%v)", len(rows), err)
	}
	marked := 0
	for _, r := range rows {
		if r.Trainable == 0 {
			continue // published as a figure only
		}
		// The paper counts large with its moving statistics: 88.9 M.
		agrees := within(float64(r.Trainable), r.Params, 0.02) && (r.MACs == 0 || within(float64(r.OurMACs), r.MACs, 0.005))
		if agrees == r.Departs {
			t.Errorf("%s: %d parameters against %g, %d multiply-adds against %g; marked: %v", r.Name, r.Trainable, r.Params, r.OurMACs, r.MACs, r.Departs)
		}
		if r.Departs {
			marked++
		}
	}
	if marked != 3 {
		t.Errorf("%d rows are marked, want 3", marked)
	}
	if _, text, _ := nasnet("describe", "--compare"); !strings.Contains(text, "NASNet-A (7 @ 1920) *") {
		t.Errorf("the table lacks a mark:\n%s", text)
	}
}

func within(a, b, share float64) bool { return a > b*(1-share) && a < b*(1+share) }

func TestDrawTwoCells(t *testing.T) {
	code, out, errs := nasnet("draw", "darts-v1", "darts-v2")
	if code != 0 || !strings.Contains(out, "+ block 3   = add( skip previous, dilsep3x3 block 0 )") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
	if code, out, _ = nasnet("draw", "nasnet-a", "nasnet-a"); code != 0 || strings.Count(out, "the same") != 2 {
		t.Errorf("a cell and itself: %s", out)
	}
	if code, out, _ = nasnet("draw", "nasnet-a", "amoebanet-a", "--format", "svg"); code != 0 || strings.Count(out, `class="op new"`) == 0 {
		t.Errorf("exit code %d; nothing in the drawing is marked", code)
	}
	if code, _, errs = nasnet("draw", "nasnet-a", "amoebanet-a", "--format", "dot"); code != exitUsage {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
