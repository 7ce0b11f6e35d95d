package npy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/internal/reftest"
)

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	want := []float32{1, -2.5, 3e-9, 4, 5, 6}
	if err := npy.Write(path, want, 3, 2); err != nil {
		t.Fatal(err)
	}
	got, shape, err := npy.Read(path)
	if err != nil || !slices.Equal(got, want) || !slices.Equal(shape, []int64{3, 2}) {
		t.Errorf("%v %v %v", got, shape, err)
	}
	if err := npy.Write(path, want, 4, 2); err == nil {
		t.Error("a wrong shape was written")
	}
}

func TestNumPyReadsOursAndWeNumPys(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours.npy"), filepath.Join(dir, "theirs.npy")
	if err := npy.Write(ours, []float32{1, 2, 3, 4, 5, 6}, 2, 3); err != nil {
		t.Fatal(err)
	}
	got := reftest.Python(t, `
import sys, numpy as np
a = np.load(sys.argv[1]); np.save(sys.argv[2], a.astype("float64") * 2); print(a.shape, a[1, 2], a.dtype)`, ours, theirs)
	if got != "(2, 3) 6.0 float32" {
		t.Errorf("NumPy read %q", got)
	}
	data, shape, err := npy.Read(theirs)
	if err != nil || !slices.Equal(data, []float32{2, 4, 6, 8, 10, 12}) || !slices.Equal(shape, []int64{2, 3}) {
		t.Errorf("%v %v %v", data, shape, err)
	}
}

func FuzzDecode(f *testing.F) {
	path := filepath.Join(f.TempDir(), "a.npy")
	if err := npy.Write(path, []float32{1, 2}, 2); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Fuzz(func(t *testing.T, raw []byte) {
		data, shape, err := npy.Decode(bytes.NewReader(raw))
		if err != nil {
			return
		}
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		if n != int64(len(data)) {
			t.Fatalf("%d elements of shape %v", len(data), shape)
		}
	})
}
