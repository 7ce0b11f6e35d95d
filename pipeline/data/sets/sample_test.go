package sets

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nasnet-go/nasnet/internal/reftest"
)

// sampleTree links the 1,000 photographs of the sample, one a class, into a
// tree as ILSVRC's.
func sampleTree(t *testing.T) (root, classes string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(reftest.Shared(t, "data", "imagenet", "sample"), "*.JPEG"))
	if err != nil || len(files) != 1000 {
		t.Fatalf("%d photographs, %v", len(files), err)
	}
	root = t.TempDir()
	for _, f := range files {
		dir := filepath.Join(root, strings.SplitN(filepath.Base(f), "_", 2)[0])
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(f, filepath.Join(dir, filepath.Base(f))); err != nil {
			t.Fatal(err)
		}
	}
	return root, reftest.Shared(t, "data", "imagenet", "synsets.csv")
}

// TestRealPhotographs converts the sample as ImageNet and as a folder and reads
// all of it back: the labels are those of synsets.csv, the bytes those of the
// files.
func TestRealPhotographs(t *testing.T) {
	root, csv := sampleTree(t)
	rows, err := readCSV(csv, "index0", "wnid", "name")
	if err != nil {
		t.Fatal(err)
	}
	index := map[string]string{}
	for _, row := range rows {
		index[row["wnid"]] = row["index0"]
	}
	asImageNet, asFolder := t.TempDir(), t.TempDir()
	imagenet, err := ConvertImageNet(t.Context(), ImageNet{Train: root, Classes: csv}, Conversion{Out: asImageNet, TrainShards: 8})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := ConvertFolder(t.Context(), Folder{Dir: root, Holdout: -1}, Conversion{Out: asFolder, TrainShards: 3})
	if err != nil {
		t.Fatal(err)
	}
	for dir, m := range map[string]Manifest{asImageNet: imagenet, asFolder: folder} {
		if report, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || !report.OK() || report.Splits[0].Examples != 1000 {
			t.Errorf("%s: %+v, %v", m.Kind, report, err)
		}
		for _, e := range contents(t, dir, m) {
			original, err := os.ReadFile(filepath.Join(root, e.Synset, filepath.Base(e.Filename)))
			if err != nil || string(original) != string(e.Encoded) {
				t.Errorf("%s: %s: not the bytes of its file, %v", m.Kind, e.Filename, err)
			}
			if got := fmt.Sprint(e.Label - m.LabelOffset); got != index[e.Synset] {
				t.Errorf("%s: %s: class %s, synsets.csv says %s", m.Kind, e.Filename, got, index[e.Synset])
			}
		}
	}
}

// TestPythonReadsTheRecords lets TensorFlow's own reader and parser judge.
func TestPythonReadsTheRecords(t *testing.T) {
	tr := smallImageNet(t, 2)
	m, out := convert(t, ImageNet{Train: tr.write(t)}, Conversion{TrainShards: 2})
	text := reftest.Python(t, `
import glob, json, sys
import tensorflow as tf
spec = {k: tf.io.FixedLenFeature([], t) for k, t in {
  "image/encoded": tf.string, "image/format": tf.string, "image/filename": tf.string, "image/class/synset": tf.string,
  "image/colorspace": tf.string, "image/class/label": tf.int64, "image/height": tf.int64, "image/channels": tf.int64}.items()}
spec["image/object/bbox/xmin"] = tf.io.VarLenFeature(tf.float32)
out = {}
for record in tf.data.TFRecordDataset(sorted(glob.glob(sys.argv[1] + "/train-*-of-00002"))):
    e = tf.io.parse_single_example(record, spec)
    shape = tf.io.decode_jpeg(e["image/encoded"], channels=3).shape
    assert shape[0] == e["image/height"] and e["image/channels"] == 3 and e["image/colorspace"] == b"RGB" and e["image/format"] == b"JPEG"
    out[e["image/filename"].numpy().decode()] = [int(e["image/class/label"]), e["image/class/synset"].numpy().decode()]
print(json.dumps(out))
`, out)
	var got map[string][]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string][]any{}
	for _, e := range contents(t, out, m) {
		want[e.Filename] = []any{float64(e.Label), e.Synset}
	}
	if d := cmp.Diff(want, got); d != "" || len(got) != 6 {
		t.Error(d)
	}
}
