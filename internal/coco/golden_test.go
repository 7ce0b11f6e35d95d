package coco

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
)

// expected is what pycocotools says of a case.
type expected struct {
	Metrics     map[string]float64   `json:"metrics"`
	PerCategory []map[string]float64 `json:"per_category"` // with the id
	PerIoU      []float64            `json:"per_iou_AP"`
	Counts      map[string]int64     `json:"counts"`
}

// named returns a summary's numbers by their names in JSON.
func named(t testing.TB, s Summary) map[string]float64 {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]float64
	if err := json.Unmarshal(text, &m); err != nil || len(m) != 12 {
		t.Fatalf("%s %v", text, err)
	}
	return m
}

func scoreFiles(t testing.TB, gt, dt string, p Policy) (*Dataset, *Results, *Score) {
	t.Helper()
	set, err := OpenAnnotations(gt, p)
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenResults(dt, set, p)
	if err != nil {
		t.Fatal(err)
	}
	return set, r, Evaluate(r)
}

// compare holds a score against pycocotools' to 1e-9, and returns the largest
// difference.
func compare(t testing.TB, name string, s *Score, want expected) (worst float64) {
	t.Helper()
	check := func(what string, got, want float64) {
		worst = max(worst, math.Abs(got-want))
		if math.Abs(got-want) > 1e-9 || math.IsNaN(got) {
			t.Errorf("%s: %s is %v, pycocotools says %v", name, what, got, want)
		}
	}
	got := named(t, s.Summary())
	if len(want.Metrics) != 12 || len(want.PerIoU) != thresholds || len(want.PerCategory) != len(s.Categories) {
		t.Fatalf("%s: %d numbers, %d thresholds, %d categories for %d of ours", name, len(want.Metrics), len(want.PerIoU), len(want.PerCategory), len(s.Categories))
	}
	for key, value := range want.Metrics {
		check(key, got[key], value)
	}
	for i, value := range s.AtThreshold() {
		check("AP at a threshold", value, want.PerIoU[i])
	}
	for k, c := range want.PerCategory {
		if int64(c["id"]) != s.Categories[k].ID {
			t.Errorf("%s: category %d is %d, not %v", name, k, s.Categories[k].ID, c["id"])
		}
		got := named(t, s.Category(k))
		for key, value := range c {
			if key != "id" {
				check("of a category "+key, got[key], value)
			}
		}
	}
	return worst
}

func TestPycocotoolsNumbers(t *testing.T) {
	root := reftest.Shared(t, "golden", "coco")
	dirs, err := filepath.Glob(filepath.Join(root, "*", "expected.json"))
	if err != nil || len(dirs) < 11 {
		t.Fatalf("%d cases, %v", len(dirs), err)
	}
	var worst float64
	for _, path := range dirs {
		dir := filepath.Dir(path)
		var want expected
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &want)
		}
		if err != nil {
			t.Fatal(err)
		}
		set, r, s := scoreFiles(t, filepath.Join(dir, "gt.json"), filepath.Join(dir, "dt.json"), Policy{})
		if int64(len(set.Objects)) != want.Counts["objects"] || int64(len(set.Images)) != want.Counts["images"] || r.Added != want.Counts["detections"] {
			t.Errorf("%s: %d objects, %d images, %d detections of %v", dir, len(set.Objects), len(set.Images), r.Added, want.Counts)
		}
		worst = max(worst, compare(t, filepath.Base(dir), s, want))
	}
	t.Logf("%d cases, largest difference %.1e", len(dirs), worst)
}

// The sibling of the golden cases that always runs: worked out by hand.
func TestSmallCaseByHand(t *testing.T) {
	set, err := NewDataset(
		[]Image{{ID: 7, Width: 100, Height: 100}, {ID: 3, Width: 100, Height: 100}},
		[]Category{{ID: 5, Name: "a"}, {ID: 2, Name: "empty"}},
		[]Object{
			{ID: 0, ImageID: 7, CategoryID: 5, Box: Box{0, 0, 20, 10}, Area: 200},
			{ID: 1, ImageID: 3, CategoryID: 5, Box: Box{0, 0, 50, 50}, Area: 2500},
			{ID: 2, ImageID: 3, CategoryID: 5, Box: Box{60, 60, 40, 40}, Area: 1600, Crowd: true},
		})
	if err != nil {
		t.Fatal(err)
	}
	r := NewResults(set)
	for _, d := range []Detection{
		{7, 5, Box{0, 0, 20, 10}, 0.9},   // right, at every threshold
		{3, 5, Box{0, 0, 50, 35}, 0.8},   // IoU 0.7: right at five of ten
		{3, 5, Box{70, 70, 10, 10}, 0.7}, // in the crowd: neither
		{3, 5, Box{75, 70, 10, 10}, 0.6}, // and another
		{7, 5, Box{50, 50, 40, 40}, 0.5}, // wrong
	} {
		if f := r.Add(d); f != nil {
			t.Fatal(f)
		}
	}
	s := Evaluate(r)
	// At recall to 0.5 precision is 1 (51 of 101 points); beyond it 1 at five thresholds, 0 at the others.
	half := 51.0 / 101
	want := Summary{
		AP: (5*1 + 5*half) / 10, AP50: 1, AP75: half, APSmall: 1, APMedium: 0.5, APLarge: -1,
		AR1: 0.75, AR10: 0.75, AR100: 0.75, ARSmall: 1, ARMedium: 0.5, ARLarge: -1,
	}
	for key, value := range named(t, want) {
		if got := named(t, s.Summary())[key]; math.Abs(got-value) > 1e-12 {
			t.Errorf("%s is %v, by hand %v", key, got, value)
		}
	}
	if s.Category(0).AP != -1 || s.Category(1).AP != s.Summary().AP || s.Categories[0].Name != "empty" {
		t.Errorf("categories: %+v %+v", s.Category(0), s.Category(1))
	}
	if c := s.Curve(0); len(c) != recalls || c[100] < 1-1e-12 || s.Recall(1, 0, All, First100) != 1 || s.Precision(0, 0, All, First100) != nil {
		t.Error("curve", c)
	}
}
