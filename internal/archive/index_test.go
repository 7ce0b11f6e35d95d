package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"testing"
)

func TestIndexPointsAtTheContents(t *testing.T) {
	inner := pack(t, reg("n01_1.JPEG", "tench"))
	outer := pack(t, file{header: tar.Header{Name: "d/", Typeflag: tar.TypeDir}}, reg("d/a", "alpha"), reg("n01.tar", string(inner)))
	found, err := Index(bytes.NewReader(outer), int64(len(outer)), Limits{})
	if err != nil || len(found) != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	for i, want := range []string{"alpha", string(inner)} {
		if got := string(outer[found[i].Offset : found[i].Offset+found[i].Size]); got != want {
			t.Errorf("%s: %q", found[i].Name, got)
		}
	}
}

func TestIndexRefusesWhatWalkTarRefuses(t *testing.T) {
	good := pack(t, reg("a", "alpha"))
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"parent":  {pack(t, reg("../a", "x")), ErrUnsafe},
		"link":    {pack(t, file{header: tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "a"}}), ErrUnsafe},
		"cut":     {good[:512+3], ErrCorrupt},
		"not one": {bytes.Repeat([]byte("no tar "), 200), ErrCorrupt},
		"zipped":  {zip(t, good), ErrCorrupt},
	} {
		if _, err := Index(bytes.NewReader(c.data), int64(len(c.data)), Limits{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := Index(bytes.NewReader(good), int64(len(good)), Limits{EntryBytes: 2}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// FuzzIndex: every region lies inside the archive and holds what the walk reads.
func FuzzIndex(f *testing.F) {
	f.Add(pack(f, reg("a", "alpha"), reg("d/b", "beta")))
	f.Add(pack(f, reg("n01.tar", "not a tar"))[:700])
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := Index(bytes.NewReader(data), int64(len(data)), Limits{})
		if err != nil {
			return
		}
		for _, r := range found {
			if r.Offset < 0 || r.Size < 0 || r.Offset+r.Size > int64(len(data)) {
				t.Fatalf("%+v of %d bytes", r, len(data))
			}
		}
		if walked, err := walk(data, Limits{}); err == nil {
			for _, r := range found {
				if _, ok := walked[r.Name]; !ok {
					t.Fatalf("%q is indexed but not walked", r.Name)
				}
			}
		}
	})
}
