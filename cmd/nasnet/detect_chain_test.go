package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// detectRun calls the program and returns what it prints.
func detectRun(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(program(t, "nasnet"), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stderr.String())
	}
	return out
}

// From drawn images to a server that finds the same objects as the evaluation.
func TestDetectorsFromDataToServer(t *testing.T) {
	if testing.Short() {
		t.Skip("trains and serves for half a minute")
	}
	program(t, "nasnet-engine")
	dir := t.TempDir()
	data, run := filepath.Join(dir, "shapes"), filepath.Join(dir, "run")
	detectRun(t, "data", "shapes", "--images", "16", "--val-images", "100", "--size", "64", "--out", data)
	train := []string{
		"detect", "train", "--config", "detect-small", "--data", data, "--run", run, "--steps", "6", "--set", "model.filters=8",
		"--set", "model.input=[64,64,3]", "--set", "detect.anchors.base=32", "--set", "train.schedule.warmup_steps=0", "--set", "train.report_steps=2",
	}
	detectRun(t, train...)
	detectRun(t, train...) // over already

	var score detectionScore
	if err := json.Unmarshal(detectRun(t, "detect", "eval", "--run", run, "--json"), &score); err != nil || score.Counts.Images != 100 || score.Counts.Detections == 0 {
		t.Fatalf("%+v, %v", score, err)
	}
	var out detectorExported
	if err := json.Unmarshal(detectRun(t, "detect", "export", "--run", run), &out); err != nil || out.Images != 100 || out.Dir != filepath.Join(run, "export", "1") {
		t.Fatalf("%+v, %v", out, err)
	}
	images, err := sets.FirstLabelled(data, sets.Validation, 100)
	if err != nil {
		t.Fatal(err)
	}
	var want []result
	text, err := os.ReadFile(filepath.Join(run, resultsFile))
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := servedObjects(t, filepath.Join(run, "export"), images)
	if len(got) != len(want) {
		t.Fatalf("the server finds %d objects, the evaluation %d", len(got), len(want))
	}
	worst := 0.0
	for i, w := range want {
		if got[i].Image != w.Image || got[i].Category != w.Category {
			t.Fatalf("object %d: served %+v, evaluated %+v", i, got[i], w)
		}
		worst = max(worst, math.Abs(got[i].Score-w.Score))
		for k := range w.Box {
			worst = max(worst, math.Abs(got[i].Box[k]-w.Box[k])/64)
		}
	}
	if worst > 1e-4 {
		t.Errorf("the served objects of 100 images are %g apart from the evaluated ones", worst)
	}
	predictsPictures(t, dir, run, images[0])
	pythonFinds(t, filepath.Join(run, "export", "1"), images[0])
}

// servedObjects asks `nasnet serve` about images, as encoded bytes.
func servedObjects(t *testing.T, base string, images []sets.Labelled) []result {
	t.Helper()
	server := serveModels(t, "--model_name", "shapes", "--model_base_path", base)
	url := server.doc.REST + "/v1/models/shapes"
	var list []result
	for _, l := range images {
		list = append(list, servedOn(t, url, l)...)
	}
	return list
}

