package indl

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// Shares that InDL fixes.
const (
	equalShare = 0.3 // of label 1
	testEvery  = 5   // every fifth image is a test image: 20 %
)

// Classes are the folders of the labels: their alphabetical order is that of the
// labels, so whoever reads folders numbers them alike.
var Classes = []string{"different", "equal"}

// Names of the files beside the folders.
const (
	LabelFile = "label.csv"
	setFile   = "indl.json"
)

// Options say what is drawn.
type Options struct {
	Set      int    // 1 to 5
	Images   int    // in both splits together, such as InDL's 2000
	Seed     uint64 // of every random number; image i of a set depends on it and on i alone
	Out      string // directory, which must not exist yet
	Progress func(done, total int64)
}

// Set is what was drawn.
type Set struct {
	Dir    string           `json:"dir"`
	Set    int              `json:"set"`
	Title  string           `json:"title"`
	Value  string           `json:"value"` // what the column of that name says
	Seed   uint64           `json:"seed"`
	Size   int              `json:"size"` // pixels a side
	Images int              `json:"images"`
	Counts map[string][]int `json:"counts"` // by split, then by label
}

// Check says what is wrong with options.
func (o Options) Check() error {
	switch {
	case o.Set < 1 || o.Set > len(figures):
		return fmt.Errorf("indl: there is no set %d; there are 1 (%s) to %d (%s)", o.Set, figures[0].title, len(figures), figures[len(figures)-1].title)
	case o.Images < testEvery || o.Images > 1_000_000:
		return fmt.Errorf("indl: %d images; want %d to 1,000,000", o.Images, testEvery)
	case o.Out == "":
		return errors.New("indl: no directory to write to (--out)")
	}
	if _, err := os.Stat(o.Out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("indl: %s is there already; choose another directory, or remove it", o.Out)
	}
	return nil
}

// Draw draws a set. The directory appears whole or not at all.
func Draw(ctx context.Context, o Options) (Set, error) {
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if err := o.Check(); err != nil {
		return Set{}, err
	}
	parent := filepath.Dir(filepath.Clean(o.Out))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return Set{}, fmt.Errorf("indl: %w", err)
	}
	tmp, err := os.MkdirTemp(parent, ".indl-")
	if err != nil {
		return Set{}, fmt.Errorf("indl: %w", err)
	}
	defer os.RemoveAll(tmp) // what is left of it when something failed
	f := figures[o.Set-1]
	set := Set{Dir: o.Out, Set: o.Set, Title: f.title, Value: f.unit, Seed: o.Seed, Size: f.size, Images: o.Images, Counts: map[string][]int{"train": {0, 0}, "test": {0, 0}}}
	if err := o.drawAll(ctx, tmp, set.Counts); err != nil {
		return Set{}, fmt.Errorf("indl: %w", err)
	}
	text, err := json.MarshalIndent(set, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(tmp, setFile), append(text, '\n'), 0o644)
	}
	if err := errors.Join(err, os.Chmod(tmp, 0o755), durable.SyncTree(tmp)); err != nil {
		return Set{}, fmt.Errorf("indl: %w", err)
	}
	return set, durable.Rename(tmp, o.Out)
}

// drawAll writes the images and their table, and counts them.
func (o Options) drawAll(ctx context.Context, dir string, counts map[string][]int) error {
	for split := range counts {
		for _, class := range Classes {
			if err := os.MkdirAll(filepath.Join(dir, split, class), 0o755); err != nil {
				return err
			}
		}
	}
	var table bytes.Buffer
	w := csv.NewWriter(&table)
	for i := range o.Images {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := One(o.Set, o.Seed, i)
		split := "train"
		if i%testEvery == testEvery-1 {
			split = "test"
		}
		name := filepath.Join(split, Classes[d.Label], fmt.Sprintf("%05d.png", i))
		if err := writePNG(filepath.Join(dir, name), d.Image); err != nil {
			return err
		}
		if i == 0 {
			_ = w.Write(d.columns()) // to memory; Error tells
		}
		_ = w.Write(d.row(i, filepath.ToSlash(name), split))
		counts[split][d.Label]++
		o.Progress(int64(i+1), int64(o.Images))
	}
	w.Flush()
	return errors.Join(w.Error(), os.WriteFile(filepath.Join(dir, LabelFile), table.Bytes(), 0o644))
}

func writePNG(path string, im image.Image) error {
	var text bytes.Buffer
	if err := png.Encode(&text, im); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// Drawing is one image with its label.
type Drawing struct {
	Image      image.Image
	Label      int // 1: no real difference
	parameters []parameter
}

// Value is the size of the real difference, 0 if there is none; what it measures
// depends on the set.
func (d Drawing) Value() float64 { return d.parameters[0].value }

// One draws image i of a set, 1 to 5: a pure function of its arguments.
func One(set int, seed uint64, i int) Drawing {
	f := figures[set-1]
	r := rand.New(rand.NewPCG(seed, uint64(set)<<32|uint64(i)))
	d := Drawing{}
	if r.Float64() < equalShare {
		d.Label = 1
	}
	strokes, parameters := f.compose(r, d.Label == 0)
	im := paint(f.size, strokes)
	d.Image, d.parameters = im, parameters
	if !f.colour {
		d.Image = oneBit(im)
	}
	return d
}

func (d Drawing) columns() []string {
	list := []string{"index", "name", "split", "label"}
	for _, p := range d.parameters {
		list = append(list, p.name)
	}
	return list
}

func (d Drawing) row(i int, name, split string) []string {
	list := []string{strconv.Itoa(i), name, split, strconv.Itoa(d.Label)}
	for _, p := range d.parameters {
		list = append(list, strconv.FormatFloat(p.value, 'g', 6, 64))
	}
	return list
}
