package main

import (
	"encoding/json"
	"errors"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/internal/rundir"
	"github.com/nasnet-go/nasnet/pipeline/eval"
)

// evalMeasuresAll evaluates a run of the chain again: what the chain measured,
// with everything else of the predictions; and the same beside itself.
func evalMeasuresAll(t *testing.T, nasnet, dir string) {
	var chain api.EvalResult
	if found, err := (runFiles{dir}).read("eval.json", &chain); !found || err != nil {
		t.Fatal(found, err)
	}
	csv := filepath.Join(dir, predictionsCSV)
	for _, flags := range [][]string{{"--per-class", "--reference"}, {"--compare", csv}} {
		out, err := exec.Command(nasnet, append([]string{"eval", "--run", dir, "--json"}, flags...)...).Output()
		var doc scored
		if err != nil || json.Unmarshal(out, &doc) != nil {
			t.Fatalf("%v: %v\n%s", flags, err, out)
		}
		if doc.Top1 != chain.Top1 || doc.Top5 != chain.Top5 || doc.Top1CI != chain.Top1CI95 || doc.Images != 10_000 || doc.ImagesPerSecond <= 0 {
			t.Errorf("%v: %+v, the chain measured %+v", flags, doc, chain)
		}
		if flags[0] == "--compare" {
			if c := doc.Comparison; c == nil || c.OnlyFirst+c.OnlySecond != 0 || c.McNemar.PExact != 1 {
				t.Errorf("beside itself: %+v", c)
			}
			continue
		}
		if len(doc.Recall) != 10 || doc.Recall[3].Name != "cat" || len(doc.References) != 1 || doc.References[0].Agrees {
			t.Errorf("%v: recall %+v, references %+v", flags, doc.Recall, doc.References)
		}
	}
	fourWays(t, nasnet, dir, 10_000, os.Environ())
	list, err := eval.ReadFile(csv)
	if err != nil || len(list) != 10_000 {
		t.Errorf("%d predictions, %v", len(list), err)
	}
	for _, name := range []string{confusionFile, reliabilityFile, mistakesFile} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
}

// of scores two networks of 1001 outputs on four images.
func of(t *testing.T, d *rundir.Dir, s *scoring, says ...int) (scored, error) {
	t.Helper()
	p := predicted{logits: d.Join("logits.npy"), background: true, labels: []int{1, 2, 3, 4}, preset: "nasnet-a-large", set: "imagenet", perSecond: 1}
	logits := make([]float32, len(says)*1001)
	for i, class := range says {
		logits[i*1001], logits[i*1001+class] = 9, 5
		p.images = append(p.images, "ILSVRC2012_val_0000000"+string(rune('1'+i))+".JPEG")
	}
	if err := npy.Write(p.logits, logits, int64(len(says)), 1001); err != nil {
		t.Fatal(err)
	}
	return s.score(d, p)
}

// ReaL, the background and the comparison through the files that the flags name.
func TestScoringByTheFlagsFiles(t *testing.T) {
	d, err := rundir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := of(t, d, &scoring{}, 1, 2, 7, 8); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.csv")
	if err := os.Rename(d.Join(predictionsCSV), other); err != nil {
		t.Fatal(err)
	}
	s := &scoring{realFile: write(t, "real.json", "[[0], [], [6, 2], [5]]"), compareFile: other, reference: true}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	out, err := of(t, d, s, 1, 3, 3, 4)
	if err != nil || out.Top1 != 0.75 || out.RealScore == nil || out.RealImages != 3 || out.RealTop1 != 2.0/3 {
		t.Fatalf("%+v, %v", out.RealScore, err)
	}
	if c := out.Comparison; c.BothRight != 1 || c.OnlyFirst != 2 || c.OnlySecond != 1 {
		t.Errorf("%+v", c)
	}
	if len(out.References) != 3 {
		t.Errorf("published figures %+v", out.References)
	}
	var kept scored
	if found, err := (runFiles{d.Path}).read(evaluationFile, &kept); !found || err != nil || kept.RealScore == nil || kept.RealTop1 != out.RealTop1 || kept.Confusion != nil || len(kept.Recall) != 1000 {
		t.Errorf("kept %v %v: %d classes, ReaL %+v", found, err, len(kept.Recall), kept.RealScore)
	}
	if !slices.Equal(kept.Worst[0].Top[:1], []int{2}) {
		t.Errorf("worst %+v", kept.Worst)
	}
}

func TestScoringRefuses(t *testing.T) {
	for want, s := range map[string]*scoring{
		"absent.json":  {realFile: "absent.json"},
		"real.json of": {realFile: write(t, "x.json", "{}")},
		"absent.csv":   {compareFile: "absent.csv"},
		`no column`:    {compareFile: write(t, "x.csv", "a,b\n")},
	} {
		if err := s.prepare(); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	d, err := rundir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := of(t, d, &scoring{}, 1, 2, 3); err == nil || !strings.Contains(err.Error(), "shape [3 1001]") {
		t.Errorf("three rows for four images: %v", err)
	}
}
