package curves

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/coco"
)

func score(t *testing.T, objects ...coco.Object) *coco.Score {
	t.Helper()
	set, err := coco.NewDataset([]coco.Image{{ID: 1, Width: 50, Height: 50}}, []coco.Category{{ID: 1, Name: "one"}}, objects)
	if err != nil {
		t.Fatal(err)
	}
	r := coco.NewResults(set)
	for _, o := range objects {
		if f := r.Add(coco.Detection{ImageID: 1, CategoryID: 1, Box: o.Box, Score: 1}); f != nil {
			t.Fatal(f)
		}
	}
	return coco.Evaluate(r)
}

func TestWrite(t *testing.T) {
	s := score(t, coco.Object{ID: 1, ImageID: 1, CategoryID: 1, Box: coco.Box{X: 1, Y: 1, W: 20, H: 20}, Area: 400})
	dir := t.TempDir()
	for _, format := range formats {
		if err := Write(filepath.Join(dir, "pr."+format), s); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(filepath.Join(dir, "pr.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := png.Decode(f); err != nil || img.Bounds().Dx() < 300 {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "pr.svg")); err != nil || !strings.Contains(string(text), "IoU 0.75: 1.000") || !strings.Contains(string(text), "recall") {
		t.Errorf("%v: %.500s", err, text)
	}
	if err := Write(filepath.Join(dir, "pr.gif"), s); err == nil || !strings.Contains(err.Error(), ".svg") {
		t.Error(err)
	}
	if err := Write(filepath.Join(dir, "none.png"), score(t)); err == nil {
		t.Error("a curve of nothing")
	}
}
