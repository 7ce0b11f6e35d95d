package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/bundle"
	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// A training does this in a process of its own, before anything runs.
func TestMain(m *testing.M) {
	if err := addUpCropsInOrder(false); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// shapesSet draws a small set.
func shapesSet(t *testing.T) api.DetectionSet {
	t.Helper()
	dir := t.TempDir()
	if _, err := sets.DrawShapes(t.Context(), sets.Shapes{Images: 12, ValidationImages: 6, Size: 64}, sets.Conversion{Out: dir, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	files := func(split string) []string {
		list, err := filepath.Glob(filepath.Join(dir, split+"-*-of-*"))
		if err != nil || len(list) == 0 {
			t.Fatalf("record files of %s: %v %v", split, list, err)
		}
		return list
	}
	return api.DetectionSet{
		Train: files("train"), Validation: files("validation"), Annotations: filepath.Join(dir, "annotations", "validation.json"), Flip: true,
	}
}

// tinyDetector takes seconds to train.
func tinyDetector(t *testing.T) detector.Detector {
	t.Helper()
	m := preset(t, "nasnet-a-mobile")
	m.NormalCells, m.Filters, m.StemMultiplier, m.Input, m.AuxHead = 3, 8, 0.25, [3]int{64, 64, 3}, false
	m.BatchNorm.Decay = 0.9
	o := detector.Release()
	o.Classes, o.Objects, o.RPNChannels, o.Crop = 3, 4, 8, 5
	o.Anchors = detector.Anchors{Scales: []float64{0.5, 1}, Ratios: []float64{1}, Base: 32}
	o.RPN.Batch, o.Proposals.Count, o.Second.Batch, o.Chunk = 16, 12, 8, 5
	o.FirstNorm, o.SecondNorm, o.ClipEach = detector.NormBatch, detector.NormBatch, true
	return detector.Detector{Model: m, Options: o}
}

func tinyTraining(t *testing.T, dir string, steps int64) api.DetectTrainRequest {
	t.Helper()
	d := tinyDetector(t)
	return api.DetectTrainRequest{Detector: d, Set: shapesSet(t), TrainRequest: api.TrainRequest{
		Dir: dir, Digest: "tiny", Model: d.Model, Seed: 4, Threads: api.Threads{InterOp: 2, IntraOp: 1},
		Train: api.Training{
			Batch: 2, Steps: steps, Optimizer: api.Optimizer{Momentum: 0.9}, Schedule: api.Schedule{Name: "constant", Rate: 0.01},
			WeightDecay: 5e-5, ClipNorm: 10, DropPathVersion: "v3", ReportSteps: 1, Run: api.RunExtras{BodyRate: 1},
		},
	}}
}

func trainTiny(t *testing.T, r api.DetectTrainRequest) api.DetectTrainResult {
	t.Helper()
	out, err := trainDetector(t.Context(), r, func(engine.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkpointValues are all of a checkpoint's tensors, as they lie there.
func checkpointValues(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	b, err := bundle.Open(train.Checkpoint{Dir: dir}.Prefix())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]byte{}
	if err := b.Each(func(e bundle.Entry, raw []byte) error { values[e.Name] = bytes.Clone(raw); return nil }); err != nil {
		t.Fatal(err)
	}
	return values
}

// A detector's training is the classifier's: interrupted and taken up again it
// ends with the same bits, with what it measured on the way.
func TestADetectorTrainsAndResumes(t *testing.T) {
	whole, parts := t.TempDir(), t.TempDir()
	r := tinyTraining(t, whole, 4)
	r.Train.Run.EvaluateEpochs = 0.5 // every third step
	want := trainTiny(t, r)
	half := r
	half.Dir, half.Train.Steps = parts, 2
	trainTiny(t, half)
	half.Train.Steps = 4
	got := trainTiny(t, half)
	if got.ResumedAt != 2 || got.Loss != want.Loss || want.Best == "" {
		t.Errorf("resumed at %d with loss %g, undisturbed %g; best %q", got.ResumedAt, got.Loss, want.Loss, want.Best)
	}
	a, b := checkpointValues(t, want.Checkpoint), checkpointValues(t, got.Checkpoint)
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s differs after a resume", name)
		}
	}
	text, err := os.ReadFile(filepath.Join(whole, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"loss_rpn_boxes", "loss_objectness", "loss_boxes", "loss_classes", "eval_AP50"} {
		if !strings.Contains(string(text), `"`+key+`"`) {
			t.Errorf("metrics lack %s", key)
		}
	}
}

// Each stage begins with the classifier's weights of its layers, the averages
// where there are some; the heads are drawn anew.
func TestADetectorBeginsWithAClassifiersWeights(t *testing.T) {
	r := tinyTraining(t, t.TempDir(), 1)
	plan, err := model.Build(r.Detector.Model)
	if err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "model.ckpt")
	values := plan.RandomValues(9)
	writeValues(t, prefix, plan.Variables(), values, "/ExponentialMovingAverage")
	r.Train.Run.Weights, r.Train.Schedule.Rate, r.Detector.Options.FirstNorm, r.Detector.Options.SecondNorm = prefix, 0, detector.NormFrozen, detector.NormFrozen
	out := trainTiny(t, r)
	b, err := bundle.Open(train.Checkpoint{Dir: out.Checkpoint}.Prefix())
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"FirstStageFeatureExtractor/conv0/weights":                        "conv0/weights",
		"FirstStageFeatureExtractor/cell_stem_0/beginning_bn/moving_mean": "cell_stem_0/beginning_bn/moving_mean",
		"SecondStageFeatureExtractor/reduction_cell_1/prev_1x1/weights":   "reduction_cell_1/prev_1x1/weights",
		"SecondStageFeatureExtractor/cell_2/beginning_bn/moving_variance": "cell_2/beginning_bn/moving_variance",
	} {
		got, err := b.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, values[in]) {
			t.Errorf("%s is not the classifier's %s", name, in)
		}
	}
	delete(values, "cell_2/1x1/weights")
	writeValues(t, prefix, slices.DeleteFunc(plan.Variables(), func(v model.Variable) bool { return v.Name == "cell_2/1x1/weights" }), values, "")
	r.Dir = t.TempDir()
	if _, err := trainDetector(t.Context(), r, func(engine.Event) {}); err == nil || !strings.Contains(err.Error(), "SecondStageFeatureExtractor/cell_2/1x1/weights") {
		t.Errorf("a missing weight is not named: %v", err)
	}
}

// writeValues writes a checkpoint of variables, their names with a suffix.
func writeValues(t *testing.T, prefix string, vars []model.Variable, values model.Values, suffix string) {
	t.Helper()
	var names []string
	var list []*tfgraph.Value
	for _, v := range vars {
		shape := make([]int64, len(v.Shape))
		for i, d := range v.Shape {
			shape[i] = int64(d)
		}
		value, err := tfgraph.NewValue(values[v.Name], shape...)
		if err != nil {
			t.Fatal(err)
		}
		names, list = append(names, v.Name+suffix), append(list, value)
	}
	if err := tfgraph.WriteCheckpoint(prefix, names, list); err != nil {
		t.Fatal(err)
	}
}

// randomDetector is a checkpoint of random weights under which features keep
// their size, so that much is detected.
func randomDetector(t *testing.T) api.DetectorSource {
	t.Helper()
	d := tinyDetector(t)
	plan, err := detector.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "model.ckpt")
	writeValues(t, prefix, plan.Variables(), plan.Whole().RandomValues(6), "")
	return api.DetectorSource{Detector: &d, Checkpoint: prefix}
}

