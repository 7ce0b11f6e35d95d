package sets

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/imagegate"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

func drawShapes(t *testing.T, s Shapes, c Conversion) (Manifest, string) {
	t.Helper()
	if c.Out == "" {
		c.Out = t.TempDir()
	}
	m, err := DrawShapes(t.Context(), s, c)
	if err != nil {
		t.Fatal(err)
	}
	return m, c.Out
}

// The records hold what the annotation files say, in pixels.
func TestShapesAreRecordsAndAnnotations(t *testing.T) {
	m, out := drawShapes(t, Shapes{Images: 30, ValidationImages: 10, Size: 64}, Conversion{Seed: 5, TrainShards: 3})
	if d := cmp.Diff([]Category{{1, 1, "disc"}, {2, 2, "square"}, {3, 3, "triangle"}}, m.Categories); d != "" || m.Kind != "shapes" || len(m.Splits) != 2 {
		t.Errorf("%+v %s", m, d)
	}
	if report, err := Verify(t.Context(), out, VerifyOptions{Decode: true}); err != nil || !report.OK() || report.Splits[0].Examples != 30 || report.Splits[1].Examples != 10 {
		t.Errorf("%+v, %v", report, err)
	}
	all, seen := labelled(t, out, m), 0
	for _, split := range []string{Train, Validation} {
		set, err := coco.OpenAnnotations(filepath.Join(out, "annotations", split+".json"), coco.Policy{Strict: true})
		if err != nil {
			t.Fatal(err)
		}
		byImage := map[int64][]coco.Object{}
		for _, o := range set.Objects {
			byImage[o.ImageID] = append(byImage[o.ImageID], o)
		}
		for _, img := range set.Images {
			l, ok := all[split+":"+img.FileName]
			if want := byImage[img.ID]; !ok || l.SourceID != fmt.Sprint(img.ID) || len(want) < 1 || len(want) > 3 || len(l.Objects) != len(want) {
				t.Fatalf("%s %+v: %d objects in the record, %d in the annotations", split, img, len(l.Objects), len(want))
			}
			for i, o := range byImage[img.ID] {
				if got := l.Objects[i]; got.XMin != float32(o.Box.X/64) || got.YMax != float32((o.Box.Y+o.Box.H)/64) || got.Label != o.CategoryID || got.Area != float32(o.Area) {
					t.Errorf("%s: %+v, annotations say %+v", img.FileName, got, o)
				}
			}
			file, err := os.ReadFile(filepath.Join(out, "images", split, img.FileName))
			if err != nil || string(file) != string(l.Encoded) {
				t.Errorf("%s: not the bytes of its file, %v", img.FileName, err)
			}
			seen++
		}
	}
	if seen != 40 || len(all) != 40 {
		t.Errorf("%d images, %d records", seen, len(all))
	}
}

func TestShapesFollowTheirSeed(t *testing.T) {
	s := Shapes{Images: 12, Size: 32}
	m, out := drawShapes(t, s, Conversion{Seed: 5})
	again, _ := drawShapes(t, s, Conversion{Seed: 5, Workers: 3})
	other, _ := drawShapes(t, s, Conversion{Seed: 6})
	if d := cmp.Diff(shas(m), shas(again)); d != "" {
		t.Errorf("the same seed, other bytes: %s", d)
	}
	for file, sha := range shas(m) {
		if shas(other)[file] == sha {
			t.Errorf("%s: another seed, the same bytes", file)
		}
	}
	if n := m.Splits[1].Examples; n != 1 {
		t.Errorf("%d validation images by default, want a tenth", n)
	}
	if repeated, _ := drawShapes(t, s, Conversion{Seed: 5, Out: out}); !cmp.Equal(m, repeated) {
		t.Error("done before, but another manifest")
	}
	_, err := DrawShapes(t.Context(), s, Conversion{Seed: 6, Out: out})
	mustFail(t, err, ErrOther)
}

// An interrupted call is finished by the next one, and the result is that of an
// undisturbed one.
func TestShapesAreResumed(t *testing.T) {
	s := Shapes{Images: 20, ValidationImages: 4, Size: 32}
	want, _ := drawShapes(t, s, Conversion{TrainShards: 4})
	out := t.TempDir()
	for _, stage := range []string{"draw", "convert"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := DrawShapes(ctx, s, Conversion{Out: out, TrainShards: 4, Workers: 1, Progress: func(p Progress) {
			if p.Stage == stage && p.Done == 7 {
				cancel()
			}
		}})
		mustFail(t, err, context.Canceled)
		cancel()
		if _, err := LoadManifest(out); !errors.Is(err, ErrUnfinished) {
			t.Fatal(err)
		}
	}
	got, _ := drawShapes(t, s, Conversion{Out: out, TrainShards: 4})
	if d := cmp.Diff(shas(want), shas(got)); d != "" {
		t.Error(d)
	}
}

