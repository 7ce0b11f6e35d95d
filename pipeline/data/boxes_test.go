package data_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// boxFile writes a record file of detection examples.
func boxFile(t *testing.T, list ...sets.Labelled) []string {
	t.Helper()
	var out bytes.Buffer
	w := tfrecord.NewWriter(&out)
	for _, l := range list {
		record, err := l.Marshal()
		if err == nil {
			err = w.Write(record)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "train-00000-of-00001")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{path}
}

// encoded is a PNG, row-major RGB.
func encoded(t *testing.T, pixels []uint8, h, w int) []byte {
	t.Helper()
	picture := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range h * w {
		picture.SetNRGBA(i%w, i/w, color.NRGBA{pixels[3*i], pixels[3*i+1], pixels[3*i+2], 255})
	}
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// slope is brighter from the left to the right.
func slope(t *testing.T, h, w int) []byte {
	pixels := make([]uint8, h*w*3)
	for i := range pixels {
		pixels[i] = uint8(i / 3 % w * 255 / (w - 1))
	}
	return encoded(t, pixels, h, w)
}

type boxBatch struct{ images, boxes []float32 }

func readBoxes(t *testing.T, files []string, o data.BoxOptions, position int64, batches int) []boxBatch {
	t.Helper()
	g := tfgraph.New()
	in, err := data.NewBoxInput(g.Root(), "input", files, o)
	if err != nil {
		t.Fatal(err)
	}
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	if err := in.Start(sess, position); err != nil {
		t.Fatal(err)
	}
	var list []boxBatch
	for range batches {
		out, err := sess.Run(nil, []tfgraph.Tensor{in.Images, in.Boxes})
		if err != nil {
			t.Fatal(err)
		}
		f := tftest.Floats(t, out)
		list = append(list, boxBatch{images: f[0], boxes: f[1]})
	}
	return list
}

func TestBoxesOfARecord(t *testing.T) {
	nan := float32(math.NaN())
	files := boxFile(t, sets.Labelled{
		Encoded: slope(t, 8, 6), Height: 8, Width: 6, SourceID: "77", Objects: []sets.Object{
			{YMin: 0.1, XMin: 0.2, YMax: 0.3, XMax: 0.4, Label: 2},
			{YMin: nan, XMin: 0.2, YMax: 0.3, XMax: 0.4, Label: 1},         // no number
			{YMin: 0.1, XMin: 0.2, YMax: 0.3, XMax: 0.4, Label: 4},         // unknown
			{YMin: 0, XMin: 0, YMax: 1, XMax: 1, Label: 3, Crowd: true},    // counts in training
			{YMin: 0.5, XMin: 0.5, YMax: 0.75, XMax: 1, Label: 1, Area: 7}, // cut off
		},
	})
	o := data.BoxOptions{Height: 4, Width: 3, Classes: 3, Objects: 2, Batch: 1}
	got := readBoxes(t, files, o, 0, 1)[0]
	tftest.Near(t, "boxes", got.boxes, []float32{0.1, 0.2, 0.3, 0.4, 1, 1, 0, 0, 1, 1, 2, 1}, 0)
	o.Objects = 5
	tftest.Near(t, "padding", readBoxes(t, files, o, 0, 1)[0].boxes[3*6:], make([]float32, 2*6), 0)
	for _, x := range got.images {
		if x < -1 || x > 1 {
			t.Fatalf("a pixel of %g, want -1..1", x)
		}
	}
	if len(got.images) != 4*3*3 || got.images[0] != -1 {
		t.Errorf("%d pixels, the first %g", len(got.images), got.images[0])
	}
}

// Records that are excluded are as if they were not there.
func TestExcludedRecordsAreNotRead(t *testing.T) {
	scene := func(label int64) sets.Labelled {
		return sets.Labelled{Encoded: slope(t, 8, 6), Height: 8, Width: 6, SourceID: "1", Objects: []sets.Object{{YMax: 1, XMax: 1, Label: label}}}
	}
	files := boxFile(t, scene(1), scene(2), scene(3))
	offsets, err := tfrecord.Index(files[0])
	if err != nil {
		t.Fatal(err)
	}
	o := data.BoxOptions{Height: 4, Width: 4, Classes: 3, Objects: 1, Batch: 2, Exclude: map[string][]int64{files[0]: {offsets[1]}}}
	for _, b := range readBoxes(t, files, o, 0, 3) { // an epoch each
		if b.boxes[4]+b.boxes[data.BoxColumns+4] != 2 || b.boxes[4] == 1 {
			t.Errorf("classes %g and %g, want 0 and 2 in any order", b.boxes[4], b.boxes[data.BoxColumns+4])
		}
	}
}

func TestAnImageWithoutObjects(t *testing.T) {
	files := boxFile(t, sets.Labelled{Encoded: slope(t, 8, 6), Height: 8, Width: 6, SourceID: "1"})
	got := readBoxes(t, files, data.BoxOptions{Height: 4, Width: 4, Classes: 3, Objects: 2, Batch: 1, Flip: true}, 0, 3)
	for _, b := range got {
		tftest.Near(t, "boxes", b.boxes, make([]float32, 12), 0)
	}
}

// An image and its boxes are mirrored together, half of the time, as a function
// of seed and position.
func TestFlipMirrorsImageAndBoxes(t *testing.T) {
	const n = 40
	var list []sets.Labelled
	for i := range n {
		list = append(list, sets.Labelled{Encoded: slope(t, 4, 4), Objects: []sets.Object{{YMin: 0.25, XMin: 0.125, YMax: 0.5, XMax: 0.25, Label: int64(i) + 1}}})
	}
	files := boxFile(t, list...)
	o := data.BoxOptions{Height: 4, Width: 4, Classes: n, Objects: 1, Batch: 4, Flip: true, Seed: 5}
	all := readBoxes(t, files, o, 0, n/4+2)
	flips, seen := 0, map[float32]bool{}
	for _, b := range all[:n/4] {
		for i := range 4 {
			mirrored := b.images[i*48] > 0
			want := []float32{0.25, 0.125, 0.5, 0.25}
			if mirrored {
				want[1], want[3] = 0.75, 0.875
				flips++
			}
			tftest.Near(t, fmt.Sprintf("mirrored %v", mirrored), b.boxes[i*6:][:4], want, 1e-6)
			seen[b.boxes[i*6+4]] = true
		}
	}
	if flips < n/5 || flips > n-n/5 || len(seen) != n {
		t.Errorf("%d of %d images are mirrored; %d different ones in an epoch", flips, n, len(seen))
	}
	for i, b := range readBoxes(t, files, o, 8, 2) {
		want := all[2+i]
		if !slices.Equal(b.boxes, want.boxes) || !slices.Equal(b.images, want.images) {
			t.Errorf("batch %d is another one when begun at its position", 2+i)
		}
	}
}

// TensorFlow 1's bilinear kernel and pixels of -1..1, as the reference detector
// prepares its images.
func TestPreparationOfTheReferenceDetector(t *testing.T) {
	g := tftest.Npz(t, reftest.Shared(t, "golden", "detection", "preprocess.npz"))
	pixels := make([]uint8, len(g["image"].Data))
	for i, x := range g["image"].Data {
		pixels[i] = uint8(x)
	}
	files := boxFile(t, sets.Labelled{Encoded: encoded(t, pixels, 7, 5), SourceID: "1"})
	got := readBoxes(t, files, data.BoxOptions{Height: 12, Width: 16, Classes: 1, Objects: 1, Batch: 1}, 0, 1)[0]
	tftest.Near(t, "normalised", got.images, g["normalised"].Float32(), 1e-4)
	batch := tftest.Run(t, func(s *tfgraph.Scope) ([]tfgraph.Tensor, tfgraph.Feeds, tfgraph.Operation) {
		p := data.Preparation{Height: 12, Width: 16, Standardize: data.Inception, Legacy: true}
		return []tfgraph.Tensor{p.Prepare(s, tfgraph.Const(s, pixels, 1, 7, 5, 3))}, nil, tfgraph.Operation{}
	})
	tftest.Near(t, "normalised, decoded already", batch[0], g["normalised"].Float32(), 1e-4)
}
