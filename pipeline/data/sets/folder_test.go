package sets

import (
	"bytes"
	"fmt"
	"image"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func convertFolder(t *testing.T, from Folder) (Manifest, []Example) {
	t.Helper()
	out := t.TempDir()
	m, err := ConvertFolder(t.Context(), from, Conversion{Out: out})
	if err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(t.Context(), out, VerifyOptions{Decode: true}); err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
	return m, contents(t, out, m)
}

func TestFolderKeepsPixels(t *testing.T) {
	tr := tree{
		"dog/a.jpg": encodeJPEG(t, picture(5, 5, 1)), "dog/deep/b.PNG": encodePNG(t, picture(5, 5, 2)),
		"cat/c.gif": encodeGIF(t, picture(5, 5, 3)), "cat/notes.txt": []byte("x"), "cat/d.jpeg": cmykJPEG(0, 255, 255, 0),
	}
	m, all := convertFolder(t, Folder{Dir: tr.write(t), Holdout: -1})
	if d := cmp.Diff([]Class{{"cat", "cat"}, {"dog", "dog"}}, m.Classes); d != "" || m.LabelOffset != 0 || m.PassedOver != 1 || len(m.Splits) != 1 {
		t.Errorf("%+v %s", m, d)
	}
	if d := cmp.Diff(map[string]int64{"JPEG": 2, "PNG": 2}, m.Splits[0].Formats); d != "" {
		t.Error(d)
	}
	for _, e := range all {
		switch e.Filename {
		case "dog/a.jpg", "dog/deep/b.PNG":
			if e.Label != 1 || !bytes.Equal(e.Encoded, tr[e.Filename]) {
				t.Errorf("%s: label %d, or other bytes", e.Filename, e.Label)
			}
		case "cat/c.gif":
			got, _, _ := image.Decode(bytes.NewReader(e.Encoded))
			want, _, _ := image.Decode(bytes.NewReader(tr["cat/c.gif"]))
			for i := range 25 {
				r, g, b, _ := got.At(i%5, i/5).RGBA()
				R, G, B, _ := want.At(i%5, i/5).RGBA()
				if r != R || g != G || b != B {
					t.Fatalf("pixel %d of the GIF changed", i)
				}
			}
		case "cat/d.jpeg":
			expectColour(t, e.Encoded, 1, 1, [3]int{255, 0, 0})
		default:
			t.Errorf("what is %s?", e.Filename)
		}
	}
}

func TestFolderSplits(t *testing.T) {
	img := encodePNG(t, picture(3, 3, 1))
	withSplits, without := tree{}, tree{}
	for i := range 300 {
		without[fmt.Sprintf("c%d/%d.png", i%2, i)] = img
		if i < 20 {
			withSplits[fmt.Sprintf("%s/c%d/%d.png", []string{"train", "val"}[i/16], i%2, i)] = img
		}
	}
	m, _ := convertFolder(t, Folder{Dir: withSplits.write(t)})
	if a, b := m.Splits[0], m.Splits[1]; a.Examples != 16 || b.Examples != 4 || a.Name != Train || b.Name != Validation || len(m.Classes) != 2 {
		t.Errorf("%+v", m)
	}
	m, all := convertFolder(t, Folder{Dir: without.write(t), Holdout: 0.2})
	held := m.Splits[1].Examples
	if held < 35 || held > 85 || m.Splits[0].Examples+held != 300 {
		t.Errorf("held out: %d of 300", held)
	}
	names := map[string]bool{}
	for _, e := range all[:300-held] {
		names[e.Filename] = true
	}
	without["c0/new.png"] = img
	_, more := convertFolder(t, Folder{Dir: without.write(t), Holdout: 0.2})
	trained := 0
	for _, e := range more[:len(more)-int(held)-1] {
		if names[e.Filename] {
			trained++
		}
	}
	if trained < int(300-held)-1 {
		t.Errorf("an image more moved others between the splits: %d of %d stayed", trained, 300-held)
	}
}

func TestFolderByCSV(t *testing.T) {
	img := encodePNG(t, picture(3, 3, 1))
	tr := tree{"a.png": img, "sub/b.png": img, "c.png": img, "labels.csv": []byte("file,label,split\na.png,x,train\nsub/b.png,y,train\nc.png,y,val\n")}
	dir := tr.write(t)
	m, all := convertFolder(t, Folder{Dir: dir, Labels: filepath.Join(dir, "labels.csv")})
	got := map[string]int64{}
	for _, e := range all {
		got[e.Filename] = e.Label
	}
	if d := cmp.Diff(map[string]int64{"a.png": 0, "sub/b.png": 1, "c.png": 1}, got); d != "" || m.Splits[1].Examples != 1 {
		t.Errorf("%+v %s", m, d)
	}
	bad := tree{"l.csv": []byte("file,label,split\n../a.png,x,train\nabsent.png,x,train\na.png,x,dev\n")}.write(t)
	_, err := ConvertFolder(t.Context(), Folder{Dir: dir, Labels: filepath.Join(bad, "l.csv")}, Conversion{Out: t.TempDir()})
	for _, say := range []string{"row 1", "row 2", "row 3", `"dev"`} {
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("want %q among the faults: %v", say, err)
		}
	}
}

func TestFolderNeedsClasses(t *testing.T) {
	img := encodePNG(t, picture(3, 3, 1))
	for name, tr := range map[string]tree{"flat": {"a.png": img}, "one class": {"c/a.png": img, "c/b.png": img}, "none": {"readme": nil}} {
		if _, err := ConvertFolder(t.Context(), Folder{Dir: tr.write(t)}, Conversion{Out: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "two folders") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