// The exported detector finds what the trained one finds, by each signature, with
// the names, shapes and types of TensorFlow's detection models.
func TestAnExportedDetectorFindsTheSame(t *testing.T) {
	from, set := randomDetector(t), shapesSet(t)
	names := []string{"disc", "square", "triangle"}
	out, err := exportDetector(t.Context(), api.DetectExportRequest{DetectorSource: from, Dir: t.TempDir(), Version: 2, Classes: names, Name: "shapes"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var lists [2][]byte
	for i, source := range []api.DetectorSource{from, {SavedModel: out.Dir}} {
		path := filepath.Join(t.TempDir(), "results.json")
		found, err := evaluateDetector(t.Context(), api.DetectEvalRequest{DetectorSource: source, Set: set, Images: 5, Batch: 2 + i, Results: path}, func(engine.Event) {})
		if err != nil || found.Images != 5 || found.Detections == 0 {
			t.Fatalf("%+v, %v", found, err)
		}
		if lists[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	var a, b []struct {
		Image    int64      `json:"image_id"`
		Category int64      `json:"category_id"`
		Box      [4]float64 `json:"bbox"`
		Score    float64    `json:"score"`
	}
	if err := json.Unmarshal(lists[0], &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(lists[1], &b); err != nil || len(a) != len(b) {
		t.Fatalf("%d and %d objects: %v", len(a), len(b), err)
	}
	for i := range a {
		far := math.Abs(a[i].Score - b[i].Score)
		for k := range a[i].Box {
			far = max(far, math.Abs(a[i].Box[k]-b[i].Box[k])/64)
		}
		if a[i].Image != b[i].Image || a[i].Category != b[i].Category || far > 1e-4 {
			t.Fatalf("object %d: %+v and %+v", i, a[i], b[i])
		}
	}
	compareSignatures(t, out.Dir, set.Validation)
}

// compareSignatures feeds a picture encoded and decoded.
func compareSignatures(t *testing.T, dir string, files []string) {
	t.Helper()
	m, err := savedmodel.Load(dir, tfgraph.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var raw []byte
	for l, err := range labelled(files) {
		if err != nil {
			t.Fatal(err)
		}
		raw = l.Encoded
		break
	}
	picture, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	h, w := picture.Bounds().Dy(), picture.Bounds().Dx()
	pixels := make([]uint8, 0, h*w*3)
	for y := range h {
		for x := range w {
			r, g, b, _ := picture.At(x, y).RGBA()
			pixels = append(pixels, uint8(r>>8), uint8(g>>8), uint8(b>>8))
		}
	}
	decoded, err := tfgraph.NewValue(pixels, 1, int64(h), int64(w), 3)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := tfgraph.Strings([]string{string(raw)})
	if err != nil {
		t.Fatal(err)
	}
	_, one, err := m.Run("serving_default", map[string]*tfgraph.Value{"inputs": decoded}, detectionOutputs)
	if err != nil {
		t.Fatal(err)
	}
	_, two, err := m.Run("serving_bytes", map[string]*tfgraph.Value{"image_bytes": encoded}, detectionOutputs)
	if err != nil {
		t.Fatal(err)
	}
	for i, shape := range [][]int64{{1, 100, 4}, {1, 100}, {1, 100}, {1}} {
		x, err := tfgraph.Data[float32](one[i])
		if err != nil {
			t.Fatal(err)
		}
		y, err := tfgraph.Data[float32](two[i])
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(one[i].Shape()) != fmt.Sprint(shape) {
			t.Errorf("%s has shape %v, want %v", detectionOutputs[i], one[i].Shape(), shape)
		}
		for k := range min(len(x), 20) { // decoders of JPEG round colours differently
			if math.Abs(float64(x[k]-y[k])) > 0.05 && i != 2 {
				t.Errorf("%s: number %d is %g, of the encoded image %g", detectionOutputs[i], k, x[k], y[k])
			}
		}
	}
}

func TestPredictedObjectsAreNamedAndInPixels(t *testing.T) {
	from := randomDetector(t)
	out, err := exportDetector(t.Context(), api.DetectExportRequest{DetectorSource: from, Dir: t.TempDir(), Version: 1, Classes: []string{"disc", "square", "triangle"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var raw []byte
	for l, err := range labelled(shapesSet(t).Validation) {
		if err != nil {
			t.Fatal(err)
		}
		raw = l.Encoded
		break
	}
	file := filepath.Join(t.TempDir(), "one.jpg")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := predictDetections(t.Context(), api.DetectPredictRequest{DetectorSource: api.DetectorSource{SavedModel: out.Dir}, Files: []string{file}}, func(engine.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	in := got.Files[0]
	if in.Width != 64 || in.Height != 64 || len(in.Found) == 0 {
		t.Fatalf("%+v", in)
	}
	for _, f := range in.Found {
		if f.Name == "" || f.Label < 1 || f.Label > 3 || f.Box[0] < 0 || f.Box[0]+f.Box[2] > 64.001 || f.Box[2] <= 0 {
			t.Errorf("%+v", f)
		}
	}
	if _, err := predictDetections(t.Context(), api.DetectPredictRequest{DetectorSource: from, Files: []string{filepath.Join(t.TempDir(), "none.jpg")}}, func(engine.Event) {}); err == nil {
		t.Error("a missing file is no error")
	}
	webp := filepath.Join(t.TempDir(), "a.webp") // 1 x 1, lossless
	if err := os.WriteFile(webp, []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := predictDetections(t.Context(), api.DetectPredictRequest{DetectorSource: from, Files: []string{webp}}, func(engine.Event) {}); err == nil || !strings.Contains(err.Error(), "a.webp: it is a WEBP") {
		t.Errorf("a WebP: %v", err)
	}
}

// The annotations judge what is written.
func TestResultsAreJudged(t *testing.T) {
	from, set := randomDetector(t), shapesSet(t)
	path := filepath.Join(t.TempDir(), "results.json")
	if _, err := evaluateDetector(t.Context(), api.DetectEvalRequest{DetectorSource: from, Set: set, Batch: 4, Results: path}, func(engine.Event) {}); err != nil {
		t.Fatal(err)
	}
	truth, err := coco.OpenAnnotations(set.Annotations, coco.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := coco.OpenResults(path, truth, coco.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if s := coco.Evaluate(r).Summary(); s.AP < 0 || s.AP > 1 {
		t.Errorf("AP %g", s.AP)
	}
	set.Categories = map[int]int64{1: 77}
	if _, err := evaluateDetector(t.Context(), api.DetectEvalRequest{DetectorSource: from, Set: set, Batch: 4, Results: path}, func(engine.Event) {}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), `"category_id":77`) || strings.Contains(string(text), `"category_id":1,`) {
		t.Errorf("labels are not told as the annotations' categories: %v", err)
	}
}

// A detector may have more classes than the set: COCO's ids have ten gaps. What is
// found of them stops neither an evaluation nor a training, and counts for no
// other category.
func TestClassesWithoutACategory(t *testing.T) {
	found := api.FoundIn{Found: []api.Found{{Label: 1, Score: 0.9}, {Label: 3, Score: 0.8}, {Label: 2, Score: 0.7}}}
	list, err := detections(sets.Labelled{SourceID: "5"}, found, map[int]int64{1: 77, 2: 3})
	if err != nil || len(list) != 2 || list[0].CategoryID != 77 || list[1].CategoryID != 3 || list[1].Score != 0.7 || list[1].ImageID != 5 {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err = detections(sets.Labelled{SourceID: "5"}, found, nil); err != nil || len(list) != 3 || list[1].CategoryID != 3 {
		t.Errorf("each label is its category's id: %+v, %v", list, err)
	}
	r := tinyTraining(t, t.TempDir(), 2)
	r.Detector.Options.Classes, r.Set.Categories, r.Train.Run.EvaluateEpochs = 9, map[int]int64{1: 1, 2: 2, 3: 3}, 0.1
	if out := trainTiny(t, r); out.Best == "" {
		t.Errorf("not evaluated: %+v", out)
	}
}

// A detector's checkpoint is taken whole, heads too. What it holds besides is passed
// over and told, but for an optimizer's slots.
func TestADetectorBeginsWithADetectorsWeights(t *testing.T) {
	r := tinyTraining(t, t.TempDir(), 1)
	plan, err := detector.Build(r.Detector)
	if err != nil {
		t.Fatal(err)
	}
	prefix, values := filepath.Join(t.TempDir(), "model.ckpt"), plan.Whole().RandomValues(11)
	vars := append(plan.Variables(), model.Variable{Name: "Conv/biases/Momentum", Shape: []int{2}}, model.Variable{Name: "Old/weights", Shape: []int{1}})
	values["Conv/biases/Momentum"], values["Old/weights"] = []float32{1, 2}, []float32{3}
	writeValues(t, prefix, vars, values, "")
	r.Train.Run.Weights, r.Train.Schedule.Rate, r.Detector.Options.FirstNorm, r.Detector.Options.SecondNorm = prefix, 0, detector.NormFrozen, detector.NormFrozen
	var notes []engine.Event
	out, err := trainDetector(t.Context(), r, func(e engine.Event) { notes = append(notes, e) })
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(notes[0].Text, "not used: Old/weights") {
		t.Errorf("what is surplus is not told: %s", notes[0].Text)
	}
	b, err := bundle.Open(train.Checkpoint{Dir: out.Checkpoint}.Prefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range plan.Variables() {
		if got, err := b.Float32(v.Name); err != nil || !slices.Equal(got, values[v.Name]) {
			t.Errorf("%s is not the checkpoint's: %v", v.Name, err)
		}
	}
}
