package sets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/imagegate"
	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// smallCOCO is a set of n images of 40 x 30 pixels with a dog (id 18) on each but
// the last, which has nothing, and a crowd of persons (id 1) on the first.
func smallCOCO(t testing.TB, n int) (from COCO, images tree) {
	t.Helper()
	images = tree{}
	var list []coco.Image
	objects := []coco.Object{{ID: 900, ImageID: 1, CategoryID: 1, Box: coco.Box{X: 0, Y: 0, W: 40, H: 30}, Area: 600, Crowd: true}}
	for i := range n {
		id := int64(i + 1)
		name := fmt.Sprintf("part%d/%06d.jpg", i%2, id)
		images[name] = encodeJPEG(t, picture(40, 30, i))
		list = append(list, coco.Image{ID: id, Width: 40, Height: 30, FileName: name})
		if i < n-1 {
			objects = append(objects, coco.Object{ID: id, ImageID: id, CategoryID: 18, Box: coco.Box{X: 10, Y: 6, W: 20, H: 15}, Area: 250.5})
		}
	}
	return COCO{Images: images.write(t), Annotations: annotations(t, list, []coco.Category{{ID: 18, Name: "dog"}, {ID: 1, Name: "person"}}, objects)}, images
}

func annotations(t testing.TB, images []coco.Image, categories []coco.Category, objects []coco.Object) string {
	t.Helper()
	set, err := coco.NewDataset(images, categories, objects)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := coco.WriteAnnotations(&b, set); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "instances.json")
	write(t, path, b.Bytes())
	return path
}

