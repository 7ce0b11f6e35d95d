package data_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// photographs are n small JPEGs in record files, each of a class of its own so
// that examples can be told apart.
func photographs(t *testing.T, n, shards int) data.Records {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for shard := range shards {
		var out bytes.Buffer
		w := tfrecord.NewWriter(&out)
		for i := shard; i < n; i += shards {
			picture := image.NewRGBA(image.Rect(0, 0, 40+i%7, 32+i%5))
			for y := range picture.Bounds().Dy() {
				for x := range picture.Bounds().Dx() {
					picture.Set(x, y, color.RGBA{uint8(6 * x), uint8(7 * y), uint8(9 * i), 255})
				}
			}
			var encoded bytes.Buffer
			if err := jpeg.Encode(&encoded, picture, nil); err != nil {
				t.Fatal(err)
			}
			record, err := sets.Example{Encoded: encoded.Bytes(), Format: "JPEG", Label: int64(i) + 1}.Marshal()
			if err == nil {
				err = w.Write(record)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(dir, "train-"+string(rune('0'+shard)))
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	return data.Records{Files: files, LabelOffset: 1, JPEG: true}
}

// recordBatch is what one step of a pipeline gives.
type recordBatch struct {
	pixels []float32
	labels []int64
}

func opened(t *testing.T, r data.Records) *data.RecordSet {
	t.Helper()
	set, err := data.OpenRecords(r)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// readRecords starts a pipeline at a position and takes so many batches; 0: to the end.
func readRecords(t *testing.T, r data.Records, o data.RecordOptions, position int64, batches int) []recordBatch {
	t.Helper()
	g := tfgraph.New()
	in := data.NewRecordInput(g.Root(), "records", opened(t, r), o)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	if err := in.Start(sess, position); err != nil {
		t.Fatal(err)
	}
	var list []recordBatch
	for batches == 0 || len(list) < batches {
		out, err := sess.Run(nil, []tfgraph.Tensor{in.Images, in.Labels})
		if tfgraph.IsEndOfSequence(err) && batches == 0 {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		pixels, err := tfgraph.Data[float32](out[0])
		labels, err2 := tfgraph.Data[int64](out[1])
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		list = append(list, recordBatch{slices.Clone(pixels), slices.Clone(labels)})
	}
	return list
}

func training(n int64) data.RecordOptions {
	return data.RecordOptions{Batch: n, Shuffle: true, Repeat: true, Seed: 3, Train: &data.Distortion{Height: 16, Width: 16, Flip: true, Colour: true}}
}

// Over one epoch every example is seen exactly once, with 1, 2 and 3 replicas,
// and in another order in the next.
func TestRecordsEachExampleOnceAnEpoch(t *testing.T) {
	r := photographs(t, 60, 3)
	for replicas := range int64(4) {
		if replicas == 0 {
			continue
		}
		var first, second []int64
		for replica := range replicas {
			o := training(5)
			o.Replica, o.Replicas = replica, replicas
			list := readRecords(t, r, o, 0, int(2*60/5/replicas))
			for i, b := range list {
				if i < len(list)/2 {
					first = append(first, b.labels...)
				} else {
					second = append(second, b.labels...)
				}
			}
		}
		if slices.Equal(first, second) {
			t.Errorf("%d replicas: both epochs have the same order", replicas)
		}
		for _, epoch := range [][]int64{first, second} {
			slices.Sort(epoch)
			for i, label := range epoch {
				if label != int64(i) || len(epoch) != 60 {
					t.Fatalf("%d replicas: %v", replicas, epoch)
				}
			}
		}
	}
}

// A pipeline that starts at a position goes on with the batches of one that was
// not disturbed, to the bit.
func TestRecordsResumeBitEqual(t *testing.T) {
	r := photographs(t, 30, 2)
	want := readRecords(t, r, training(4), 0, 12)
	got := readRecords(t, r, training(4), 4*7, 5)
	for i := range got {
		if !slices.Equal(got[i].labels, want[7+i].labels) || !slices.Equal(got[i].pixels, want[7+i].pixels) {
			t.Errorf("batch %d after the start differs", i)
		}
	}
	if slices.Equal(want[0].pixels, readRecords(t, r, data.RecordOptions{Batch: 4, Shuffle: true, Repeat: true, Seed: 4, Train: training(4).Train}, 0, 1)[0].pixels) {
		t.Error("another seed gives the same batch")
	}
}

// Evaluation keeps the order and the last, smaller batch, and its pixels are
// those of Decode.
func TestRecordsForEvaluation(t *testing.T) {
	r := photographs(t, 10, 1)
	o := data.RecordOptions{Batch: 4, Eval: data.InceptionEval(16, 16)}
	list := readRecords(t, r, o, 0, 0)
	if len(list) != 3 || len(list[2].labels) != 2 || list[2].labels[1] != 9 {
		t.Fatalf("%d batches, the last %v", len(list), list[len(list)-1].labels)
	}
	for _, x := range list[0].pixels {
		if x < -1 || x > 1 {
			t.Fatalf("pixel %g", x)
		}
	}
}

// A broken record ends the run and says so; a broken length is found before
// anything runs, with its place.
func TestRecordsFaults(t *testing.T) {
	r := photographs(t, 6, 1)
	text, err := os.ReadFile(r.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	offsets, err := tfrecord.Index(r.Files[0])
	if err != nil || len(offsets) != 6 {
		t.Fatal(offsets, err)
	}
	broken := bytes.Clone(text)
	broken[offsets[3]+200] ^= 1
	if err := os.WriteFile(r.Files[0], broken, 0o600); err != nil {
		t.Fatal(err)
	}
	g := tfgraph.New()
	in := data.NewRecordInput(g.Root(), "records", opened(t, r), data.RecordOptions{Batch: 6, Eval: data.InceptionEval(8, 8)})
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	if err := in.Start(sess, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := sess.Run(nil, []tfgraph.Tensor{in.Labels}); err == nil || !strings.Contains(err.Error(), "corrupted record") {
		t.Errorf("a wrong checksum: %v", err)
	}
	broken[offsets[3]+1] ^= 1
	if err := os.WriteFile(r.Files[0], broken, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = data.OpenRecords(r)
	var fault *tfrecord.Fault
	if !errors.As(err, &fault) || fault.Record != 3 || fault.Offset != offsets[3] {
		t.Errorf("a broken length: %v", err)
	}
}

// A whole image, of whatever format, is what is trained on where no box is wanted.
func TestWholeImages(t *testing.T) {
	r := photographs(t, 4, 1)
	o := data.RecordOptions{Batch: 4, Train: &data.Distortion{Height: 16, Width: 16, CropArea: 1}}
	known := readRecords(t, r, o, 0, 1)
	r.JPEG = false
	any := readRecords(t, r, o, 0, 1)
	if len(known[0].pixels) != 4*16*16*3 || !slices.Equal(known[0].pixels, any[0].pixels) {
		t.Error("JPEGs that are not known to be such give other pixels")
	}
}
