package data_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// failing runs a pipeline over one example and returns its error.
func failing(t *testing.T, x sets.Example, r data.Records, o data.RecordOptions) error {
	t.Helper()
	record, err := x.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var shard bytes.Buffer
	if err := tfrecord.NewWriter(&shard).Write(record); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "train-00000-of-00001")
	if err := os.WriteFile(path, shard.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Files, r.LabelOffset, r.Classes = []string{path}, 1, 10
	g := tfgraph.New()
	in := data.NewRecordInput(g.Root(), "records", opened(t, r), o)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	if err := in.Start(sess, 0); err != nil {
		t.Fatal(err)
	}
	_, err = sess.Run(nil, []tfgraph.Tensor{in.Images, in.Labels})
	return err
}

// Nothing bad passes for an example: images that declare too much, are cut off or
// none, and labels out of range, in training and in evaluation, of files that are
// all JPEGs and of those that are not.
func TestNothingBadPasses(t *testing.T) {
	good, err := os.ReadFile(photographs(t, 1, 1).Files[0])
	if err != nil {
		t.Fatal(err)
	}
	x, err := sets.ParseExample(good[12 : len(good)-4])
	if err != nil {
		t.Fatal(err)
	}
	ways := map[string]data.RecordOptions{
		"training":   {Batch: 1, Train: &data.Distortion{Height: 8, Width: 8}},
		"evaluation": {Batch: 1, Eval: data.InceptionEval(8, 8)},
	}
	for way, o := range ways {
		{
			jpeg := way == "training"
			r := data.Records{JPEG: jpeg}
			if err := failing(t, sets.Example{Encoded: x.Encoded, Label: 10}, r, o); err != nil {
				t.Errorf("%s, JPEG %v: a good image: %v", way, jpeg, err)
			}
			bad := map[string]sets.Example{
				"truncated":      {Encoded: x.Encoded[:len(x.Encoded)/2], Label: 1},
				"zero bytes":     {Encoded: make([]byte, 500), Label: 1},
				"empty":          {Label: 1},
				"label too low":  {Encoded: x.Encoded, Label: 0},
				"label too high": {Encoded: x.Encoded, Label: 11},
			}
			for format, bomb := range bombs(t) {
				if !jpeg || format == "JPEG" {
					bad["bomb "+format] = sets.Example{Encoded: bomb, Label: 1}
				}
			}
			for name, e := range bad {
				if err := failing(t, e, r, o); err == nil {
					t.Errorf("%s, JPEG %v: %s passed", way, jpeg, name)
				}
			}
		}
	}
}

// resident is a line of this process's memory in bytes: VmHWM, VmRSS.
func resident(t *testing.T, line string) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc/self/status here")
	}
	_, rest, _ := strings.Cut(string(text), line+":")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// A bomb is refused before memory is taken for its pixels; without the limit it
// would take more than a gigabyte.
func TestBombsAreCheap(t *testing.T) {
	for format, bomb := range bombs(t) {
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
			t.Skipf("the greatest memory cannot be reset: %v", err)
		}
		before := resident(t, "VmRSS")
		if err := failing(t, sets.Example{Encoded: bomb, Label: 1}, data.Records{}, data.RecordOptions{Batch: 1, Eval: data.InceptionEval(8, 8)}); err == nil {
			t.Errorf("%s passed", format)
		}
		if grown := resident(t, "VmHWM") - before; grown > 64<<20 {
			t.Errorf("%s cost %d MB", format, grown>>20)
		}
	}
}
