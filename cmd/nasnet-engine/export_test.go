package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

var cifarNames = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}

func smallModel(t *testing.T) model.Model {
	m := preset(t, "nasnet-a-cifar")
	m.NormalCells, m.Filters = 3, 8
	return m
}

// exportedModel is a network with random weights, written as a SavedModel, with
// what the trainer's plain network computes for it.
type exportedModel struct {
	dir    string
	values model.Values
	check  api.CheckExportRequest
}

// exportRandom writes the network's weights as a checkpoint and exports it; the
// plain network's logits of images (noise, in CIFAR-10's file format) are what
// checks expect.
func exportRandom(t *testing.T, r api.ExportRequest) exportedModel {
	t.Helper()
	plan, err := model.Build(r.Model)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	values := plan.RandomValues(5)
	r.Checkpoint = filepath.Join(dir, "model.ckpt")
	writeValues(t, r.Checkpoint, plan.Variables(), values, "")
	r.Name, r.Dir, r.Version = "small", filepath.Join(dir, "export"), 3
	out, err := export(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return exportedModel{dir: out.Dir, values: values, check: api.CheckExportRequest{
		SavedModel: out.Dir, Model: r.Model, Checkpoint: r.Checkpoint, Images: 6,
	}}
}

// noise writes images in CIFAR-10's file format and has the plain network compute
// their logits.
func (e *exportedModel) noise(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(4, 4))
	file := make([]byte, e.check.Images*(1+3072))
	for i := range file {
		if i%(1+3072) != 0 {
			file[i] = byte(r.UintN(256))
		}
	}
	name := filepath.Join(dir, "test_batch.bin")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	e.check.Data = api.Data{Test: []string{name}, Standardize: "image"}
	im, err := testImages(e.check.Data, e.check.Model, e.check.Images)
	if err != nil {
		t.Fatal(err)
	}
	images, err := preparedImages(e.check, im)
	if err != nil {
		t.Fatal(err)
	}
	e.check.Expected = filepath.Join(dir, "expected.npy")
	logits, err := networkLogits(api.PredictRequest{Model: &e.check.Model, Weights: e.check.Checkpoint}, images)
	if err != nil {
		t.Fatal(err)
	}
	values, err := tfgraph.Data[float32](logits)
	if err != nil {
		t.Fatal(err)
	}
	if err := npy.Write(e.check.Expected, values, logits.Shape()...); err != nil {
		t.Fatal(err)
	}
}

// Every signature of every option answers as the trainer's plain network does, and
// the check notices where it does not.
func TestEveryExportAgreesWithTheTrainer(t *testing.T) {
	for _, c := range []struct {
		name string
		r    api.ExportRequest
		tol  float64 // share of the largest logit
	}{
		{"optimised", api.ExportRequest{Optimize: true, Weights: "float32", Classes: cifarNames, Features: true}, 1e-5},
		{"plain", api.ExportRequest{Weights: "float32", Classes: cifarNames, Features: true}, 1e-5},
		{"without names", api.ExportRequest{Optimize: true, Weights: "float32"}, 1e-5},
		{"float16", api.ExportRequest{Optimize: true, Weights: "float16", Features: true}, 1.0 / 128},
		{"bfloat16", api.ExportRequest{Optimize: true, Weights: "bfloat16", Features: true}, 1.0 / 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.r.Model = smallModel(t)
			e := exportRandom(t, c.r)
			e.noise(t)
			got, err := checkExport(context.Background(), e.check, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := 3
			if c.r.Features {
				want = 4
			}
			if len(got.Signatures) != want || !(got.MaxAbsDiff <= c.tol*got.LargestLogit) || got.LargestLogit < 0.1 {
				t.Errorf("%+v", got)
			}
			if c.tol < 1e-4 && got.SameClass != e.check.Images {
				t.Errorf("%d of %d images have the trainer's class", got.SameClass, e.check.Images)
			}
			if rounded := c.r.Weights != "float32"; rounded != (got.MaxAbsDiff > 1e-4) {
				t.Errorf("weights stored as %s make a difference of %g", c.r.Weights, got.MaxAbsDiff)
			}
			e.tamper(t)
			if got, err = checkExport(context.Background(), e.check, nil); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{defaultSignature, bytesSignature, classifySignature} {
				if got.Signatures[name] < 0.01 {
					t.Errorf("%s: other logits are said to differ by %g only", name, got.Signatures[name])
				}
			}
		})
	}
}

// tamper changes the expected logits.
func (e *exportedModel) tamper(t *testing.T) {
	t.Helper()
	values, shape, err := npy.Read(e.check.Expected)
	if err != nil {
		t.Fatal(err)
	}
	for i := range values {
		values[i] += float32(i % 3)
	}
	if err := npy.Write(e.check.Expected, values, shape...); err != nil {
		t.Fatal(err)
	}
}

