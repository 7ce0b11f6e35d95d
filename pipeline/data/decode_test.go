package data_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// slimEval is preprocess_for_eval of slim's inception_preprocessing.py, in
// TensorFlow's Python.
const slimEval = `
import sys, numpy as np, tensorflow as tf
out, size, files = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
rows = []
for f in files:
    x = tf.io.decode_jpeg(tf.io.read_file(f), channels=3)
    x = tf.image.convert_image_dtype(x, tf.float32)
    x = tf.image.central_crop(x, central_fraction=0.875)
    x = tf.compat.v1.image.resize_bilinear(x[None], [size, size], align_corners=False)[0]
    rows.append(((x - 0.5) * 2.0).numpy())
np.save(out, np.stack(rows))
`

// decoded runs Decode over files.
func decoded(t *testing.T, p data.Preparation, files []string) []float32 {
	t.Helper()
	raw := make([]string, len(files))
	for i, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		raw[i] = string(text)
	}
	g := tfgraph.New()
	x := data.Decode(g.Root(), tfgraph.StringsConst(g.Root(), raw), p)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	out, err := sess.Run(nil, []tfgraph.Tensor{x})
	if err != nil {
		t.Fatal(err)
	}
	values, err := tfgraph.Data[float32](out[0])
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// 50 real photographs, prepared as slim prepares them in Python.
func TestInceptionEvalIsSlims(t *testing.T) {
	dir := reftest.Shared(t, "data", "imagenet", "sample")
	files, err := filepath.Glob(filepath.Join(dir, "*.JPEG"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files in %s (%v)", len(files), dir, err)
	}
	slices.Sort(files)
	files = files[:50]
	const size = 224
	want := filepath.Join(t.TempDir(), "slim.npy")
	reftest.Python(t, slimEval, append([]string{want, fmt.Sprint(size)}, files...)...)
	expected, _, err := npy.Read(want)
	if err != nil {
		t.Fatal(err)
	}
	got := decoded(t, data.InceptionEval(size, size), files)
	if len(got) != len(expected) {
		t.Fatalf("%d values, want %d", len(got), len(expected))
	}
	worst := 0.0
	for i := range got {
		worst = math.Max(worst, math.Abs(float64(got[i]-expected[i])))
	}
	if !(worst <= 1e-5) {
		t.Errorf("largest difference %g", worst)
	}
}

// A picture whose pixels are their own places shows which of them are kept: of
// 8 columns, the central three quarters are 1 to 6.
func TestCentralCrop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ramp.bmp")
	if err := os.WriteFile(file, []byte(ramp()), 0o644); err != nil {
		t.Fatal(err)
	}
	got := decoded(t, data.Preparation{Height: 6, Width: 6, Standardize: data.Unscaled, Crop: 0.75, Legacy: true}, []string{file})
	for row := range 6 {
		for col := range 6 {
			if x := math.Round(float64(got[3*(6*row+col)]) * 255); x != float64(10*(row+1)+col+1) {
				t.Fatalf("row %d, column %d: %g", row, col, x)
			}
		}
	}
}

// ramp is a BMP of 8x8 grey pixels, each 10*row + column.
func ramp() string {
	var b strings.Builder
	le := func(n, size int) {
		for i := range size {
			b.WriteByte(byte(n >> (8 * i)))
		}
	}
	b.WriteString("BM")
	le(54+192, 4)
	le(0, 4)
	le(54, 4)
	le(40, 4)
	le(8, 4)
	le(8, 4) // rows from the bottom
	le(1, 2)
	le(24, 2)
	le(0, 24)
	for row := 7; row >= 0; row-- {
		for col := range 8 {
			le(0x010101*(10*row+col), 3)
		}
	}
	return b.String()
}