// labelled reads all records of a detection set by file name.
func labelled(t testing.TB, dir string, m Manifest) map[string]Labelled {
	t.Helper()
	all := map[string]Labelled{}
	for _, s := range m.Splits {
		for _, path := range s.Paths(dir) {
			err := tfrecord.Scan(path, &tfrecord.Tally{}, func(_, _ int64, data []byte) error {
				l, err := ParseLabelled(data)
				all[s.Name+":"+l.Filename] = l
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func convertCOCO(t *testing.T, from COCO, c Conversion) (Manifest, string) {
	t.Helper()
	if c.Out == "" {
		c.Out = t.TempDir()
	}
	m, err := ConvertCOCO(t.Context(), from, c)
	if err != nil {
		t.Fatal(err)
	}
	return m, c.Out
}

func TestCOCOBecomesRecords(t *testing.T) {
	from, images := smallCOCO(t, 5)
	m, out := convertCOCO(t, from, Conversion{TrainShards: 2})
	if d := cmp.Diff([]Category{{1, 1, "person"}, {18, 18, "dog"}}, m.Categories); d != "" || m.Kind != "coco" || len(m.Bad) != 0 {
		t.Errorf("%+v %s", m, d)
	}
	train, _ := m.Split(Train)
	if d := cmp.Diff([]int64{1, 4}, train.Counts); d != "" || train.Examples != 5 || len(train.Shards) != 2 {
		t.Errorf("%+v %s", train, d)
	}
	all := labelled(t, out, m)
	dog := Object{XMin: 0.25, XMax: 0.75, YMin: 0.2, YMax: 0.7, Label: 18, Text: "dog", Area: 250.5}
	crowd := Object{XMax: 1, YMax: 1, Label: 1, Text: "person", Area: 600, Crowd: true}
	for i, want := range [][]Object{{crowd, dog}, {dog}, {dog}, {dog}, {}} {
		name := fmt.Sprintf("part%d/%06d.jpg", i%2, i+1)
		expected := Labelled{Encoded: images[name], Format: "jpeg", Height: 30, Width: 40, Filename: name, SourceID: fmt.Sprint(i + 1), Objects: want}
		if d := cmp.Diff(expected, all["train:"+name]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	report, err := Verify(t.Context(), out, VerifyOptions{Decode: true})
	if err != nil || !report.OK() || report.Splits[0].Objects != 5 || report.Splits[0].Labels[18] != 4 {
		t.Errorf("%+v, %v", report, err)
	}
	again, _ := convertCOCO(t, from, Conversion{TrainShards: 2})
	if d := cmp.Diff(shas(m), shas(again)); d != "" {
		t.Errorf("the same conversion, other bytes: %s", d)
	}
}

// Two files make two splits; a share of one does too; ids that cannot be labels
// are numbered anew.
func TestCOCOSplitsAndLabels(t *testing.T) {
	from, _ := smallCOCO(t, 40)
	both := from
	both.ValidationImages, both.ValidationAnnotations = from.Images, from.Annotations
	if m, out := convertCOCO(t, both, Conversion{}); len(labelled(t, out, m)) != 80 || m.Splits[1].Name != Validation {
		t.Errorf("%+v", m)
	}
	share := from
	share.Holdout = 0.25
	m, out := convertCOCO(t, share, Conversion{})
	if n := m.Splits[1].Examples; len(labelled(t, out, m)) != 40 || n < 3 || n > 20 {
		t.Errorf("%d of 40 held out", n)
	}
	images := tree{"a.png": encodePNG(t, picture(8, 8, 1))}
	zero := COCO{Images: images.write(t), Annotations: annotations(t, []coco.Image{{ID: 1, Width: 8, Height: 8, FileName: "a.png"}},
		[]coco.Category{{ID: 0, Name: "cell"}, {ID: 70000, Name: "nucleus"}}, []coco.Object{{ID: 0, ImageID: 1, CategoryID: 70000, Box: coco.Box{X: 1, Y: 1, W: 2, H: 2}, Area: 4}})}
	if _, err := ConvertCOCO(t.Context(), zero, Conversion{Out: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "renumbered") {
		t.Errorf("a category id of 0: %v", err)
	}
	zero.Renumber = true
	m, out = convertCOCO(t, zero, Conversion{})
	if d := cmp.Diff([]Category{{0, 1, "cell"}, {70000, 2, "nucleus"}}, m.Categories); d != "" {
		t.Error(d)
	}
	if l := labelled(t, out, m)["train:a.png"]; l.Format != "png" || l.Objects[0].Label != 2 {
		t.Errorf("%+v", l)
	}
	if report, err := Verify(t.Context(), out, VerifyOptions{}); err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
}

// faultyCOCO has one fault of every kind, beside a sound image.
func faultyCOCO(t *testing.T) COCO {
	images := tree{
		"good.jpg": encodeJPEG(t, picture(20, 20, 1)), "size.jpg": encodeJPEG(t, picture(20, 21, 1)), "broken.jpg": encodeJPEG(t, picture(20, 20, 3))[:200],
	}
	object := func(id, image, category int64, box string) string {
		return fmt.Sprintf(`{"id":%d,"image_id":%d,"category_id":%d,"bbox":[%s],"area":4,"iscrowd":0}`, id, image, category, box)
	}
	list := []string{
		object(1, 1, 1, "2,2,4,4"), object(2, 1, 5, "2,2,4,4"), object(3, 1, 1, "15,2,6,4"), object(4, 1, 1, "-1,2,6,4"),
		object(5, 1, 1, "2,2,-4,4"), object(1, 1, 1, "3,3,4,4"), object(6, 77, 1, "2,2,4,4"), object(7, 1, 1, "2,2,0,4"), object(8, 2, 1, "2,2,4,4"),
	}
	image := func(id int, name string) string {
		return fmt.Sprintf(`{"id":%d,"width":20,"height":20,"file_name":%q}`, id, name)
	}
	text := fmt.Sprintf(`{"info":{},"images":[%s],"annotations":[%s],"categories":[{"id":1,"name":"thing"}]}`,
		strings.Join([]string{image(1, "good.jpg"), image(2, "size.jpg"), image(3, "broken.jpg"), image(4, "../gone.jpg")}, ","), strings.Join(list, ","))
	path := filepath.Join(t.TempDir(), "faulty.json")
	write(t, path, []byte(text))
	return COCO{Images: images.write(t), Annotations: path}
}

// Under "fail" all faults of the annotations are told at once; under "skip" they
// are left out, named and counted; beyond the limit it ends.
func TestFaultsOfACOCOSet(t *testing.T) {
	from := faultyCOCO(t)
	out := t.TempDir()
	_, err := ConvertCOCO(t.Context(), from, Conversion{Out: out})
	if !errors.Is(err, coco.ErrTooManyFaults) {
		t.Fatal(err)
	}
	for _, part := range []string{"8 (2 box outside, 1 duplicate id, 1 empty box, 1 missing file, 1 missing image, 1 negative size, 1 unknown category)", "annotations[1]: unknown category", "faulty.json"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if files, _ := os.ReadDir(out); len(files) != 0 {
		t.Errorf("refused, but wrote %v", files)
	}
	_, err = ConvertCOCO(t.Context(), from, Conversion{Out: out, SkipLimit: 9, Workers: 1})
	mustFail(t, err, tfrecord.ErrTooManyFaults)
	m, out := convertCOCO(t, from, Conversion{Out: out, SkipLimit: 10})
	want := coco.Counts{"box outside": 2, "duplicate id": 1, "empty box": 1, "missing file": 1, "missing image": 1, "negative size": 1, "unknown category": 1, "image": 2}
	if d := cmp.Diff(want, m.Faults); d != "" || len(m.Bad) != 10 || m.Splits[0].Examples != 1 || m.Splits[0].Counts[0] != 1 {
		t.Errorf("%+v %s", m, d)
	}
	var reasons string
	for _, b := range m.Bad {
		reasons += b.File + ": " + b.Reason + "\n"
	}
	for _, part := range []string{"size.jpg: the annotations say 20 x 20 pixels, the image has 20 x 21", "broken.jpg: ", `image 4: missing file: "../gone.jpg"`, "image 77"} {
		if !strings.Contains(reasons, part) {
			t.Errorf("%q is not among\n%s", part, reasons)
		}
	}
	if report, err := Verify(t.Context(), out, VerifyOptions{}); err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestWhatIsNoCOCOSet(t *testing.T) {
	from, _ := smallCOCO(t, 2)
	other, _ := smallCOCO(t, 2)
	text, err := os.ReadFile(other.Annotations)
	if err != nil {
		t.Fatal(err)
	}
	write(t, other.Annotations, bytes.Replace(text, []byte(`"dog"`), []byte(`"cat"`), 1))
	empty := COCO{Images: from.Images, Annotations: filepath.Join(t.TempDir(), "empty.json")}
	write(t, empty.Annotations, []byte(`{"images":[],"annotations":[],"categories":[]}`))
	for name, c := range map[string]struct {
		from COCO
		want string
	}{
		"nothing":          {COCO{}, "neither training nor validation"},
		"images alone":     {COCO{Images: from.Images}, "both images and annotations"},
		"no such file":     {COCO{Images: from.Images, Annotations: "no.json"}, "no.json"},
		"no such folder":   {COCO{Images: filepath.Join(from.Images, "none"), Annotations: from.Annotations}, "none"},
		"no images there":  {COCO{Images: t.TempDir(), Annotations: from.Annotations}, "none of the 2 images"},
		"no categories":    {empty, "no categories"},
		"other categories": {COCO{from.Images, from.Annotations, other.Images, other.Annotations, 0, false}, "not those of the training"},
	} {
		if _, err := ConvertCOCO(t.Context(), c.from, Conversion{Out: t.TempDir()}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ConvertCOCO(t.Context(), from, Conversion{}); err == nil || !strings.Contains(err.Error(), "no output") {
		t.Error(err)
	}
}

// marshalled changes the features of a sound record.
func marshalled(t *testing.T, change func(f map[string]*examplepb.Feature)) []byte {
	t.Helper()
	data, err := Labelled{
		Encoded: encodeJPEG(t, picture(8, 8, 1)), Format: "jpeg", Height: 8, Width: 8, Filename: "a.jpg",
		Objects: []Object{{0, 0.5, 0, 0.5, 1, "thing", 16, false}, {0.5, 1, 0.5, 1, 2, "other", 16, true}},
	}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseFeatures(data)
	if err != nil {
		t.Fatal(err)
	}
	change(f)
	data, err = proto.Marshal(&examplepb.Example{Features: &examplepb.Features{Feature: f}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Records of the Object Detection API, which have names and no labels, are read;
// broken boxes are found.
func TestVerifyJudgesBoxes(t *testing.T) {
	verify := func(change func(f map[string]*examplepb.Feature)) (Report, error) {
		dir := t.TempDir()
		writeShard(t, dir, "train-00000-of-00001", marshalled(t, change))
		return Verify(t.Context(), dir, VerifyOptions{Classes: 90})
	}
	for name, change := range map[string]func(f map[string]*examplepb.Feature){
		"ours":             func(map[string]*examplepb.Feature) {},
		"names, no labels": func(f map[string]*examplepb.Feature) { delete(f, keyObjectLabel) },
		"labels, nothing else": func(f map[string]*examplepb.Feature) {
			delete(f, keyObjectText)
			delete(f, keyArea)
			delete(f, keyCrowd)
		},
		"no objects on the image": func(f map[string]*examplepb.Feature) {
			for _, key := range append([]string{keyArea}, keysBoxes...) {
				f[key] = floatFeature()
			}
			f[keyObjectLabel], f[keyCrowd], f[keyObjectText] = intFeature(), intFeature(), bytesFeature()
		},
	} {
		if r, err := verify(change); err != nil || !r.OK() {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	for name, c := range map[string]struct {
		want   error
		change func(f map[string]*examplepb.Feature)
	}{
		"a side is missing":      {errLists, func(f map[string]*examplepb.Feature) { delete(f, keyYMax) }},
		"a label is missing":     {errLists, func(f map[string]*examplepb.Feature) { f[keyObjectLabel] = intFeature(1) }},
		"no label and no name":   {errNoLabel, func(f map[string]*examplepb.Feature) { delete(f, keyObjectLabel); delete(f, keyObjectText) }},
		"label out of range":     {ErrDigest, func(f map[string]*examplepb.Feature) { f[keyObjectLabel] = intFeature(1, 91) }},
		"negative label":         {errNoLabel, func(f map[string]*examplepb.Feature) { f[keyObjectLabel] = intFeature(1, -1) }},
		"outside":                {errBox, func(f map[string]*examplepb.Feature) { f[keyXMax] = floatFeature(0.5, 1.5) }},
		"turned":                 {errBox, func(f map[string]*examplepb.Feature) { f[keyXMin] = floatFeature(0, 1) }},
		"no number":              {errBox, func(f map[string]*examplepb.Feature) { f[keyYMin] = floatFeature(0, nan()) }},
		"negative area":          {errBox, func(f map[string]*examplepb.Feature) { f[keyArea] = floatFeature(1, -1) }},
		"neither kind of record": {errNoLabel, func(f map[string]*examplepb.Feature) { delete(f, keyXMin) }},
		"truncated image": {imagegate.ErrTruncated, func(f map[string]*examplepb.Feature) {
			f[keyEncoded] = bytesFeature(f[keyEncoded].GetBytesList().Value[0][:150])
		}},
	} {
		if _, err := verify(c.change); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func nan() float32 { var zero float32; return zero / zero }

// The keys are the ones that tf.data and the Object Detection API look for, with
// their types.
func TestPythonReadsBoxes(t *testing.T) {
	from, _ := smallCOCO(t, 3)
	_, out := convertCOCO(t, from, Conversion{})
	text := reftest.Python(t, `
import glob, json, sys
import tensorflow as tf
spec = {"image/" + k: tf.io.FixedLenFeature([], t) for k, t in {"encoded": tf.string, "format": tf.string, "filename": tf.string,
  "source_id": tf.string, "key/sha256": tf.string, "height": tf.int64, "width": tf.int64}.items()}
spec.update({"image/object/" + k: tf.io.VarLenFeature(t) for k, t in {"bbox/xmin": tf.float32, "bbox/xmax": tf.float32, "bbox/ymin": tf.float32,
  "bbox/ymax": tf.float32, "class/label": tf.int64, "class/text": tf.string, "area": tf.float32, "is_crowd": tf.int64}.items()})
out = {}
for record in tf.data.TFRecordDataset(glob.glob(sys.argv[1] + "/train-*")):
    e = tf.io.parse_single_example(record, spec)
    image = tf.io.decode_image(e["image/encoded"])
    assert image.shape[0] == e["image/height"] and image.shape[1] == e["image/width"] and e["image/format"] == b"jpeg"
    assert len(e["image/key/sha256"].numpy()) == 64
    get = lambda k: tf.sparse.to_dense(e["image/object/" + k]).numpy()
    out[e["image/source_id"].numpy().decode()] = [[float(v) for v in get("bbox/" + k)] for k in ("xmin", "xmax", "ymin", "ymax")] + [
        get("class/label").tolist(), [t.decode() for t in get("class/text")], get("area").tolist(), get("is_crowd").tolist()]
print(json.dumps(out))
`, out)
	var got map[string][]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprint(got["1"]); s != "[[0 0.25] [1 0.75] [0 0.20000000298023224] [1 0.699999988079071] [1 18] [person dog] [600 250.5] [1 0]]" {
		t.Error(s)
	}
	if s := fmt.Sprint(got["3"]); s != "[[] [] [] [] [] [] [] []]" || len(got) != 3 {
		t.Error(s)
	}
}

// FuzzParseLabelled: whatever the bytes are, what is parsed can be stored and
// parsed again, and judging it does not panic.
func FuzzParseLabelled(f *testing.F) {
	sound, err := Labelled{Encoded: []byte("x"), Filename: "a", Objects: []Object{{0, 1, 0, 1, 3, "thing", 2, true}}}.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add(sound[:len(sound)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseLabelled(data)
		if err != nil {
			return
		}
		for _, o := range l.Objects {
			if o.check() != nil {
				return // NaN equals nothing
			}
		}
		again, err := l.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseLabelled(again)
		if err != nil || !cmp.Equal(l, parsed) {
			t.Fatalf("%v %s", err, cmp.Diff(l, parsed))
		}
	})
}
