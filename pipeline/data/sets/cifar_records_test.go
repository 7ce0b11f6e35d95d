package sets

import (
	"bytes"
	"errors"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func openTiny(t *testing.T, d tiny) (*Records, string) {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for _, b := range d.spec.batches[:2] {
		paths = append(paths, filepath.Join(dir, b.name))
		write(t, paths[len(paths)-1], d.files[b.name])
	}
	r, err := OpenRecords(paths...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, paths[1]
}

func TestRecordsRunOverFiles(t *testing.T) {
	d := newTiny(t)
	r, _ := openTiny(t, d)
	if r.Len() != 24 {
		t.Fatalf("%d images", r.Len())
	}
	img, err := r.At(12 + 3)
	if err != nil {
		t.Fatal(err)
	}
	rec := d.files["data_batch_2.bin"][3*cifarRecord:]
	if img.Label != int(rec[0]) || !bytes.Equal(img.Planes[:], rec[1:cifarRecord]) {
		t.Error("image 15 is not the fourth of the second file")
	}
	for _, i := range []int{-1, 24} {
		if _, err := r.At(i); err == nil {
			t.Errorf("image %d", i)
		}
	}
	counts, err := r.Counts()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	if err != nil || sum != 24 {
		t.Errorf("counts %v, %v", counts, err)
	}
}

func TestImageFormsAgree(t *testing.T) {
	r, _ := openTiny(t, newTiny(t))
	img, err := r.At(7)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := img.PNG()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := png.Decode(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	floats := img.Floats()
	for y := range 32 {
		for x := range 32 {
			red, green, blue, _ := decoded.At(x, y).RGBA()
			at := (y*32 + x) * 3
			want := []float32{float32(red >> 8), float32(green >> 8), float32(blue >> 8)}
			if d := cmp.Diff(want, floats[at:at+3]); d != "" {
				t.Fatalf("pixel %d,%d: %s", x, y, d)
			}
			if img.Planes[1024+y*32+x] != byte(green>>8) {
				t.Fatalf("pixel %d,%d: the second plane is not green", x, y)
			}
		}
	}
}

func TestRecordsNameTheFault(t *testing.T) {
	d := newTiny(t)
	r, path := openTiny(t, d)
	bad := bytes.Clone(d.files["data_batch_2.bin"])
	bad[2*cifarRecord] = 10
	write(t, path, bad)
	_, err := r.At(14)
	if want := path + ", record 2 at byte 6146: label 10"; !errors.Is(err, ErrDigest) || !bytes.Contains([]byte(err.Error()), []byte(want)) {
		t.Errorf("want %q, got %v", want, err)
	}
	if _, err := r.Counts(); !errors.Is(err, ErrDigest) {
		t.Errorf("counts: %v", err)
	}
	write(t, path, bad[1:])
	if _, err := OpenRecords(path); !errors.Is(err, ErrDigest) {
		t.Errorf("odd length: %v", err)
	}
	if _, err := OpenRecords(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

// TestRealCIFAR looks at the cached set, where there is one: what is published
// about CIFAR-10 must hold.
func TestRealCIFAR(t *testing.T) {
	cache := os.Getenv("NASNET_CACHE")
	if user, err := os.UserCacheDir(); cache == "" && err == nil {
		cache = filepath.Join(user, "nasnet")
	}
	c, err := CIFAR10(t.Context(), Options{Cache: cache, Offline: true})
	if errors.Is(err, ErrMissing) {
		t.Skip("CIFAR-10 is not in the cache (nasnet data cifar10 gets it)")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		open   func() (*Records, error)
		each   int
		labels []int
	}{
		{c.TrainRecords, 5000, []int{6, 9, 9, 4, 1, 1, 2, 7, 8, 3}},
		{c.TestRecords, 1000, []int{3, 8, 8, 0, 6, 6, 1, 6, 3, 1}},
	} {
		r, err := part.open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		counts, err := r.Counts()
		if err != nil {
			t.Fatal(err)
		}
		for class, n := range counts {
			if n != part.each {
				t.Errorf("%d images of %s, not %d", n, c.Classes[class], part.each)
			}
		}
		for i, want := range part.labels {
			if img, err := r.At(i); err != nil || img.Label != want {
				t.Errorf("image %d: label %d, %v; want %d", i, img.Label, err, want)
			}
		}
	}
}