// servedOn is what the server finds on an image, in the terms of a result file.
func servedOn(t *testing.T, url string, l sets.Labelled) []result {
	t.Helper()
	body, err := json.Marshal(map[string]any{"signature_name": "serving_bytes", "instances": []any{map[string]string{"b64": base64.StdEncoding.EncodeToString(l.Encoded)}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Post(url+":predict", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	var answer struct {
		Predictions []struct {
			Boxes   [][4]float64 `json:"detection_boxes"`
			Scores  []float64    `json:"detection_scores"`
			Classes []float64    `json:"detection_classes"`
			Count   float64      `json:"num_detections"`
		} `json:"predictions"`
	}
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil || len(answer.Predictions) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	p := answer.Predictions[0]
	id, err := strconv.ParseInt(l.SourceID, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]result, int(p.Count))
	w, h := float64(l.Width), float64(l.Height)
	for i := range list {
		b := p.Boxes[i]
		list[i] = result{Image: id, Category: int64(p.Classes[i]), Score: p.Scores[i], Box: [4]float64{b[1] * w, b[0] * h, (b[3] - b[1]) * w, (b[2] - b[0]) * h}}
	}
	return list
}

// predictsPictures has an image drawn with its boxes.
func predictsPictures(t *testing.T, dir, run string, l sets.Labelled) {
	t.Helper()
	file := filepath.Join(dir, "one.jpg")
	if err := os.WriteFile(file, l.Encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range [][]string{{"--run", run}, {"--saved-model", filepath.Join(run, "export", "1")}} {
		args := append([]string{"detect", "predict", file, "--score", "0", "--out", filepath.Join(dir, "found"), "--json"}, from...)
		var list []objectsIn
		if err := json.Unmarshal(detectRun(t, args...), &list); err != nil || len(list) != 1 || len(list[0].Found) == 0 || list[0].Found[0].Name == "" {
			t.Fatalf("%v: %+v, %v", from, list, err)
		}
		if info, err := os.Stat(list[0].Picture); err != nil || info.Size() == 0 {
			t.Errorf("%v: no picture: %v", from, err)
		}
	}
}

// pythonFinds has TensorFlow's own loader call the default signature as its
// detection models are called.
func pythonFinds(t *testing.T, dir string, l sets.Labelled) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "one.jpg")
	if err := os.WriteFile(file, l.Encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	got := reftest.Python(t, `
import sys, tensorflow as tf
m = tf.saved_model.load(sys.argv[1])
raw = open(sys.argv[2], "rb").read()
a = m.signatures["serving_default"](inputs=tf.io.decode_image(raw)[None])
b = m.signatures["serving_bytes"](image_bytes=tf.constant([raw]))
far = max(float(tf.reduce_max(tf.abs(a[k] - b[k]))) for k in a)
print(sorted(a), [tuple(a[k].shape) for k in sorted(a)], a["detection_boxes"].dtype.name, far <= 1e-5)`, dir, file)
	want := "['detection_boxes', 'detection_classes', 'detection_scores', 'num_detections'] [(1, 100, 4), (1, 100), (1, 100), (1,)] float32 True"
	if got != want {
		t.Errorf("Python's loader: %s, want %s", got, want)
	}
}

func TestDetectCommandsSayWhatTheyNeed(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"detect", "train", "--config", "cifar10-small"}, "data.set"},
		{[]string{"detect", "train", "--config", "detect-small"}, "--data"},
		{[]string{"detect", "train", "--config", "detect-small", "--data", t.TempDir()}, "manifest.json"},
		{[]string{"detect", "eval"}, "--run"},
		{[]string{"detect", "export"}, "--run"},
		{[]string{"detect", "predict", "a.jpg"}, "--saved-model"},
		{[]string{"detect", "bench", "--config", "detect-small", "--runs", "-1"}, "--runs"},
		{[]string{"detect", "predict"}, "detect predict --run DIR|--saved-model DIR IMAGE..."},
		{[]string{"detect", "predict", "a.jpg", "--saved-model", "m", "--score", "1.5"}, "--score"},
		{[]string{"detect", "scores"}, "did you mean score?"},
		{[]string{"detect", "score", "extra"}, "extra"},
		{[]string{"detect", "eval", "--config", "detect-small", "--weights", "nosuch"}, "nosuch.index"},
		{[]string{"detect", "eval", "--plot", "nodir/x.png"}, "nodir"},
		{[]string{"nosuch"}, "nasnet has no command"},
		{[]string{"detect", "train", "--config", "detect-small", "--set", "detect.crop=0", "--set", "detect.classes=0"}, "crop"},
	} {
		code, stdout, stderr := nasnet(c.args...)
		if code != exitUsage || !bytes.Contains([]byte(stderr), []byte(c.want)) || stdout != "" {
			t.Errorf("%v: exit %d, %q lacks %q", c.args, code, stderr, c.want)
		}
	}
}

func TestPicturesOfOneNameAreKeptApart(t *testing.T) {
	taken := map[string]bool{}
	for _, c := range [][2]string{{"a/x.jpg", "x.png"}, {"b/x.png", "x-2.png"}, {"x-2.gif", "x-2-2.png"}, {"y", "y.png"}} {
		if got := pictureName(c[0], taken); got != c[1] {
			t.Errorf("%s becomes %s, want %s", c[0], got, c[1])
		}
	}
}

// A set with other labels than the detector has classes is refused before work
// starts.
func TestASetOfTooManyClassesIsRefused(t *testing.T) {
	dir := t.TempDir()
	m := sets.Manifest{Kind: "coco", Categories: []sets.Category{{ID: 7, Label: 7, Name: "seventh"}}, Splits: []sets.Split{{Name: sets.Train}}}
	raw, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "manifest.json"), raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	code, _, stderr := nasnet("detect", "train", "--config", "detect-small", "--data", dir, "--run", filepath.Join(dir, "run"))
	if code != exitUsage || !bytes.Contains([]byte(stderr), []byte("seventh")) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
