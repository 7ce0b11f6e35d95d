package coco

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// randomCase draws a set and detections with everything that makes matching
// hard: ties in scores and boxes, crowds, empty images and categories, more than
// 100 detections, areas on the borders, boxes outside.
func randomCase(r *rand.Rand) ([]Image, []Category, []Object, []Detection) {
	images, categories := make([]Image, 1+r.IntN(8)), make([]Category, 1+r.IntN(4))
	for i, k := range r.Perm(len(images)) {
		images[i] = Image{ID: int64(1 + 3*k), Width: 640, Height: 480, FileName: fmt.Sprint(k, ".jpg")}
	}
	for i, k := range r.Perm(len(categories)) {
		categories[i] = Category{ID: int64(1 + 5*k), Name: fmt.Sprint("c", k)}
	}
	grid := []float64{1, 2, 8, 32}[r.IntN(4)] // a coarse grid makes equal boxes and equal IoUs
	box := func() Box {
		q := func(n int) float64 { return float64(r.IntN(n)/int(grid)) * grid }
		b := Box{q(400), q(300), q(200), q(180)}
		if r.IntN(6) == 0 {
			b.X += r.Float64()
			b.W += r.Float64()
		}
		return b
	}
	var objects []Object
	var detections []Detection
	score := func() float64 {
		if r.IntN(2) == 0 {
			return float64(r.IntN(5)) / 4
		}
		return r.Float64()
	}
	for range r.IntN(60) {
		o := Object{ID: int64(1 + len(objects)), ImageID: images[r.IntN(len(images))].ID, CategoryID: categories[r.IntN(len(categories))].ID, Box: box(), Crowd: r.IntN(6) == 0}
		if o.Area = o.Box.Area() * []float64{1, 0.5}[r.IntN(2)]; r.IntN(8) == 0 {
			o.Area = []float64{0, 1024, 9216}[r.IntN(3)]
		}
		objects = append(objects, o)
	}
	for range r.IntN([]int{2, 40, 900}[r.IntN(3)]) {
		d := Detection{images[r.IntN(len(images))].ID, categories[r.IntN(len(categories))].ID, box(), score()}
		if len(objects) > 0 && r.IntN(2) == 0 {
			o := objects[r.IntN(len(objects))]
			d.ImageID, d.CategoryID, d.Box = o.ImageID, o.CategoryID, o.Box
			if r.IntN(2) == 0 {
				d.Box.X += float64(r.IntN(9) - 4)
				d.Box.H += float64(r.IntN(9))
			}
		}
		detections = append(detections, d)
	}
	return images, categories, objects, detections
}

// annotationText writes a set as an annotation file.
func annotationText(t testing.TB, images []Image, categories []Category, objects []Object) []byte {
	t.Helper()
	set, err := NewDataset(images, categories, objects)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteAnnotations(&out, set); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const pycocotools = `
import contextlib, io, json, sys
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
names = "AP AP50 AP75 AP_small AP_medium AP_large AR_1 AR_10 AR_100 AR_small AR_medium AR_large".split()
def mean(s):
    s = s[s > -1]
    return float(s.mean()) if len(s) else -1.0
def judge(gt, dt, categories):
    coco = COCO(gt)
    e = COCOeval(coco, coco.loadRes(dt), "bbox")
    e.params.useCats = categories
    e.evaluate(); e.accumulate(); e.summarize()
    p, r = e.eval["precision"], e.eval["recall"]
    per = []
    for k, c in enumerate(e.params.catIds if categories else [0]):
        per.append(dict(id=int(c), AP=mean(p[:, :, k, 0, 2]), AP50=mean(p[0, :, k, 0, 2]), AP75=mean(p[5, :, k, 0, 2]), AP_small=mean(p[:, :, k, 1, 2]),
            AP_medium=mean(p[:, :, k, 2, 2]), AP_large=mean(p[:, :, k, 3, 2]), AR_1=mean(r[:, k, 0, 0]), AR_10=mean(r[:, k, 0, 1]), AR_100=mean(r[:, k, 0, 2]),
            AR_small=mean(r[:, k, 1, 2]), AR_medium=mean(r[:, k, 2, 2]), AR_large=mean(r[:, k, 3, 2])))
    return dict(metrics=dict(zip(names, map(float, e.stats))), per_category=per, per_iou_AP=[mean(p[t, :, :, 0, 2]) for t in range(10)], precision=p.ravel().tolist())
out = []
with contextlib.redirect_stdout(io.StringIO()):
    for d in sys.argv[1:]:
        d, _, mode = d.partition("?")
        out.append(judge(d + "/gt.json", d + "/dt.json", mode != "agnostic"))
print(json.dumps(out))
`

// python returns an interpreter that has pycocotools.
func python(t *testing.T) string {
	t.Helper()
	for _, p := range []string{os.Getenv("NASNET_PYTHON"), "python3"} {
		if p != "" && exec.Command(p, "-c", "import pycocotools").Run() == nil {
			return p
		}
	}
	t.Skip("no Python with pycocotools is here (set NASNET_PYTHON)")
	return ""
}

// TestRandomCasesAgreeWithPycocotools compares every summary number and, bit for
// bit, every precision of every curve.
func TestRandomCasesAgreeWithPycocotools(t *testing.T) {
	interpreter := python(t)
	const seeds = 300
	var cases []string
	root := t.TempDir()
	for seed := range uint64(seeds) {
		images, categories, objects, detections := randomCase(rand.New(rand.NewPCG(seed, 1)))
		if len(detections) == 0 { // loadRes takes no empty list; the golden cases have one
			detections = []Detection{{images[0].ID, categories[0].ID, Box{1, 2, 3, 4}, 0.5}}
		}
		dir := filepath.Join(root, fmt.Sprintf("seed%d", seed))
		var results bytes.Buffer
		if err := WriteResults(&results, detections); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "gt.json"), annotationText(t, images, categories, objects))
		writeFile(t, filepath.Join(dir, "dt.json"), results.Bytes())
		cases = append(cases, dir, dir+"?agnostic")
	}
	agree(t, interpreter, cases)
}

