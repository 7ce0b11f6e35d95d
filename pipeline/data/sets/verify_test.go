package sets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/imagegate"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// writeShard writes records as they are into a file of dir.
func writeShard(t testing.TB, dir, name string, records ...[]byte) {
	t.Helper()
	var b bytes.Buffer
	w := tfrecord.NewWriter(&b)
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, name), b.Bytes())
}

func marshal(t testing.TB, e Example) []byte {
	t.Helper()
	b, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tfdsExample(t testing.TB, image []byte, label int64) []byte {
	t.Helper()
	b, err := proto.Marshal(&examplepb.Example{Features: &examplepb.Features{Feature: map[string]*examplepb.Feature{
		"image": bytesFeature(image), "label": intFeature(label), "file_name": bytesFeature([]byte("n01440764_1.JPEG")),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestExampleRoundTrip(t *testing.T) {
	want := Example{Encoded: []byte("jpeg"), Format: "JPEG", Height: 3, Width: 4, Filename: "a", Label: 7, Synset: "n01440764", Text: "tench"}
	got, err := ParseExample(marshal(t, want))
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if !bytes.Equal(marshal(t, want), marshal(t, want)) {
		t.Error("the same example, other bytes")
	}
	got, err = ParseExample(tfdsExample(t, []byte("x"), 0))
	if err != nil || string(got.Encoded) != "x" || got.Label != 0 || got.Filename != "n01440764_1.JPEG" {
		t.Errorf("by TFDS's keys: %+v, %v", got, err)
	}
	for want, data := range map[error][]byte{errNotExample: []byte("\xff\xff"), errNoImage: nil} {
		if _, err := ParseExample(data); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

func TestVerifyReadsWhatOthersWrote(t *testing.T) {
	dir, jpg := t.TempDir(), encodeJPEG(t, picture(4, 4, 1))
	writeShard(t, dir, "imagenet2012-train.tfrecord-00000-of-00002", tfdsExample(t, jpg, 0), tfdsExample(t, jpg, 999))
	writeShard(t, dir, "imagenet2012-train.tfrecord-00001-of-00002", tfdsExample(t, jpg, 5))
	report, err := Verify(t.Context(), dir, VerifyOptions{Classes: 1000})
	if err != nil || !report.OK() || report.Manifest {
		t.Fatalf("%+v, %v", report, err)
	}
	want := SplitReport{
		Name: "imagenet2012-train.tfrecord", Files: 2, Examples: 3,
		Labels: map[int64]int64{0: 1, 5: 1, 999: 1}, Formats: map[string]int64{"JPEG": 3},
	}
	if d := cmp.Diff([]SplitReport{want}, report.Splits); d != "" {
		t.Error(d)
	}
	if err := os.Remove(filepath.Join(dir, "imagenet2012-train.tfrecord-00000-of-00002")); err != nil {
		t.Fatal(err)
	}
	report, err = Verify(t.Context(), dir, VerifyOptions{})
	if d := cmp.Diff([]string{"imagenet2012-train.tfrecord-00000-of-00002 is missing"}, report.Problems); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if _, err := Verify(t.Context(), t.TempDir(), VerifyOptions{}); !errors.Is(err, ErrMissing) {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestVerifyFindsEachFault(t *testing.T) {
	jpg := encodeJPEG(t, picture(30, 30, 1))
	good := Example{Encoded: jpg, Format: "JPEG", Height: 30, Width: 30, Label: 1, Filename: "f.JPEG"}
	with := func(change func(*Example)) []byte {
		e := good
		change(&e)
		return marshal(t, e)
	}
	noLabel, err := proto.Marshal(&examplepb.Example{Features: &examplepb.Features{Feature: map[string]*examplepb.Feature{keyEncoded: bytesFeature(jpg)}}})
	if err != nil {
		t.Fatal(err)
	}
	scan := bytes.Index(jpg, []byte{0xff, 0xda}) + 14
	noise := append(bytes.Clone(jpg[:scan]), 0xff, 0xd9) // structure whole, no pixels
	for name, c := range map[string]struct {
		record []byte
		decode bool
		want   error
	}{
		"label above":      {with(func(e *Example) { e.Label = 11 }), false, ErrDigest},
		"label below":      {with(func(e *Example) { e.Label = -1 }), false, ErrDigest},
		"no label":         {noLabel, false, errNoLabel},
		"not an example":   {[]byte("\xff\xff"), false, errNotExample},
		"other size":       {with(func(e *Example) { e.Height = 31 }), false, ErrDigest},
		"cut JPEG":         {with(func(e *Example) { e.Encoded = jpg[:len(jpg)-9] }), false, imagegate.ErrTruncated},
		"bomb":             {with(func(e *Example) { e.Encoded = bombPNG(t) }), false, imagegate.ErrTooLarge},
		"broken scan data": {with(func(e *Example) { e.Encoded = noise }), true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := marshal(t, good)
			writeShard(t, dir, "train-00000-of-00001", first, c.record, first)
			o := VerifyOptions{Classes: 10, Decode: c.decode}
			_, err := Verify(t.Context(), dir, o)
			place := fmt.Sprintf("train-00000-of-00001: record 1 at byte %d: ", len(first)+16)
			if err == nil || (c.want != nil && !errors.Is(err, c.want)) || !strings.Contains(err.Error(), place) {
				t.Fatalf("want %v at %q, got %v", c.want, place, err)
			}
			o.SkipLimit = 1
			report, err := Verify(t.Context(), dir, o)
			if err != nil || len(report.Faults) != 1 || report.OK() || report.Splits[0].Examples != 2 {
				t.Errorf("skip: %+v, %v", report, err)
			}
		})
	}
}

func TestVerifyHoldsTheManifestAgainstTheFiles(t *testing.T) {
	m, out := convert(t, ImageNet{Train: smallImageNet(t, 4).write(t)}, Conversion{TrainShards: 3})
	shard := filepath.Join(out, m.Splits[0].Shards[1].File)
	data, err := os.ReadFile(shard)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(data)
	flipped[len(flipped)/2] ^= 1
	write(t, shard, flipped)
	report, err := Verify(t.Context(), out, VerifyOptions{SkipLimit: 5})
	if err != nil || len(report.Faults) != 1 || !errors.Is(report.Faults[0], tfrecord.ErrChecksum) || len(report.Problems) != 2 {
		t.Errorf("flipped: %v, %q, %v", report.Faults, report.Problems, err) // hash and count
	}
	write(t, shard, nil)
	if report, err = Verify(t.Context(), out, VerifyOptions{}); err != nil || report.OK() {
		t.Errorf("an emptied shard: %+v, %v", report, err)
	}
	write(t, shard, data)
	writeShard(t, out, "train-00007-of-00009")
	if report, err = Verify(t.Context(), out, VerifyOptions{}); err != nil || len(report.Problems) != 9 { // 8 missing, 1 unknown
		t.Errorf("a foreign shard: %q, %v", report.Problems, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Verify(ctx, out, VerifyOptions{})
	mustFail(t, err, context.Canceled)
}

// FuzzParseExample: no bytes panic, and what is parsed has an image or an error.
func FuzzParseExample(f *testing.F) {
	f.Add(marshal(f, Example{Encoded: []byte("x"), Label: 3}))
	f.Add(tfdsExample(f, []byte("x"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseExample(data)
		if err != nil && e.Encoded != nil {
			t.Fatalf("both %+v and %v", e, err)
		}
	})
}
