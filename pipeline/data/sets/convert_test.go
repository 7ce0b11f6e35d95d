package sets

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"image"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"github.com/nasnet-go/nasnet/internal/imagegate"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

func crcIEEE(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

func readShard(t testing.TB, path string) []Example {
	t.Helper()
	r, err := tfrecord.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []Example
	for {
		data, err := r.Next()
		if err == io.EOF {
			return all
		}
		var e Example
		if err == nil {
			e, err = ParseExample(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

func convert(t *testing.T, from ImageNet, c Conversion) (Manifest, string) {
	t.Helper()
	if c.Out == "" {
		c.Out = t.TempDir()
	}
	m, err := ConvertImageNet(t.Context(), from, c)
	if err != nil {
		t.Fatal(err)
	}
	return m, c.Out
}

func TestImageNetFromATree(t *testing.T) {
	tr := smallImageNet(t, 4)
	tr["readme.txt"] = []byte("no image")
	var last Progress
	m, out := convert(t, ImageNet{Train: tr.write(t)}, Conversion{TrainShards: 5, Progress: func(p Progress) { last = p }})
	if last != (Progress{"convert", 12, 12, "images"}) {
		t.Errorf("progress ended at %+v", last)
	}
	train, _ := m.Split(Train)
	if d := cmp.Diff([]int64{4, 4, 4}, train.Counts); d != "" || train.Examples != 12 || m.LabelOffset != 1 || m.PassedOver != 1 {
		t.Errorf("manifest %+v %s", m, d)
	}
	if len(train.Shards) != 5 || train.Shards[4].File != "train-00004-of-00005" {
		t.Errorf("shards %+v", train.Shards)
	}
	seen := map[string]bool{}
	for _, e := range contents(t, out, m) {
		class := slices.Index(synsets, e.Synset)
		want := tr[e.Synset+"/"+e.Filename]
		if e.Label != int64(class+1) || !bytes.Equal(e.Encoded, want) || e.Format != "JPEG" || e.Height != 8+class {
			t.Errorf("%s: label %d, %d x %d, %d bytes", e.Filename, e.Label, e.Width, e.Height, len(e.Encoded))
		}
		seen[e.Filename] = true
	}
	if len(seen) != 12 {
		t.Errorf("%d different images", len(seen))
	}
	report, err := Verify(t.Context(), out, VerifyOptions{Decode: true})
	if err != nil || !report.OK() || !report.Manifest || report.Splits[0].Examples != 12 {
		t.Errorf("verified: %+v, %v", report, err)
	}
}

func shas(m Manifest) map[string]string {
	all := map[string]string{}
	for _, s := range m.Splits {
		for _, shard := range s.Shards {
			all[shard.File] = shard.SHA256
		}
	}
	return all
}

// TestImageNetSourcesAgree: a tree, a tar, a tar of tars and a folder of tars
// give the same bytes.
func TestImageNetSourcesAgree(t *testing.T) {
	tr := smallImageNet(t, 3)
	want, _ := convert(t, ImageNet{Train: tr.write(t)}, Conversion{TrainShards: 2})
	tars := tree{}
	for _, s := range synsets {
		inner := tree{}
		for name, data := range tr {
			if base, ok := strings.CutPrefix(name, s+"/"); ok {
				inner[base] = data
			}
		}
		tars[s+".tar"] = inner.pack(t)
	}
	prefixed := tree{}
	for name, data := range tr {
		prefixed["ILSVRC/train/"+name] = data
	}
	for name, source := range map[string]string{
		"tar": tr.tar(t, false), "tar of tars": tr.tar(t, true), "folder of tars": tars.write(t), "deeper": prefixed.tar(t, false),
	} {
		got, _ := convert(t, ImageNet{Train: source}, Conversion{TrainShards: 2, Workers: 1})
		if d := cmp.Diff(shas(want), shas(got)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestImageNetValidationLabels(t *testing.T) {
	flat, lines, rows := tree{}, "", ""
	for i, s := range []string{synsets[2], synsets[0], synsets[2]} {
		name := "ILSVRC2012_val_0000000" + string(rune('1'+i)) + ".JPEG"
		flat[name] = encodeJPEG(t, picture(9, 9, i))
		lines += s + "\n"
		rows = name + ", " + s + "\n" + rows
	}
	train, val := smallImageNet(t, 1).write(t), flat.write(t)
	labels := tree{"lines": []byte(lines), "rows": []byte(rows), "few": []byte(synsets[0] + "\n"), "numbers": []byte("490\n361\n171\n"), "other": []byte(strings.ReplaceAll(lines, "n01440764", "n09999999"))}.write(t)
	for _, kind := range []string{"lines", "rows"} {
		m, out := convert(t, ImageNet{Train: train, Validation: val, ValidationLabels: filepath.Join(labels, kind)}, Conversion{})
		s, _ := m.Split(Validation)
		if d := cmp.Diff([]int64{1, 0, 2}, s.Counts); d != "" {
			t.Errorf("%s: %s", kind, d)
		}
		for _, path := range s.Paths(out) {
			for _, e := range readShard(t, path) {
				if want := int64(3); (e.Filename == "ILSVRC2012_val_00000002.JPEG") != (e.Label == 1) || (e.Label != 1 && e.Label != want) {
					t.Errorf("%s: %s has label %d", kind, e.Filename, e.Label)
				}
			}
		}
	}
	for kind, say := range map[string]string{"": "--val-labels", "few": "1 labels for 3 images", "numbers": "ILSVRC's own numbers", "other": "n09999999"} {
		from := ImageNet{Train: train, Validation: val}
		if kind != "" {
			from.ValidationLabels = filepath.Join(labels, kind)
		}
		if _, err := ConvertImageNet(t.Context(), from, Conversion{Out: t.TempDir()}); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: want %q, got %v", kind, say, err)
		}
	}
}

func TestImageNetClassesFromACSV(t *testing.T) {
	csv := tree{"c.csv": []byte("index0,wnid,name\n1,n01443537,\"goldfish, Carassius auratus\"\n0,n01440764,tench\n2,n01484850,great white shark\n")}.write(t)
	one := tree{"n01484850/n01484850_1.JPEG": encodeJPEG(t, picture(4, 4, 1))}
	m, out := convert(t, ImageNet{Train: one.write(t), Classes: filepath.Join(csv, "c.csv")}, Conversion{})
	if e := contents(t, out, m)[0]; e.Label != 3 || e.Text != "great white shark" || m.Classes[1].Text != "goldfish, Carassius auratus" {
		t.Errorf("label %d, text %q, classes %v", e.Label, e.Text, m.Classes)
	}
}

func TestImageNetReencodesTheKnownBadFiles(t *testing.T) {
	tr := tree{
		"n01440764/png.JPEG":  encodePNG(t, picture(6, 5, 3)),
		"n01440764/cmyk.JPEG": cmykJPEG(200, 100, 50, 30),
		"n01443537/fine.JPEG": encodeJPEG(t, picture(6, 5, 3)),
	}
	root := tr.write(t)
	m, out := convert(t, ImageNet{Train: root}, Conversion{TrainShards: 1})
	slices.SortFunc(m.Reencoded, func(a, b Reencoded) int { return strings.Compare(a.Was, b.Was) })
	want := []Reencoded{{filepath.Join(root, "n01440764/cmyk.JPEG"), "CMYK"}, {filepath.Join(root, "n01440764/png.JPEG"), "PNG"}}
	if d := cmp.Diff(want, m.Reencoded); d != "" {
		t.Error(d)
	}
	for _, e := range contents(t, out, m) {
		info, err := imagegate.Inspect(e.Encoded, 0)
		if err != nil || info.Format != "JPEG" || info.Channels != 3 || e.Format != "JPEG" {
			t.Errorf("%s: %+v, %v", e.Filename, info, err)
		}
		if e.Filename == "cmyk.JPEG" {
			expectColour(t, e.Encoded, 3, 3, [3]int{(255 - 200) * (255 - 30) / 255, (255 - 100) * (255 - 30) / 255, (255 - 50) * (255 - 30) / 255})
		}
	}
}

func expectColour(t *testing.T, encoded []byte, x, y int, want [3]int) {
	t.Helper()
	img, _, err := image.Decode(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	r, g, b, _ := img.At(x, y).RGBA()
	for i, got := range []int{int(r >> 8), int(g >> 8), int(b >> 8)} {
		if max(got-want[i], want[i]-got) > 2 {
			t.Errorf("colour %d,%d,%d, want %v", r>>8, g>>8, b>>8, want)
			return
		}
	}
}

var badImages = []struct {
	name string
	data func(t testing.TB) []byte
	want error
}{
	{"empty", func(testing.TB) []byte { return nil }, imagegate.ErrEmpty},
	{"html", func(testing.TB) []byte { return []byte("<html>404</html>") }, imagegate.ErrFormat},
	{"cut", func(t testing.TB) []byte { b := encodeJPEG(t, picture(30, 30, 1)); return b[:len(b)-10] }, imagegate.ErrTruncated},
	{"bomb", func(t testing.TB) []byte { return bombPNG(t) }, imagegate.ErrTooLarge},
	{"torn GIF", func(t testing.TB) []byte { return encodeGIF(t, picture(9, 9, 1))[:40] }, imagegate.ErrCorrupt},
	{"long", func(testing.TB) []byte { return make([]byte, 5000) }, errTooLong},
}

func TestBadImagesUnderBothPolicies(t *testing.T) {
	for _, bad := range badImages {
		t.Run(bad.name, func(t *testing.T) {
			tr := smallImageNet(t, 2)
			tr["n01443537/bad.JPEG"] = bad.data(t)
			root := tr.tar(t, true)
			place := root + "!n01443537.tar/bad.JPEG"
			c := Conversion{Out: t.TempDir(), TrainShards: 2, MaxFileBytes: 4096}
			_, err := ConvertImageNet(t.Context(), ImageNet{Train: root}, c)
			mustFail(t, err, bad.want)
			if !strings.Contains(err.Error(), place+": record 2 at byte ") {
				t.Errorf("the place is not named: %v", err)
			}
			c.SkipLimit = 1 // the conversion goes on where it stopped
			m, err := ConvertImageNet(t.Context(), ImageNet{Train: root}, c)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Bad) != 1 || m.Bad[0].File != place || m.Bad[0].Record != 2 || m.Bad[0].Offset == 0 || m.Splits[0].Examples != 6 {
				t.Errorf("counted: %+v, %d examples", m.Bad, m.Splits[0].Examples)
			}
			if report, err := Verify(t.Context(), c.Out, VerifyOptions{}); err != nil || !report.OK() {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}

func TestSkipLimitHoldsOverAResume(t *testing.T) {
	tr := smallImageNet(t, 2)
	for _, name := range []string{"n01440764/a.JPEG", "n01443537/b.JPEG", "n01484850/c.JPEG"} {
		tr[name] = nil
	}
	c := Conversion{Out: t.TempDir(), TrainShards: 4, Workers: 1, SkipLimit: 2}
	root := tr.write(t)
	for range 2 { // the second call counts what the first had skipped
		_, err := ConvertImageNet(t.Context(), ImageNet{Train: root}, c)
		mustFail(t, err, tfrecord.ErrTooManyFaults)
	}
	c.SkipLimit = 3
	if m, err := ConvertImageNet(t.Context(), ImageNet{Train: root}, c); err != nil || len(m.Bad) != 3 {
		t.Fatalf("%+v, %v", m.Bad, err)
	}
}

func TestConversionResumesToTheSameBytes(t *testing.T) {
	root := smallImageNet(t, 6).write(t)
	want, _ := convert(t, ImageNet{Train: root}, Conversion{TrainShards: 6})
	for stop := range 6 {
		c := Conversion{Out: t.TempDir(), TrainShards: 6, Workers: 1}
		ctx, cancel := context.WithCancel(t.Context())
		c.Progress = func(p Progress) {
			if p.Done > int64(3*stop) {
				cancel()
			}
		}
		_, err := ConvertImageNet(ctx, ImageNet{Train: root}, c)
		if stop < 5 {
			mustFail(t, err, context.Canceled)
			if _, err := LoadManifest(c.Out); !errors.Is(err, ErrUnfinished) {
				t.Fatalf("stop %d: a manifest before the end: %v", stop, err)
			}
		}
		c.Progress = nil
		got, _ := convert(t, ImageNet{Train: root}, c)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("stop %d: %s", stop, d)
		}
		if names, err := os.ReadDir(c.Out); err != nil || len(names) != 6+2 { // shards, manifest, lock
			t.Errorf("stop %d: %v, %v", stop, names, err)
		}
		again, _ := convert(t, ImageNet{Train: root}, c)
		if d := cmp.Diff(want, again); d != "" {
			t.Errorf("converted again: %s", d)
		}
	}
}

func TestConversionRefusesForeignDirectories(t *testing.T) {
	root := smallImageNet(t, 2).write(t)
	_, out := convert(t, ImageNet{Train: root}, Conversion{TrainShards: 2})
	_, err := ConvertImageNet(t.Context(), ImageNet{Train: root}, Conversion{Out: out, TrainShards: 3})
	mustFail(t, err, ErrOther)

	half := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = ConvertImageNet(ctx, ImageNet{Train: root}, Conversion{Out: half})
	mustFail(t, err, context.Canceled)
	_, err = ConvertImageNet(t.Context(), ImageNet{Train: root}, Conversion{Out: half, Seed: 7})
	mustFail(t, err, ErrOther)

	guard := flock.New(filepath.Join(half, ".lock"))
	if got, err := guard.TryLock(); err != nil || !got {
		t.Fatal(err)
	}
	defer guard.Close()
	_, err = ConvertImageNet(t.Context(), ImageNet{Train: root}, Conversion{Out: half})
	mustFail(t, err, ErrInUse)
}

func TestImageNetSaysWhatIsWrongWithItsSource(t *testing.T) {
	out := t.TempDir()
	evil := filepath.Join(t.TempDir(), "evil.tar")
	write(t, evil, tree{"../n01440764/x.JPEG": nil}.pack(t))
	for name, c := range map[string]struct {
		from ImageNet
		say  string
	}{
		"nothing":   {ImageNet{}, "neither"},
		"absent":    {ImageNet{Train: filepath.Join(out, "absent")}, "absent"},
		"empty":     {ImageNet{Train: out}, "holds no images"},
		"no synset": {ImageNet{Train: tree{"cats/a.jpg": nil}.write(t)}, "no folder of a synset"},
		"evil tar":  {ImageNet{Train: evil}, "unsafe"},
	} {
		if _, err := ConvertImageNet(t.Context(), c.from, Conversion{Out: out}); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: want %q, got %v", name, c.say, err)
		}
	}
	if _, err := ConvertImageNet(t.Context(), ImageNet{Train: smallImageNet(t, 1).write(t)}, Conversion{}); err == nil {
		t.Error("no output directory, no error")
	}
}
