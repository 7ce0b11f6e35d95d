package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type file struct {
	header tar.Header
	body   string
}

func reg(name, body string) file {
	return file{tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(body))}, body}
}

func pack(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&f.header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zip(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func walk(data []byte, l Limits) (map[string]string, error) {
	got := map[string]string{}
	err := WalkTar(bytes.NewReader(data), l, func(e Entry, r io.Reader) error {
		b, err := io.ReadAll(r)
		got[e.Name] = string(b)
		return err
	})
	return got, err
}

func TestWalkTarPlainAndCompressed(t *testing.T) {
	plain := pack(t,
		file{header: tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}},
		reg("d/a.bin", "alpha"), reg("b.bin", ""))
	want := map[string]string{"d/a.bin": "alpha", "b.bin": ""}
	for name, data := range map[string][]byte{"tar": plain, "tar.gz": zip(t, plain)} {
		got, err := walk(data, Limits{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestWalkTarRefuses(t *testing.T) {
	cases := []struct {
		name   string
		file   file
		limits Limits
		want   error
	}{
		{"parent", reg("../evil", "x"), Limits{}, ErrUnsafe},
		{"parent inside", reg("a/../../evil", "x"), Limits{}, ErrUnsafe},
		{"absolute", reg("/etc/evil", "x"), Limits{}, ErrUnsafe},
		{"backslash", reg(`..\evil`, "x"), Limits{}, ErrUnsafe},
		{"symbolic link", file{header: tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc"}}, Limits{}, ErrUnsafe},
		{"hard link", file{header: tar.Header{Name: "l", Typeflag: tar.TypeLink, Linkname: "a"}}, Limits{}, ErrUnsafe},
		{"device", file{header: tar.Header{Name: "d", Typeflag: tar.TypeChar}}, Limits{}, ErrUnsafe},
		{"fifo", file{header: tar.Header{Name: "f", Typeflag: tar.TypeFifo}}, Limits{}, ErrUnsafe},
		{"directory above", file{header: tar.Header{Name: "../d/", Typeflag: tar.TypeDir}}, Limits{}, ErrUnsafe},
		{"large file", reg("big", "0123456789"), Limits{EntryBytes: 9}, ErrTooLarge},
		{"large sum", reg("big", "0123456789"), Limits{TotalBytes: 12}, ErrTooLarge},
		{"many", reg("b", ""), Limits{Entries: 1}, ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := walk(pack(t, reg("first", "one"), c.file), c.limits)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if _, seen := got[c.file.header.Name]; seen {
				t.Errorf("the visitor saw %q", c.file.header.Name)
			}
		})
	}
}

func TestWalkTarRefusesADeclaredTerabyte(t *testing.T) {
	huge := reg("big", "")
	huge.header.Size = 1 << 40
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&huge.header); err != nil {
		t.Fatal(err)
	}
	if _, err := walk(b.Bytes(), Limits{}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("a file that declares a terabyte: %v", err)
	}
}

func TestWalkTarNamesWhatIsCut(t *testing.T) {
	data := pack(t, reg("whole", "x"), reg("cut", "0123456789"))
	_, err := walk(data[:512*3+5], Limits{})
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("got %v", err)
	}
	if _, err := walk(zip(t, data)[:40], Limits{}); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("cut gzip: %v", err)
	}
}

func TestWalkTarReturnsTheVisitorsError(t *testing.T) {
	stop := errors.New("stop")
	err := WalkTar(bytes.NewReader(pack(t, reg("a", "x"))), Limits{}, func(Entry, io.Reader) error { return stop })
	if !errors.Is(err, stop) {
		t.Fatalf("got %v", err)
	}
}

// FuzzWalkTar: whatever the bytes, the walk ends, within its caps, and only
// local names come through.
func FuzzWalkTar(f *testing.F) {
	plain := pack(f, reg("a", "alpha"), reg("d/b", "beta"))
	f.Add(plain)
	f.Add(zip(f, plain))
	f.Add(pack(f, reg("../x", "y")))
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := Limits{Entries: 20, EntryBytes: 1 << 16, TotalBytes: 1 << 18}
		var total int64
		_ = WalkTar(bytes.NewReader(data), limits, func(e Entry, r io.Reader) error {
			if rel, err := filepath.Rel(root, filepath.Join(root, e.Name)); err != nil || !filepath.IsLocal(rel) {
				t.Fatalf("%q leaves the root", e.Name)
			}
			n, err := io.Copy(io.Discard, r)
			total += n
			return err
		})
		if total > limits.TotalBytes {
			t.Fatalf("%d bytes came through", total)
		}
	})
	if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
		f.Fatalf("something was written: %v %v", entries, err)
	}
}