func TestExportRefusesWhatItCannotDo(t *testing.T) {
	for want, r := range map[string]api.ExportRequest{
		"2 class names":    {Optimize: true, Weights: "float32", Classes: []string{"a", "b"}},
		"want float32":     {Optimize: true, Weights: "int8"},
		"optimised export": {Weights: "float16"},
	} {
		r.Model = smallModel(t)
		if _, err := export(context.Background(), r, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// What lies beside the graph: digests that can be computed again, and requests
// that TensorFlow Serving can replay.
func TestManifestAndWarmup(t *testing.T) {
	e := exportRandom(t, api.ExportRequest{Model: smallModel(t), Optimize: true, Weights: "float32", Features: true, Classes: cifarNames, Origin: api.Origin{Run: "runs/x", Version: "test", Accuracy: &api.EvalResult{Images: 100, Top1: 0.5}}})
	m, err := savedmodel.ReadManifest(e.dir)
	if err != nil {
		t.Fatal(err)
	}
	pb, err := os.ReadFile(filepath.Join(e.dir, "saved_model.pb"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(pb)
	if m.GraphDigest != "sha256:"+hex.EncodeToString(sum[:]) {
		t.Errorf("digest of the graph is %s", m.GraphDigest)
	}
	trained := model.Values{}
	for name, v := range e.values {
		if !strings.HasPrefix(name, "aux_") {
			trained[name] = v
		}
	}
	if m.WeightsDigest != savedmodel.DigestWeights(trained) {
		t.Errorf("digest of the weights is %s", m.WeightsDigest)
	}
	trained["cell_0/1x1/weights"][0]++
	if m.WeightsDigest == savedmodel.DigestWeights(trained) {
		t.Error("other weights have the same digest")
	}
	if m.Version != 3 || m.Run != "runs/x" || m.Accuracy.Top1 != 0.5 || m.Preprocessing.Standardize != "image" || len(m.Signatures) != 4 {
		t.Errorf("%+v", m)
	}
	if got := strings.Join(warmupRequests(t, e.dir), " "); got != "predict:serving_default predict:serving_bytes classify:classify predict:features" {
		t.Errorf("warm-up requests %s", got)
	}
}

// warmupRequests runs the requests of a model's warm-up file and returns them.
func warmupRequests(t *testing.T, dir string) (list []string) {
	t.Helper()
	m, err := savedmodel.Load(dir, tfgraph.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f, err := tfrecord.Open(filepath.Join(dir, "assets.extra", savedmodel.WarmupFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		record, err := f.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		var l servingpb.PredictionLog
		if err := proto.Unmarshal(record, &l); err != nil {
			t.Fatal(err)
		}
		inputs := map[string]*tfgraph.Value{}
		var signature, kind string
		if p := l.GetPredictLog().GetRequest(); p != nil {
			kind, signature = "predict", p.GetModelSpec().GetSignatureName()
			for name, in := range p.GetInputs() {
				if inputs[name], err = savedmodel.FromProto(in); err != nil {
					t.Fatal(err)
				}
			}
		} else {
			c := l.GetClassifyLog().GetRequest()
			kind, signature = "classify", c.GetModelSpec().GetSignatureName()
			raw, err := proto.Marshal(c.GetInput().GetExampleList().GetExamples()[0])
			if err != nil {
				t.Fatal(err)
			}
			if inputs[examplesInput], err = tfgraph.Strings([]string{string(raw)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := m.Run(signature, inputs, nil); err != nil {
			t.Errorf("%s: %v", signature, err)
		}
		list = append(list, kind+":"+signature)
	}
}

// pythonAnswers loads a SavedModel with TensorFlow's Python and writes what its
// signatures answer.
const pythonAnswers = `
import sys, numpy as np, tensorflow as tf
dir, images, pictures, out = sys.argv[1:5]
x = np.load(images)
raw = [open("%s/%d.png" % (pictures, i), "rb").read() for i in range(len(x))]
m = tf.saved_model.load(dir)
np.save(out + "/default.npy", m.signatures["serving_default"](images=tf.constant(x))["logits"].numpy())
np.save(out + "/bytes.npy", m.signatures["serving_bytes"](image_bytes=tf.constant(raw))["logits"].numpy())
examples = [tf.train.Example(features=tf.train.Features(feature={"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[r]))})).SerializeToString() for r in raw]
c = m.signatures["classify"](inputs=tf.constant(examples))
print("|".join(",".join(n.decode() for n in row) for row in c["classes"].numpy()))
np.save(out + "/scores.npy", c["scores"].numpy())
f = m.signatures["features"](images=tf.constant(x))
print(f["pooled"].shape, f["last_map"].shape)
try:
    r = tf.train.load_checkpoint(dir + "/variables/variables")
    names = sorted(n for n, _ in r.get_variable_to_shape_map().items() if not n.startswith("_"))
    print(len(names), len(m.variables), sum(v.trainable for v in m.variables), "%.9g" % sum(float(np.abs(r.get_tensor(n).astype("float64")).sum()) for n in names))
except (tf.errors.NotFoundError, tf.errors.OpError, ValueError):
    print("no variables")
`

// Python's loader computes the trainer's logits with both forms, names the
// same classes and reads the variables back.
func TestPythonLoadsExports(t *testing.T) {
	for _, c := range []struct {
		name     string
		m        model.Model
		optimize bool
	}{
		{"small, optimised", smallModel(t), true},
		{"small, plain", smallModel(t), false},
		{"mobile, optimised", preset(t, "nasnet-a-mobile"), true},
		{"mobile, plain", preset(t, "nasnet-a-mobile"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.m.Classes == 1000 && testing.Short() {
				t.Skip("minutes of Python; -short is given")
			}
			pythonAgrees(t, exportRandom(t, api.ExportRequest{Model: c.m, Optimize: c.optimize, Weights: "float32", Features: true}), c.optimize)
		})
	}
}

func pythonAgrees(t *testing.T, e exportedModel, optimized bool) {
	t.Helper()
	const n = 2
	dir := t.TempDir()
	in := e.check.Model.Input
	r := rand.New(rand.NewPCG(8, 8))
	im := data.Images{Size: [3]int64{int64(in[0]), int64(in[1]), 3}, Labels: make([]int64, n), Pixels: make([]uint8, n*in[0]*in[1]*3)}
	for i := range im.Pixels {
		im.Pixels[i] = uint8(r.UintN(256))
	}
	files, err := pictures(im, n)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.png", i)), f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	floats := decodedPictures(t, e.check.Model, files)
	images := filepath.Join(dir, "images.npy")
	if err := npy.Write(images, floats, n, int64(in[0]), int64(in[1]), 3); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(reftest.Python(t, pythonAnswers, e.dir, images, dir, dir), "\n")
	value, err := tfgraph.NewValue(floats, n, int64(in[0]), int64(in[1]), 3)
	if err != nil {
		t.Fatal(err)
	}
	logits, err := networkLogits(api.PredictRequest{Model: &e.check.Model, Weights: e.check.Checkpoint}, value)
	if err != nil {
		t.Fatal(err)
	}
	want, err := tfgraph.Data[float32](logits)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"default", "bytes"} {
		got, _, err := npy.Read(filepath.Join(dir, name+".npy"))
		if err != nil {
			t.Fatal(err)
		}
		if d, err := farthest(got, want); err != nil || !(d <= 1e-4) {
			t.Errorf("%s: Python's logits differ by %g (%v)", name, d, err)
		}
	}
	classesAgree(t, lines[0], want, e.check.Model.Classes)
	variablesAgree(t, lines[2], e.values, optimized)
}

// decodedPictures are encoded images as the model wants them.
func decodedPictures(t *testing.T, m model.Model, files [][]byte) []float32 {
	t.Helper()
	g := tfgraph.New()
	encoded, err := texts(files)
	if err != nil {
		t.Fatal(err)
	}
	x := data.Decode(g.Root(), tfgraph.ConstValue(g.Root(), encoded), preparation(m, "", api.Preparation{}))
	out, err := tftest.Session(t, g, tfgraph.SessionOptions{}).Run(nil, []tfgraph.Tensor{x})
	if err != nil {
		t.Fatal(err)
	}
	return tftest.Floats(t, out)[0]
}

func classesAgree(t *testing.T, line string, logits []float32, classes int) {
	t.Helper()
	for i, row := range strings.Split(line, "|") {
		var want []string
		for _, k := range best(logits[i*classes:(i+1)*classes], nil, candidates) {
			want = append(want, fmt.Sprint(k.Index))
		}
		if got := strings.Split(row, ","); !slices.Equal(got, want) {
			t.Errorf("image %d: classes %v, want %v", i, got, want)
		}
	}
}

func variablesAgree(t *testing.T, line string, values model.Values, optimized bool) {
	t.Helper()
	if optimized {
		if line != "no variables" {
			t.Errorf("the optimised model has variables: %s", line)
		}
		return
	}
	count, moving, sum := 0, 0, 0.0
	for name, v := range values {
		if strings.HasPrefix(name, "aux_") {
			continue
		}
		count++
		if strings.Contains(name, "/moving_") {
			moving++
		}
		for _, x := range v {
			sum += math.Abs(float64(x))
		}
	}
	var read, listed, trainable int
	var gotSum float64
	_, err := fmt.Sscan(line, &read, &listed, &trainable, &gotSum)
	if err != nil || read != count || listed != count || trainable != count-moving || math.Abs(gotSum-sum) > 1e-6*sum {
		t.Errorf("Python reads %q of the variables; want %d, %d trainable, with a sum of %g", line, count, count-moving, sum)
	}
}
