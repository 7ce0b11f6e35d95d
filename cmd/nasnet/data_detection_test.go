package main

import (
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// A detection set is drawn, verified, looked at and converted anew from its
// annotations, by the commands alone.
func TestDetectionSetThroughTheCommands(t *testing.T) {
	dir, again := filepath.Join(t.TempDir(), "shapes"), t.TempDir()
	code, stdout, stderr := nasnet("data", "shapes", "--out", dir, "--images", "12", "--size", "48", "--seed", "3", "--json")
	var drawn sets.Manifest
	if err := json.Unmarshal([]byte(stdout), &drawn); code != 0 || err != nil || len(drawn.Categories) != 3 || drawn.Seed != 3 {
		t.Fatalf("%d %v\n%s%s", code, err, stdout, stderr)
	}
	if code, stdout, _ := nasnet("data", "verify", dir, "--decode"); code != 0 || !strings.Contains(stdout, "train: 12 images with") || !strings.Contains(stdout, " objects") {
		t.Errorf("%d %s", code, stdout)
	}
	sheet := filepath.Join(t.TempDir(), "sheet.png")
	if code, stdout, stderr := nasnet("data", "boxes", dir, "--out", sheet, "--images", "4", "--columns", "2", "--side", "100"); code != 0 || !strings.Contains(stdout, "4 images with") {
		t.Fatalf("%d %s%s", code, stdout, stderr)
	}
	f, err := os.Open(sheet)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if size, err := png.DecodeConfig(f); err != nil || size.Width != 224 {
		t.Errorf("%+v %v", size, err)
	}
	images, annotations := filepath.Join(dir, "images", "train"), filepath.Join(dir, "annotations", "train.json")
	code, stdout, stderr = nasnet("data", "coco", "--images", images, "--annotations", annotations, "--out", again, "--holdout", "0.4")
	if code != 0 || !strings.Contains(stdout, "validation: ") || !strings.Contains(stdout, "objects") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := nasnet("data", "verify", again); code != 0 {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
}

// Faulty annotations end the conversion with all of them counted, or are left
// out, named, under --bad skip.
func TestFaultyAnnotationsThroughTheCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shapes")
	if code, _, stderr := nasnet("data", "shapes", "--out", dir, "--images", "3", "--size", "48"); code != 0 {
		t.Fatal(stderr)
	}
	annotations := filepath.Join(dir, "annotations", "train.json")
	text, err := os.ReadFile(annotations)
	if err != nil {
		t.Fatal(err)
	}
	extra := `"annotations":[{"id":801,"image_id":1,"category_id":9,"bbox":[1,1,5,5]},{"id":802,"image_id":2,"category_id":1,"bbox":[40,1,50,5]},`
	if err := os.WriteFile(annotations, []byte(strings.Replace(string(text), `"annotations":[`, extra, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	coco := func(more ...string) (int, string, string) {
		return nasnet(append([]string{"data", "coco", "--images", filepath.Join(dir, "images", "train"), "--annotations", annotations}, more...)...)
	}
	out := t.TempDir()
	if code, _, stderr := coco("--out", out); code != exitFailed || !strings.Contains(stderr, "2 (1 box outside, 1 unknown category)") {
		t.Errorf("%d %s", code, stderr)
	}
	if code, _, stderr := coco("--out", out, "--bad", "skip", "--skip", "1"); code != exitFailed || !strings.Contains(stderr, "allowed are 1") {
		t.Errorf("%d %s", code, stderr)
	}
	code, stdout, stderr := coco("--out", out, "--bad", "skip")
	if code != 0 || !strings.Contains(stdout, "annotation 801: category 9") || !strings.Contains(stdout, "left out in all: 1 box outside, 1 unknown category") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	for _, c := range []struct {
		more []string
		want string
	}{
		{[]string{"--out", out, "--bad", "maybe"}, "want fail or skip"},
		{[]string{"--out", out, "--bad", "fail", "--skip", "3"}, "contradict"},
		{[]string{"--out", out, "--skip", "-1"}, "--skip"},
		{[]string{"--out", out, "--holdout", "1"}, "--holdout"},
		{nil, "--out"},
	} {
		if code, _, stderr := coco(c.more...); code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: %d %s", c.more, code, stderr)
		}
	}
	for _, line := range [][]string{{"data", "shapes", "--out", out}, {"data", "boxes", dir}, {"data", "boxes", dir, "--out", "x.png", "--images", "0"}} {
		if code, _, stderr := nasnet(line...); code != exitUsage {
			t.Errorf("%q: %d %s", line, code, stderr)
		}
	}
}