// agree has pycocotools judge the cases, each a directory with gt.json and dt.json,
// all categories as one where "?agnostic" follows, and compares all numbers.
func agree(t *testing.T, interpreter string, cases []string) {
	t.Helper()
	cmd := exec.Command(interpreter, append([]string{"-c", pycocotools}, cases...)...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		expected
		Precision []float64 `json:"precision"`
	}
	if err := json.Unmarshal(text, &all); err != nil || len(all) != len(cases) {
		t.Fatalf("%d answers for %d cases: %v", len(all), len(cases), err)
	}
	var worst float64
	for i, want := range all {
		dir, mode, _ := strings.Cut(cases[i], "?")
		_, r, s := scoreFiles(t, filepath.Join(dir, "gt.json"), filepath.Join(dir, "dt.json"), Policy{})
		if mode != "" {
			s = Evaluate(ClassAgnostic(r))
		}
		name := filepath.Base(cases[i])
		worst = max(worst, compare(t, name, s, want.expected))
		if d := differ(s, want.Precision); d > 0 {
			t.Errorf("%s: %d of %d precisions differ", name, d, len(want.Precision))
		}
	}
	t.Logf("%d cases, largest difference of a number %.1e; every precision of every curve was compared to the bit", len(all), worst)
}

// differ counts the precisions that are not pycocotools' [T,R,K,A,M].
func differ(s *Score, want []float64) (n int) {
	k := len(s.Categories)
	for i, w := range want {
		m, a, c := i%limits, i/limits%areas, i/limits/areas%k
		r, t := i/limits/areas/k%recalls, i/limits/areas/k/recalls
		got := -1.0
		if p := s.Precision(c, t, a, m); p != nil {
			got = p[r]
		}
		if got != w {
			n++
		}
	}
	return n
}

func writeFile(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func evaluate(t testing.TB, images []Image, categories []Category, objects []Object, detections []Detection) Summary {
	t.Helper()
	set, err := NewDataset(images, categories, objects)
	if err != nil {
		t.Fatal(err)
	}
	r := NewResults(set)
	r.tidy = 64 // prunes again and again
	for _, d := range detections {
		if f := r.Add(d); f != nil {
			t.Fatal(f)
		}
	}
	return Evaluate(r).Summary()
}

// TestProperties of the metrics, on random cases.
func TestProperties(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 2))
		images, categories, objects, detections := randomCase(r)
		base := evaluate(t, images, categories, objects, detections)
		for name, v := range named(t, base) {
			if v != -1 && (v < 0 || v > 1) {
				t.Errorf("seed %d: %s is %v", seed, name, v)
			}
		}
		if base.AR1 > base.AR10 || base.AR10 > base.AR100 || base.AP > base.AP50+1e-9 {
			t.Errorf("seed %d: %+v", seed, base)
		}
		// Scores count by their order only, and images by their order only.
		scaled := slices.Clone(detections)
		for i := range scaled {
			scaled[i].Score = scaled[i].Score*8 - 3
		}
		renamed, renamedObjects := slices.Clone(images), slices.Clone(objects)
		for i := range renamed {
			renamed[i].ID = 10*renamed[i].ID + 7
		}
		for i := range renamedObjects {
			renamedObjects[i].ImageID = 10*renamedObjects[i].ImageID + 7
		}
		for i := range scaled {
			scaled[i].ImageID = 10*scaled[i].ImageID + 7
		}
		if got := evaluate(t, renamed, categories, renamedObjects, scaled); got != base {
			t.Errorf("seed %d: other scores in the same order: %+v, not %+v", seed, got, base)
		}
		// Each object's own box, first of all: everything is found.
		var perfect []Detection
		for _, o := range objects {
			if o.Box.W > 0 && o.Box.H > 0 && !o.Crowd {
				perfect = append(perfect, Detection{o.ImageID, o.CategoryID, o.Box, 1})
			}
		}
		proper := slices.DeleteFunc(slices.Clone(objects), func(o Object) bool { return o.Box.W == 0 || o.Box.H == 0 })
		if got := evaluate(t, images, categories, proper, perfect); got.AR100 != -1 && (got.AR100 < 1-1e-12 || got.AP < 1-1e-9) {
			t.Errorf("seed %d: perfect detections: %+v", seed, got)
		}
	}
}
