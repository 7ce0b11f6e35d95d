package indl_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/data/sets/indl"
)

func drawn(t *testing.T, set, images int, seed uint64) (string, indl.Set) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "set")
	s, err := indl.Draw(t.Context(), indl.Options{Set: set, Images: images, Seed: seed, Out: out})
	if err != nil {
		t.Fatal(err)
	}
	return out, s
}

// table reads label.csv, by image.
func table(t *testing.T, dir string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, indl.LabelFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, column := range rows[0] {
			m[column] = row[i]
		}
		list = append(list, m)
	}
	return list
}

func decode(t *testing.T, name string) image.Image {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	im, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func TestSetsAreWhatInDLSaysTheyAre(t *testing.T) {
	for set := 1; set <= 5; set++ {
		dir, s := drawn(t, set, 100, 1)
		side := 128
		if set == 1 {
			side = 256
		}
		rows := table(t, dir)
		counts := map[string][]int{"train": {0, 0}, "test": {0, 0}}
		for i, row := range rows {
			label, _ := strconv.Atoi(row["label"])
			value, err := strconv.ParseFloat(row["value"], 64)
			if err != nil || (value == 0) != (label == 1) {
				t.Errorf("set %d, image %d: label %d, value %q", set, i, label, row["value"])
			}
			if want := row["split"] + "/" + indl.Classes[label] + "/"; !strings.HasPrefix(row["name"], want) {
				t.Errorf("set %d: %s is not in %s", set, row["name"], want)
			}
			counts[row["split"]][label]++
			if im := decode(t, filepath.Join(dir, row["name"])); im.Bounds() != image.Rect(0, 0, side, side) {
				t.Fatalf("set %d: %v", set, im.Bounds())
			} else if p, ok := im.(*image.Paletted); set > 1 && (!ok || len(p.Palette) != 2) {
				t.Fatalf("set %d is not of one bit: %T", set, im)
			}
		}
		if len(rows) != 100 || !reflect.DeepEqual(counts, s.Counts) || counts["test"][0]+counts["test"][1] != 20 {
			t.Errorf("set %d: %d rows, counts %v, in the result %v", set, len(rows), counts, s.Counts)
		}
		var kept indl.Set
		text, err := os.ReadFile(filepath.Join(dir, "indl.json"))
		if err != nil || json.Unmarshal(text, &kept) != nil || !reflect.DeepEqual(kept, s) {
			t.Errorf("indl.json: %s, %v", text, err)
		}
	}
}

// Of 1,500 images 30 % have label 1: within four standard deviations.
func TestThirtyPercentAreEqual(t *testing.T) {
	const n = 1500
	equal := 0
	for i := range n {
		equal += indl.One(4, 9, i).Label
	}
	if got, sd := float64(equal)/n, math.Sqrt(0.3*0.7/n); math.Abs(got-0.3) > 4*sd {
		t.Errorf("%.3f are equal, want 0.3", got)
	}
}

func TestTheSameSeedDrawsTheSame(t *testing.T) {
	a, _ := drawn(t, 5, 20, 3)
	b, _ := drawn(t, 5, 10, 3) // an image does not depend on how many there are
	c, _ := drawn(t, 5, 10, 4)
	first, second, other := table(t, a), table(t, b), table(t, c)
	if !reflect.DeepEqual(first[:10], second) || reflect.DeepEqual(second, other) {
		t.Errorf("seed 3: %v and %v; seed 4: %v", first[0], second[0], other[0])
	}
	for _, row := range second {
		if !reflect.DeepEqual(decode(t, filepath.Join(a, row["name"])), decode(t, filepath.Join(b, row["name"]))) {
			t.Errorf("%s differs", row["name"])
		}
	}
}

// Lines that are said to be equal are, to the pixel, and others are not: in the
// vertical-horizontal figure the longest row of black is the horizontal line.
func TestLengthsAreDrawnAsTheTableSays(t *testing.T) {
	dir, _ := drawn(t, 4, 100, 2)
	for _, row := range table(t, dir) {
		im := decode(t, filepath.Join(dir, row["name"]))
		longest := 0
		for y := range 128 {
			n := 0
			for x := range 128 {
				if r, _, _, _ := im.At(x, y).RGBA(); r == 0 {
					n++
				}
			}
			longest = max(longest, n)
		}
		want, _ := strconv.ParseFloat(row["horizontal_pixels"], 64)
		if math.Abs(float64(longest)-want) > 2 { // the ends are round to a pixel, a thick line's a little longer
			t.Errorf("%s: the horizontal line has %d pixels, the table says %g", row["name"], longest, want)
		}
		if row["label"] == "1" && row["vertical_pixels"] != row["horizontal_pixels"] {
			t.Errorf("%s: %v", row["name"], row)
		}
	}
}

// The share of ink must not give the label away: the difference is to be seen,
// not to be counted.
func TestInkDoesNotTellTheLabel(t *testing.T) {
	for set := 2; set <= 5; set++ {
		var sum, square, n [2]float64
		for i := range 400 {
			d := indl.One(set, 5, i)
			ink := 0.0
			for _, p := range d.Image.(*image.Paletted).Pix {
				ink += float64(1 - p)
			}
			sum[d.Label] += ink
			square[d.Label] += ink * ink
			n[d.Label]++
		}
		mean := func(l int) float64 { return sum[l] / n[l] }
		variance := func(l int) float64 { return square[l]/n[l] - mean(l)*mean(l) }
		// Cohen's d: longer lines take a little more ink, so it is not nothing.
		if d := math.Abs(mean(0)-mean(1)) / math.Sqrt((variance(0)+variance(1))/2); d > 0.6 {
			t.Errorf("set %d: ink tells the labels apart, d = %.2f", set, d)
		}
	}
}

func TestDrawRefuses(t *testing.T) {
	here := t.TempDir()
	for want, o := range map[string]indl.Options{
		"no set 6":        {Set: 6, Out: filepath.Join(here, "x")},
		"3 images":        {Set: 1, Images: 3, Out: filepath.Join(here, "x")},
		"there already":   {Set: 1, Images: 5, Out: here},
		"no directory to": {Set: 1, Images: 5},
	} {
		if _, err := indl.Draw(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := indl.Options{Set: 2, Images: 50, Out: filepath.Join(here, "cut"), Progress: func(done, _ int64) {
		if done == 10 {
			cancel()
		}
	}}
	if _, err := indl.Draw(ctx, o); err == nil {
		t.Error("an interrupted drawing ended well")
	}
	if entries, err := os.ReadDir(here); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
