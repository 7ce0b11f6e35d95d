package sets

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/nasnet-go/nasnet/internal/imagegate"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// Each kind of bad record lies between good ones, and Vet names kind, record and
// byte of every one.
func TestVetNamesEveryFault(t *testing.T) {
	dir, jpg := t.TempDir(), encodeJPEG(t, picture(8, 8, 1))
	good := marshal(t, Example{Encoded: jpg, Label: 1})
	bad := []struct {
		record []byte
		want   error
	}{
		{marshal(t, Example{Encoded: jpg[:len(jpg)-20], Label: 1}), imagegate.ErrTruncated},
		{marshal(t, Example{Encoded: make([]byte, 100), Label: 1}), imagegate.ErrFormat},
		{marshal(t, Example{Encoded: bombPNG(t), Label: 1}), imagegate.ErrTooLarge},
		{marshal(t, Example{Encoded: jpg, Label: 0}), ErrDigest},
		{marshal(t, Example{Encoded: jpg, Label: 11}), ErrDigest},
		{[]byte("no example"), errNotExample},
		{good, tfrecord.ErrChecksum}, // broken below
	}
	var records [][]byte
	for _, b := range bad {
		records = append(records, good, b.record)
	}
	writeShard(t, dir, "train-00000-of-00001", append(records, good)...)
	path := filepath.Join(dir, "train-00000-of-00001")
	offsets, err := tfrecord.Index(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[offsets[13]+40] ^= 1
	write(t, path, text)
	o := VetOptions{LabelOffset: 1, Classes: 10, Limit: len(bad)}
	faults, err := Vet(t.Context(), []string{path}, o)
	if err != nil || len(faults) != len(bad) {
		t.Fatalf("%d faults, %v: %v", len(faults), err, faults)
	}
	exclude := map[string][]int64{}
	for i, f := range faults {
		if f.File != path || f.Record != int64(2*i+1) || f.Offset != offsets[2*i+1] || !errors.Is(f, bad[i].want) {
			t.Errorf("fault %d: %v, want %v of record %d at %d", i, f, bad[i].want, 2*i+1, offsets[2*i+1])
		}
		exclude[f.File] = append(exclude[f.File], f.Offset)
	}
	o.Limit--
	if _, err := Vet(t.Context(), []string{path}, o); !errors.Is(err, tfrecord.ErrTooManyFaults) {
		t.Errorf("one more than the limit: %v", err)
	}
	o.Limit = 0
	if faults, err := Vet(t.Context(), []string{path}, o); err != nil || len(faults) != 1 {
		t.Errorf("the first alone: %v, %v", faults, err)
	}
}

// Record files of others are found by their names and read by their keys.
func TestFindRecords(t *testing.T) {
	dir, jpg := t.TempDir(), encodeJPEG(t, picture(4, 4, 1))
	if _, err := FindRecords(dir); !errors.Is(err, ErrMissing) {
		t.Errorf("an empty directory: %v", err)
	}
	writeShard(t, dir, "imagenet2012-train.tfrecord-00000-of-00002", tfdsExample(t, jpg, 0))
	writeShard(t, dir, "imagenet2012-train.tfrecord-00001-of-00002", tfdsExample(t, jpg, 9))
	writeShard(t, dir, "imagenet2012-validation.tfrecord-00000-of-00001", tfdsExample(t, jpg, 1), tfdsExample(t, jpg, 2))
	f, err := FindRecords(dir)
	if err != nil || len(f.Train) != 2 || len(f.Validation) != 1 || f.Examples != 2 || f.LabelOffset != 0 || f.ImageKey != "image" || f.LabelKey != "label" || f.JPEG {
		t.Errorf("TensorFlow Datasets: %+v, %v", f, err)
	}
	slim := t.TempDir()
	writeShard(t, slim, "train-00000-of-00001", marshal(t, Example{Encoded: jpg, Label: 1}))
	f, err = FindRecords(slim)
	if err != nil || len(f.Train) != 1 || f.LabelOffset != 1 || f.LabelKey != keyLabel {
		t.Errorf("slim: %+v, %v", f, err)
	}
	out := t.TempDir()
	m, err := ConvertImageNet(t.Context(), ImageNet{Train: smallImageNet(t, 2).write(t)}, Conversion{Out: out, TrainShards: 1})
	if err != nil {
		t.Fatal(err)
	}
	f, err = FindRecords(out)
	if err != nil || !f.Manifest || !f.JPEG || len(f.Classes) != len(m.Classes) || f.LabelOffset != 1 {
		t.Errorf("ours: %+v, %v", f, err)
	}
	if err := os.WriteFile(filepath.Join(slim, "train-00000-of-00001"), bytes.Repeat([]byte{1}, 40), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FindRecords(slim); !errors.Is(err, tfrecord.ErrChecksum) {
		t.Errorf("a broken file: %v", err)
	}
}

// What a detector cannot be trained on is named too: boxes that are none, labels
// that it has no class for, records without boxes.
func TestVetJudgesBoxes(t *testing.T) {
	dir, jpg := t.TempDir(), encodeJPEG(t, picture(8, 8, 1))
	scene := func(objects ...Object) []byte {
		record, err := Labelled{Encoded: jpg, Format: "jpeg", Height: 8, Width: 8, Filename: "a.jpg", SourceID: "1", Objects: objects}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	good := Object{XMin: 0.1, XMax: 0.5, YMin: 0, YMax: 1, Label: 2, Text: "b"}
	change := func(f func(*Object)) []byte { o := good; f(&o); return scene(good, o) }
	bad := []struct {
		record []byte
		want   error
	}{
		{change(func(o *Object) { o.XMax = 1.25 }), errBox},
		{change(func(o *Object) { o.YMin = -0.5 }), errBox},
		{change(func(o *Object) { o.XMin, o.XMax = o.XMax, o.XMin }), errBox},
		{change(func(o *Object) { o.XMax = o.XMin }), errBox},
		{change(func(o *Object) { o.XMin = float32(math.NaN()) }), errBox},
		{change(func(o *Object) { o.Label = 4 }), ErrDigest},
		{change(func(o *Object) { o.Label = 0 }), ErrDigest},
		{marshal(t, Example{Encoded: jpg, Label: 1}), errNoBoxes},
	}
	records := [][]byte{scene(good), scene()} // one without objects is fine
	for _, b := range bad {
		records = append(records, b.record)
	}
	writeShard(t, dir, "train-00000-of-00001", records...)
	files := []string{filepath.Join(dir, "train-00000-of-00001")}
	faults, err := Vet(t.Context(), files, VetOptions{LabelOffset: 1, Classes: 3, Boxes: true, Limit: 100})
	if err != nil || len(faults) != len(bad) {
		t.Fatalf("%d faults of %d, %v: %v", len(faults), len(bad), err, faults)
	}
	for i, f := range faults {
		if f.Record != int64(i+2) || !errors.Is(f, bad[i].want) {
			t.Errorf("record %d: %v, want %v", i+2, f, bad[i].want)
		}
	}
}
