package eval_test

import (
	"compress/gzip"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/pipeline/eval"
)

// realRule is google-research/reassessed-imagenet's rule, as its README has it,
// on predictions of 1001 outputs: the file's order, and the minus-one shift.
const realRule = `
import gzip, json, sys
real = json.load(gzip.open(sys.argv[1]))
predictions = [p - 1 for p in json.load(open(sys.argv[2]))]
is_correct = [p in real[i] for i, p in enumerate(predictions) if real[i]]
print(sum(is_correct) / len(is_correct), len(is_correct))
`

func TestRealEqualsItsAuthorsRule(t *testing.T) {
	file := reftest.Shared(t, "data", "imagenet", "real.json.gz")
	labels := readLabels(t, file)
	predictions := make([]int, len(labels)) // of 1001 outputs
	r := rand.New(rand.NewPCG(7, 0))
	for i, list := range labels {
		predictions[i] = 1 + r.IntN(1000)
		if len(list) > 0 && r.Float64() < 0.8 {
			predictions[i] = 1 + list[r.IntN(len(list))]
		}
	}
	got := realOf(t, file, predictions)
	if got.RealImages != 46_837 {
		t.Errorf("%d images count, want 46,837", got.RealImages)
	}
	text, err := json.Marshal(predictions)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "predictions.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var share float64
	var counted int64
	scan(t, reftest.PythonWith(t, "json", realRule, file, list), &share, &counted)
	if got.RealTop1 != share || got.RealImages != counted {
		t.Errorf("%.15g of %d images, the rule has %.15g of %d", got.RealTop1, got.RealImages, share, counted)
	}
}

func scan(t *testing.T, text string, into ...any) {
	t.Helper()
	for i, field := range strings.Fields(text) {
		if err := json.Unmarshal([]byte(field), into[i]); err != nil {
			t.Fatal(err)
		}
	}
}

func readLabels(t *testing.T, file string) (labels [][]int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(&labels); err != nil {
		t.Fatal(err)
	}
	return labels
}

// realOf scores networks of 1001 outputs that say the given classes.
func realOf(t *testing.T, file string, predictions []int) eval.Measurement {
	t.Helper()
	real, err := eval.ReadReal(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := eval.NewScores(eval.Options{Classes: 1000, Real: real})
	if err != nil {
		t.Fatal(err)
	}
	for i, class := range predictions {
		row := make([]float32, 1001)
		row[0], row[class] = 9, 5 // the background is left out, however sure of it the network is
		row, label, err := eval.WithoutBackground(row, []int{1})
		if err != nil {
			t.Fatal(err)
		}
		p, err := eval.Judge(name(i), row, label[0])
		if err == nil {
			err = s.Add(p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s.Measurement()
}

func writeReal(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "real.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The small sibling: five images, of which one has no label.
func TestRealOnAFewImages(t *testing.T) {
	file := writeReal(t, "[[], [970, 795], [230], [809], [5, 6]]")
	m := realOf(t, file, []int{1, 796, 230, 810, 7})
	if m.RealImages != 4 || m.RealTop1 != 0.75 {
		t.Errorf("%g of %d images, want 0.75 of 4", m.RealTop1, m.RealImages)
	}
	real, err := eval.ReadReal(file)
	if err != nil || real.Counted() != 4 {
		t.Errorf("%d count, %v", real.Counted(), err)
	}
	for _, image := range []string{"ILSVRC2012_val_00000006.JPEG", "ILSVRC2012_val_00000000", "cat.jpg", "ILSVRC2012_val_1.JPEG"} {
		if _, err := real.Of(image); err == nil {
			t.Errorf("%s has labels", image)
		}
	}
}

func TestRealRefusesOtherFiles(t *testing.T) {
	for text, want := range map[string]string{"{}": "cannot unmarshal", "[[1000]]": "class 1000", "[]": "no images", "[[1": "unexpected EOF"} {
		if _, err := eval.ReadReal(writeReal(t, text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "real.json") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := eval.ReadReal("absent.json"); err == nil {
		t.Error("read a file that is not there")
	}
}
