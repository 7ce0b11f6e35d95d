package data_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// numbered returns n pictures of size x size in which every value is distinct
// by place: pixel (r,c) of picture i holds (i, r, c).
func numbered(n, size int) data.Images {
	im := data.Images{Size: [3]int64{int64(size), int64(size), 3}}
	for i := range n {
		im.Labels = append(im.Labels, int64(i))
		for r := range size {
			for c := range size {
				im.Pixels = append(im.Pixels, uint8(i+1), uint8(r+1), uint8(c+1))
			}
		}
	}
	return im
}

type batch struct {
	images []float32
	labels []int64
}

// take runs a pipeline from a position for k batches (or to its end).
func take(t *testing.T, im data.Images, o data.MemoryOptions, position int64, k int) []batch {
	t.Helper()
	g := tfgraph.New()
	m := data.NewMemory(g.Root(), "input", im, o)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	if err := m.Start(sess, position); err != nil {
		t.Fatal(err)
	}
	var out []batch
	for range k {
		v, err := sess.Run(nil, []tfgraph.Tensor{m.Images, m.Labels})
		if tfgraph.IsEndOfSequence(err) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		labels, err := tfgraph.Data[int64](v[1])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, batch{tftest.Floats(t, v[:1])[0], labels})
	}
	return out
}

func labels(bs []batch) []int64 {
	var all []int64
	for _, b := range bs {
		all = append(all, b.labels...)
	}
	return all
}

func TestEveryEpochSeesEveryExampleOnceInAnotherOrder(t *testing.T) {
	im := numbered(30, 4)
	got := labels(take(t, im, data.MemoryOptions{Batch: 10, Shuffle: true, Repeat: true, Seed: 5, Standardize: data.Unscaled}, 0, 6))
	first, second := got[:30], got[30:]
	if slices.Equal(first, second) {
		t.Error("both epochs have the same order")
	}
	for _, epoch := range [][]int64{first, second} {
		sorted := slices.Sorted(slices.Values(epoch))
		if !slices.Equal(sorted, im.Labels) {
			t.Errorf("an epoch is not a permutation: %v", sorted)
		}
	}
	other := labels(take(t, im, data.MemoryOptions{Batch: 10, Shuffle: true, Repeat: true, Seed: 6, Standardize: data.Unscaled}, 0, 3))
	if slices.Equal(first, other) {
		t.Error("the seed does not change the order")
	}
}

func TestResumeAtAPositionIsBitEqual(t *testing.T) {
	im := numbered(23, 8)
	o := data.MemoryOptions{
		Batch: 4, Shuffle: true, Repeat: true, Seed: 9, Standardize: data.PerChannel,
		Augment: data.Augment{CropPad: 2, Flip: true, Cutout: 3},
	}
	straight := take(t, im, o, 0, 12)
	resumed := take(t, im, o, 5*4, 7)
	for i, b := range resumed {
		want := straight[5+i]
		if !slices.Equal(b.labels, want.labels) || tftest.MaxAbsDiff(b.images, want.images) != 0 {
			t.Fatalf("batch %d after resuming differs", i)
		}
	}
}

func TestEvaluationKeepsOrderAndTheLastPartialBatch(t *testing.T) {
	im := numbered(7, 4)
	bs := take(t, im, data.MemoryOptions{Batch: 3, Standardize: data.Unscaled}, 0, 10)
	if len(bs) != 3 || !slices.Equal(labels(bs), im.Labels) {
		t.Fatalf("labels %v", labels(bs))
	}
	for i, x := range bs[2].images {
		if want := float32(im.Pixels[6*48+i]) / 255; math.Abs(float64(x-want)) > 1e-6 {
			t.Fatalf("pixel %d is %g, want %g", i, x, want)
		}
	}
}

// Every augmented picture must be the original, mirrored or not, moved by at
// most the padding, zero outside: found by trying all ways.
func TestCropAndFlipAreExact(t *testing.T) {
	const n, size, pad = 40, 6, 2
	im := numbered(n, size)
	bs := take(t, im, data.MemoryOptions{
		Batch: n, Seed: 3, Repeat: true, Standardize: data.Unscaled,
		Augment: data.Augment{CropPad: pad, Flip: true},
	}, 0, 1)
	seen := map[[3]int]bool{}
	for i := range n {
		got := bs[0].images[i*size*size*3 : (i+1)*size*size*3]
		found := false
		for way := range 2 * (2*pad + 1) * (2*pad + 1) {
			flip, dr, dc := way%2, way/2%(2*pad+1)-pad, way/2/(2*pad+1)-pad
			if matches(got, i, size, flip == 1, dr, dc) {
				seen[[3]int{flip, dr, dc}] = true
				found = true
				break
			}
		}
		if !found {
			t.Fatalf("picture %d is no shifted or mirrored original", i)
		}
	}
	if len(seen) < n/3 {
		t.Errorf("only %d different augmentations in %d pictures", len(seen), n)
	}
}

func matches(got []float32, i, size int, flip bool, dr, dc int) bool {
	for r := range size {
		for c := range size {
			col := c
			if flip {
				col = size - 1 - c
			}
			row, col := r+dr, col+dc
			want := [3]float32{}
			if row >= 0 && row < size && col >= 0 && col < size {
				want = [3]float32{float32(i + 1), float32(row + 1), float32(col + 1)}
			}
			for k := range 3 {
				if math.Abs(float64(got[(r*size+c)*3+k]*255-want[k])) > 1e-3 {
					return false
				}
			}
		}
	}
	return true
}