// No photograph is behind images of both splits: each has a colour of its own,
// and the mean colour of an image tells which it was.
func TestSplitsShareNoBackground(t *testing.T) {
	photos := tree{}
	for i := range 10 {
		img := image.NewGray(image.Rect(0, 0, 40, 30))
		for k := range img.Pix {
			img.Pix[k] = uint8(20 + 22*i)
		}
		photos[fmt.Sprintf("p%d.png", i)] = encodePNG(t, img)
	}
	root := photos.write(t)
	used := map[string]map[string]bool{}
	d := &drawing{Shapes: Shapes{Backgrounds: root}, Conversion: Conversion{Seed: 1}, read: newReader(1 << 20)}
	if err := d.findPhotos(); err != nil {
		t.Fatal(err)
	}
	for _, split := range []string{Train, Validation} {
		used[split] = map[string]bool{}
		for id := range 200 {
			photo, err := d.photo(split, id)
			if err != nil {
				t.Fatal(err)
			}
			used[split][fmt.Sprint(photo.At(3, 3))] = true
		}
	}
	for colour := range used[Validation] {
		if used[Train][colour] {
			t.Errorf("%s is behind images of both splits", colour)
		}
	}
	if len(used[Train]) != 8 || len(used[Validation]) != 2 {
		t.Errorf("%d and %d photographs used, want 8 and 2", len(used[Train]), len(used[Validation]))
	}
	m, out := drawShapes(t, Shapes{Images: 3, Size: 32, Backgrounds: root}, Conversion{})
	if report, err := Verify(t.Context(), out, VerifyOptions{}); err != nil || !report.OK() || m.Splits[0].Examples != 3 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestWhatCannotBeDrawn(t *testing.T) {
	full := tree{"mine.txt": []byte("x")}.write(t)
	one := tree{"a.png": encodePNG(t, picture(8, 8, 1))}.write(t)
	bad := tree{"a.jpg": encodeJPEG(t, picture(80, 80, 1))[:300], "b.jpg": encodeJPEG(t, picture(80, 80, 1))[:300]}.write(t)
	for name, c := range map[string]struct {
		s    Shapes
		out  string
		want string
	}{
		"no images":          {Shapes{}, t.TempDir(), "want 1 to"},
		"tiny":               {Shapes{Images: 1, Size: 8}, t.TempDir(), "want 32 to"},
		"nowhere":            {Shapes{Images: 1}, "", "no output"},
		"one photograph":     {Shapes{Images: 1, Backgrounds: one}, t.TempDir(), "at least 2"},
		"no such folder":     {Shapes{Images: 1, Backgrounds: filepath.Join(one, "none")}, t.TempDir(), "none"},
		"something is there": {Shapes{Images: 1}, full, ErrOther.Error()},
		"broken photograph":  {Shapes{Images: 1, Backgrounds: bad}, t.TempDir(), imagegate.ErrTruncated.Error()},
	} {
		if _, err := DrawShapes(t.Context(), c.s, Conversion{Out: c.out}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFirstLabelled(t *testing.T) {
	m, out := drawShapes(t, Shapes{Images: 9, Size: 32}, Conversion{TrainShards: 3})
	all := labelled(t, out, m)
	for n, want := range map[int]int{0: 0, 1: 1, 4: 4, 9: 9, 100: 9} {
		list, err := FirstLabelled(out, Train, n)
		if err != nil || len(list) != want {
			t.Fatalf("%d asked for: %d, %v", n, len(list), err)
		}
		for _, l := range list {
			if d := cmp.Diff(all["train:"+l.Filename], l); d != "" {
				t.Error(d)
			}
		}
	}
	_, err := FirstLabelled(out, "test", 1)
	mustFail(t, err, ErrMissing)
	shard := filepath.Join(out, m.Splits[0].Shards[0].File)
	text, err := os.ReadFile(shard)
	if err != nil {
		t.Fatal(err)
	}
	text[40] ^= 1
	write(t, shard, text)
	_, err = FirstLabelled(out, Train, 1)
	mustFail(t, err, tfrecord.ErrChecksum)
}
