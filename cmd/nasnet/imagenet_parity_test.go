package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/pipeline/eval"
)

// End to end on ImageNet's 1,000 sample images, by the commands: weights from
// Keras are imported, written in slim's form and imported again; images become
// records and are evaluated. Logits are Python's, in Keras' way of padding and in
// slim's, and so are the five best classes of every image. (TestEvalOfAFolder
// takes the same way without Python.)
func TestImageNetSampleEqualsPython(t *testing.T) {
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	sample := reftest.Shared(t, "data", "imagenet", "sample")
	script, err := os.ReadFile("testdata/keras_imagenet.py")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	reftest.Python(t, string(script), dir, sample)
	text, err := os.ReadFile(filepath.Join(dir, "names.txt"))
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Split(string(text), "\n")
	labels := "file,label\n"
	for _, name := range names {
		labels += fmt.Sprintf("%s,%s\n", name, name[:len("n00000000")])
	}
	for _, args := range [][]string{
		{"data", "folder", sample, "--labels", write(t, "labels.csv", labels), "--holdout", "1", "--out", dir + "/records"},
		{"weights", "import", "--from", "npz", "--model", "nasnet-a-mobile", "--source", dir + "/weights.npz", "--out", dir + "/from-keras"},
		{"weights", "export", "--model", dir + "/from-keras/model.yaml", "--weights", dir + "/from-keras", "--to", "checkpoint", "--out", dir + "/slim.ckpt"},
		{"weights", "import", "--from", "slim", "--model", "nasnet-a-mobile", "--source", dir + "/slim.ckpt", "--out", dir + "/weights"},
	} {
		if out, err := exec.Command(nasnet, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	for pooling, reference := range map[string]string{"zero_padded": "keras", "same": "slim"} {
		out := filepath.Join(dir, pooling)
		doc := evaluatedBy(t, nasnet, os.Environ(), "--checkpoint", dir+"/weights", "--data", dir+"/records", "--set", "model.pooling="+pooling, "--out", out, "--reference")
		if doc.Images != 1000 || len(doc.References) != 3 || doc.References[0].Agrees || doc.References[0].Model != "nasnet-a-mobile" {
			t.Errorf("%s: %d images, beside the published figures %+v", pooling, doc.Images, doc.References)
		}
		worst, same := besidePython(t, out, filepath.Join(dir, reference+".npy"), names)
		t.Logf("%s: logits differ by at most %.2g, %d of 1000 lists of the best five are the same, top-1 %.4f", pooling, worst, same, doc.Top1)
		if !(worst <= 1e-3) || same != len(names) {
			t.Errorf("%s: logits differ by at most %g, %d of %d lists of the best five are the same", pooling, worst, same, len(names))
		}
	}
}

// besidePython compares an evaluation's logits and best classes with reference
// logits, whose rows are those of the named images.
func besidePython(t *testing.T, dir, reference string, names []string) (worst float64, same int) {
	t.Helper()
	want, shape, err := npy.Read(reference)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := npy.Read(filepath.Join(dir, predictionsFile))
	if err != nil {
		t.Fatal(err)
	}
	list, err := eval.ReadFile(filepath.Join(dir, predictionsCSV))
	if err != nil || len(list) != len(names) || len(got) != len(want) {
		t.Fatalf("%d predictions of %d images, %d of %d logits, %v", len(list), len(names), len(got), len(want), err)
	}
	k, spread := int(shape[1]), 0.0
	for i, p := range list {
		row := slices.Index(names, filepath.Base(p.Image))
		if row < 0 || p.Label != row { // one image a class, in the order of the synsets
			t.Fatalf("image %s has label %d", p.Image, p.Label)
		}
		theirs := want[row*k : (row+1)*k]
		for j, x := range theirs {
			worst = math.Max(worst, math.Abs(float64(x-got[i*k+j])))
			spread = math.Max(spread, math.Abs(float64(x)))
		}
		judged, err := eval.Judge(p.Image, theirs, row)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(judged.Top, p.Top) {
			same++
		}
	}
	if spread < 0.1 {
		t.Errorf("the reference logits are at most %g: they tell nothing", spread)
	}
	return worst, same
}