func TestCutoutZeroesOneSquare(t *testing.T) {
	const n, size, side = 50, 12, 4
	bs := take(t, numbered(n, size), data.MemoryOptions{
		Batch: n, Seed: 3, Repeat: true, Standardize: data.Unscaled,
		Augment: data.Augment{Cutout: side},
	}, 0, 1)
	full := 0
	for i := range n {
		rows, columns, zeros := map[int]bool{}, map[int]bool{}, 0
		for p := range size * size {
			if bs[0].images[(i*size*size+p)*3] == 0 {
				rows[p/size], columns[p%size] = true, true
				zeros++
			}
		}
		if zeros != len(rows)*len(columns) || len(rows) > side || len(columns) > side || zeros == 0 {
			t.Fatalf("picture %d: %d zeros in %d rows and %d columns", i, zeros, len(rows), len(columns))
		}
		if zeros == side*side {
			full++
		}
	}
	if full < n/4 {
		t.Errorf("only %d whole squares in %d pictures", full, n)
	}
}

func TestPerImageStandardization(t *testing.T) {
	bs := take(t, numbered(3, 6), data.MemoryOptions{Batch: 3, Standardize: data.PerImage}, 0, 1)
	for i := range 3 {
		var sum, sum2 float64
		for _, x := range bs[0].images[i*108 : (i+1)*108] {
			sum += float64(x)
			sum2 += float64(x) * float64(x)
		}
		if math.Abs(sum/108) > 1e-5 || math.Abs(sum2/108-1) > 1e-4 {
			t.Errorf("picture %d: mean %g, mean square %g", i, sum/108, sum2/108)
		}
	}
}

func TestLoadCIFARReadsPlanesAndRefusesDamage(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "batch.bin")
	raw := make([]byte, 3073*10000)
	rec := raw[3073*7:]
	rec[0] = 4
	rec[1+33], rec[1+1024+33], rec[1+2048+33] = 10, 20, 30 // row 1, column 1
	raw[3073*9] = 11
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	im, err := data.LoadCIFAR([]string{file}, []int{7})
	if err != nil {
		t.Fatal(err)
	}
	if im.Labels[0] != 4 || !slices.Equal(im.Pixels[33*3:33*3+3], []uint8{10, 20, 30}) {
		t.Errorf("label %d, pixel %v", im.Labels[0], im.Pixels[33*3:33*3+3])
	}
	if _, err := data.LoadCIFAR([]string{file}, []int{9}); err == nil {
		t.Error("a class of 11 was accepted")
	}
	if err := os.Truncate(file, 3073*9); err != nil {
		t.Fatal(err)
	}
	if _, err := data.LoadCIFAR([]string{file}, []int{9}); err == nil {
		t.Error("a truncated file was accepted")
	}
}

func TestSplitIsDisjointAndStable(t *testing.T) {
	train, held, err := data.Split(100, 60, 20, 4)
	if err != nil {
		t.Fatal(err)
	}
	both := slices.Sorted(slices.Values(append(slices.Clone(train), held...)))
	if len(slices.Compact(both)) != 80 {
		t.Error("training and held-out records overlap")
	}
	_, again, _ := data.Split(100, 10, 20, 4)
	if !slices.Equal(held, again) {
		t.Error("the held-out records depend on the number of training records")
	}
	if _, _, err := data.Split(100, 90, 20, 4); err == nil {
		t.Error("more records than there are were split")
	}
}

// A picture of the right size goes through unchanged; a larger one is scaled.
func TestDecodeKeepsPixelsAndScales(t *testing.T) {
	encode := func(size int) string {
		img := image.NewRGBA(image.Rect(0, 0, size, size))
		for i := range size * size {
			img.Set(i%size, i/size, color.RGBA{uint8(10 * (i % size) * 8 / size), 100, uint8(5 * (i / size) * 8 / size), 255})
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	g := tfgraph.New()
	s := g.Root()
	in := tfgraph.Placeholder(s, "in", tfgraph.String, tfgraph.Shape{-1})
	out := data.Decode(s, in, data.Preparation{Height: 8, Width: 8, Standardize: data.Unscaled})
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	v, err := tfgraph.Strings([]string{encode(8), encode(64), encode(8)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := sess.Run(tfgraph.Feeds{in: v}, []tfgraph.Tensor{out})
	if err != nil {
		t.Fatal(err)
	}
	x := tftest.Floats(t, got)[0]
	if len(x) != 3*8*8*3 {
		t.Fatalf("%d values", len(x))
	}
	for p := range 64 {
		want := []float32{float32(10*(p%8)) / 255, 100.0 / 255, float32(5*(p/8)) / 255}
		tftest.Near(t, "pixel", x[3*p:3*p+3], want, 1e-6)
		if p%8 > 0 && p%8 < 7 && p/8 > 0 && p/8 < 7 {
			tftest.Near(t, "scaled pixel", x[192+3*p:192+3*p+3], want, 6.0/255)
		}
	}
	tftest.Near(t, "third picture", x[384:], x[:192], 0)
	bad, _ := tfgraph.Strings([]string{"not an image"})
	if _, err := sess.Run(tfgraph.Feeds{in: bad}, []tfgraph.Tensor{out}); err == nil {
		t.Error("garbage was decoded")
	}
}
