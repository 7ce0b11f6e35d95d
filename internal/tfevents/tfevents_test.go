package tfevents

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	eventpb "github.com/wamuir/graft/tensorflow/core/util/event_go_proto"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

var clock = time.Unix(1_700_000_000, 500_000_000)

func create(t *testing.T) *Writer {
	t.Helper()
	w, err := Create(filepath.Join(t.TempDir(), "events"), Options{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func readBack(t *testing.T, path string) []*eventpb.Event {
	t.Helper()
	r, err := tfrecord.Open(path)
	must(t, err)
	defer r.Close()
	var events []*eventpb.Event
	for {
		b, err := r.Next()
		if err == io.EOF {
			return events
		}
		must(t, err)
		e := &eventpb.Event{}
		must(t, proto.Unmarshal(b, e))
		events = append(events, e)
	}
}

func chessboard() image.Image {
	img := image.NewRGBA(image.Rect(0, 0, 6, 4))
	for i := range 24 {
		img.Set(i%6, i/6, color.RGBA{uint8(10 * i), uint8(255 * ((i%6 + i/6) % 2)), 7, 255})
	}
	return img
}

func TestEventsReadBack(t *testing.T) {
	w := create(t)
	must(t, w.Scalars(3, map[string]float64{"loss": 1.25, "accuracy": math.NaN()}))
	must(t, w.Image(4, "sample", chessboard()))
	must(t, w.Text(5, "cell", "**sep3x3**"))
	must(t, w.Histogram(6, "weights", []float64{-1, 0, 1, math.Inf(1)}))
	must(t, w.Histogram(6, "nothing", []float64{math.NaN()}))
	events := readBack(t, w.Path()) // before Close: nothing is held back
	must(t, w.Close())
	if len(events) != 5 || events[0].GetFileVersion() != "brain.Event:2" {
		t.Fatalf("%d events, the first is %v", len(events), events[0])
	}
	for i, e := range events {
		if e.WallTime != 1_700_000_000.5 || (i > 0 && e.Step != int64(i+2)) {
			t.Errorf("event %d: step %d at %v", i, e.Step, e.WallTime)
		}
	}
	scalars := events[1].GetSummary().Value
	if scalars[0].Tag != "accuracy" || !math.IsNaN(float64(scalars[0].GetSimpleValue())) || scalars[1].GetSimpleValue() != 1.25 {
		t.Errorf("scalars: %v", scalars)
	}
	img, err := png.Decode(bytes.NewReader(events[2].GetSummary().Value[0].GetImage().EncodedImageString))
	if err != nil || img.At(5, 3) != chessboard().At(5, 3) {
		t.Errorf("image: %v, %v", img, err)
	}
	if got := events[3].GetSummary().Value[0].GetTensor().StringVal[0]; string(got) != "**sep3x3**" {
		t.Errorf("text: %q", got)
	}
	if h := events[4].GetSummary().Value[0].GetHisto(); h.Num != 3 || h.Min != -1 || h.Max != 1 || h.SumSquares != 2 {
		t.Errorf("histogram: %v", h)
	}
}

func TestCreateNeverSharesAFile(t *testing.T) {
	dir := t.TempDir()
	now := func() time.Time { return clock }
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			w, err := Create(dir, Options{Now: now})
			if err != nil {
				t.Error(err)
				return
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	found, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.1700000000.*"))
	if err != nil || len(found) != 8 {
		t.Errorf("%q, %v", found, err)
	}
}

func TestWriterMayBeSharedByGoroutines(t *testing.T) {
	w := create(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := w.Text(int64(i), "t", strings.Repeat("x", 1000*i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	must(t, w.Close())
	if n := len(readBack(t, w.Path())); n != 21 {
		t.Errorf("%d events", n)
	}
	if err := w.Text(0, "t", "late"); err == nil {
		t.Error("wrote into a closed file")
	}
}

func TestCreateNamesTheDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	if _, err := Create(file, Options{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

func TestHistogramCountsEachValueInItsBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64(), 1, 200).Draw(t, "values")
		h := histogram(values)
		if h == nil {
			return // nothing finite
		}
		want := make([]float64, len(h.BucketLimit))
		for _, v := range values {
			for i, limit := range h.BucketLimit {
				if finite(v) && (v <= limit || i == len(want)-1) {
					want[i]++
					break
				}
			}
		}
		if d := cmp.Diff(want, h.Bucket); d != "" {
			t.Fatalf("limits %v: %s", h.BucketLimit, d)
		}
	})
}

// TestTensorBoardReadsIt lets TensorBoard's own reader judge.
func TestTensorBoardReadsIt(t *testing.T) {
	w := create(t)
	must(t, w.Scalars(3, map[string]float64{"loss": 1.25}))
	must(t, w.Scalars(7, map[string]float64{"loss": 0.5}))
	must(t, w.Image(4, "sample", chessboard()))
	must(t, w.Text(5, "cell", "**sep3x3**"))
	must(t, w.Histogram(6, "weights", []float64{-1, 0, 1}))
	must(t, w.Close())
	out := reftest.Python(t, `
import json, sys
from tensorboard.backend.event_processing import event_accumulator as ea
from tensorboard.util import tensor_util
a = ea.EventAccumulator(sys.argv[1]); a.Reload()
image, h = a.Images("sample")[0], a.Histograms("weights")[0].histogram_value
text = a.Tensors("cell")[0]
print(json.dumps({
  "loss": [[s.step, s.value, s.wall_time] for s in a.Scalars("loss")],
  "image": [image.step, image.width, image.height], "png": image.encoded_image_string[1:4].decode(),
  "text": tensor_util.make_ndarray(text.tensor_proto).item().decode(),
  "plugin": a.SummaryMetadata("cell").plugin_data.plugin_name,
  "histogram": [h.num, h.min, h.max, sum(h.bucket)]}))
`, w.Path())
	var got any
	must(t, json.Unmarshal([]byte(out), &got))
	want := map[string]any{
		"loss":  []any{[]any{3., 1.25, 1700000000.5}, []any{7., .5, 1700000000.5}},
		"image": []any{4., 6., 4.}, "png": "PNG", "text": "**sep3x3**", "plugin": "text",
		"histogram": []any{3., -1., 1., 3.},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
