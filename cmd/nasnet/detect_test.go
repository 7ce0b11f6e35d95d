package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
)

const (
	scoreSet = `{"images":[{"id":1,"width":50,"height":50}],"categories":[{"id":3,"name":"bird"},{"id":9,"name":"none"}],
"annotations":[{"id":1,"image_id":1,"category_id":3,"bbox":[0,0,20,20]},{"id":2,"image_id":1,"category_id":3,"bbox":[25,25,20,20]}]}`
	scoreHit = `{"image_id":1,"category_id":3,"bbox":[0,0,20,20],"score":0.9}`
)

// scoreFile writes a text beside the others of a test.
func scoreFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDetectScore(t *testing.T) {
	dir := t.TempDir()
	gt, plot := scoreFile(t, dir, "gt.json", scoreSet), filepath.Join(dir, "pr.svg")
	dt := scoreFile(t, dir, "dt.json", "["+scoreHit+"]")
	code, stdout, stderr := nasnet("detect", "score", "--annotations", gt, "--results", dt, "--json", "--per-class", "--plot", plot)
	var d detectionScore
	if err := json.Unmarshal([]byte(stdout), &d); code != 0 || err != nil {
		t.Fatalf("%d %v\n%s%s", code, err, stdout, stderr)
	}
	half := 51.0 / 101 // one of two objects is found: precision 1 up to recall 0.5
	if math.Abs(d.Metrics.AP-half) > 1e-12 || d.Metrics.AR100 != 0.5 || d.Counts.Objects != 2 || len(d.Categories) != 2 || d.Categories[1].AP != -1 || d.Categories[0].Name != "bird" {
		t.Errorf("%+v", d)
	}
	if text, err := os.ReadFile(plot); err != nil || !strings.Contains(string(text), "precision") {
		t.Error(err)
	}
	if code, stdout, _ := nasnet("detect", "score", "--annotations", gt, "--results", dt, "--per-class"); code != 0 || !strings.Contains(stdout, "0.5050") || !strings.Contains(stdout, "bird") {
		t.Errorf("%d\n%s", code, stdout)
	}
}

func TestDetectScoreRefusesAndSkips(t *testing.T) {
	dir := t.TempDir()
	gt := scoreFile(t, dir, "gt.json", scoreSet)
	bad := scoreFile(t, dir, "bad.json", "["+scoreHit+","+strings.Replace(scoreHit, `"image_id":1`, `"image_id":4`, 1)+"]")
	odd := scoreFile(t, dir, "odd.json", "["+scoreHit+","+strings.Replace(scoreHit, `"category_id":3`, `"category_id":4`, 1)+"]")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--results", bad}, exitUsage, "--annotations"},
		{[]string{"--annotations", gt, "--results", bad, "--plot", "x.gif"}, exitUsage, ".png"},
		{[]string{"--annotations", gt, "--results", bad}, exitFailed, "results[1]: missing image: image 4"},
		{[]string{"--annotations", gt, "--results", odd, "--strict"}, exitFailed, "results[1]: unknown category: category 4"},
		{[]string{"--annotations", gt, "--results", filepath.Join(dir, "nosuch")}, exitFailed, "nosuch"},
		{[]string{"--annotations", gt, "--results", gt}, exitFailed, "COCO's format"},
		{[]string{"--annotations", gt, "--results", bad, "--skip", "1"}, 0, "left out"},
	} {
		code, _, stderr := nasnet(append([]string{"detect", "score"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: %d %s", c.args, code, stderr)
		}
	}
	if _, stdout, _ := nasnet("detect", "score", "--annotations", gt, "--results", bad, "--skip", "1"); !strings.Contains(stdout, "results left out: 1 missing image") {
		t.Error(stdout)
	}
	if code, stdout, _ := nasnet("detect", "score", "--annotations", gt, "--results", odd); code != 0 || !strings.Contains(stdout, "1 results are of categories") {
		t.Error(code, stdout)
	}
}

// The command gives pycocotools' numbers.
func TestDetectScoreOfAGoldenCase(t *testing.T) {
	dir := reftest.Shared(t, "golden", "coco", "mixed")
	code, stdout, stderr := nasnet("detect", "score", "--annotations", filepath.Join(dir, "gt.json"), "--results", filepath.Join(dir, "dt.json"), "--json")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil || code != 0 {
		t.Fatal(err, stderr)
	}
	var got, want struct {
		Metrics map[string]float64 `json:"metrics"`
	}
	for text, v := range map[string]any{stdout: &got, string(text): &want} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatal(err)
		}
	}
	for name, v := range want.Metrics {
		if math.Abs(got.Metrics[name]-v) > 1e-9 {
			t.Errorf("%s is %v, not %v", name, got.Metrics[name], v)
		}
	}
}
