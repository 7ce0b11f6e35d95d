package sets

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/imagegate"
	"github.com/nasnet-go/nasnet/pipeline/data/sets/shapes"
)

const kindShapes = "shapes"

// Shapes says what synthetic detection set to draw. Zero means the default.
type Shapes struct {
	Images           int    // of the training split; required
	ValidationImages int    // default a tenth of Images, at least 1
	Size             int    // width and height of an image, pixels; default 128
	Backgrounds      string // directory or tar of photographs, each in one split only; "": backgrounds are made up
}

// Bounds of what is drawn.
const (
	leastSize, mostSize = 32, 2048
	mostImages          = 1_000_000 // of a split; their annotations are in memory
	validationPhotos    = 0.2       // share of the photographs
	drawnQuality        = 92        // of the JPEGs
)

func (s Shapes) orDefault() (Shapes, error) {
	if s.ValidationImages == 0 {
		s.ValidationImages = max(1, s.Images/10)
	}
	if s.Size == 0 {
		s.Size = 128
	}
	switch {
	case s.Images < 1 || s.ValidationImages < 1 || s.Images > mostImages || s.ValidationImages > mostImages:
		return s, fmt.Errorf("sets: shapes: %d training and %d validation images: want 1 to %d of each", s.Images, s.ValidationImages, mostImages)
	case s.Size < leastSize || s.Size > mostSize:
		return s, fmt.Errorf("sets: shapes: images of %d pixels: want %d to %d", s.Size, leastSize, mostSize)
	}
	return s, nil
}

// DrawShapes draws a detection set and converts it, like a set of COCO's format:
//
//	images/train/000001.jpg …   annotations/train.json        train-00000-of-…
//	images/validation/…         annotations/validation.json   validation-00000-of-…
//
// The same seed gives the same images. No photograph is behind images of both
// splits. An interrupted call is resumed by the same call.
func DrawShapes(ctx context.Context, s Shapes, c Conversion) (Manifest, error) {
	c = c.orDefault()
	s, err := s.orDefault()
	if err == nil && c.Out == "" {
		err = errors.New("sets: shapes: no output directory given")
	}
	if err != nil {
		return Manifest{}, err
	}
	d := &drawing{Shapes: s, Conversion: c, read: newReader(c.MaxFileBytes)}
	defer d.read.close()
	if err := d.findPhotos(); err != nil {
		return Manifest{}, err
	}
	guard, err := c.lock()
	if err != nil {
		return Manifest{}, err
	}
	defer guard.Close()
	if err := d.claim(); err != nil {
		return Manifest{}, err
	}
	if _, err := LoadManifest(c.Out); errors.Is(err, ErrUnfinished) {
		if err := d.draw(ctx); err != nil {
			return Manifest{}, fmt.Errorf("sets: shapes: %w", err)
		}
	}
	p, err := COCO{
		Images: d.images(Train), Annotations: d.annotations(Train), ValidationImages: d.images(Validation), ValidationAnnotations: d.annotations(Validation),
	}.plan(0)
	if err != nil {
		return Manifest{}, err
	}
	p.kind = kindShapes
	p.arrange(c, map[string]int{Train: c.TrainShards, Validation: c.ValidationShards})
	return c.locked(ctx, p)
}

// drawing is one call of DrawShapes.
type drawing struct {
	Shapes
	Conversion
	read   *reader
	photos map[string][]found // by split; none: backgrounds are made up

	mu   sync.Mutex // guards done and calls of Progress
	done int64
}

// drawnSplit is one split: its images have consecutive ids.
type drawnSplit struct {
	name      string
	first, to int // ids
}

func (d *drawing) splits() []drawnSplit {
	return []drawnSplit{{Train, 1, d.Images}, {Validation, d.Images + 1, d.Images + d.ValidationImages}}
}

func (d *drawing) scene(id int) shapes.Scene { return shapes.NewScene(d.Seed, uint64(id), d.Size) }

func (d *drawing) images(split string) string { return filepath.Join(d.Out, "images", split) }

func (d *drawing) annotations(split string) string {
	return filepath.Join(d.Out, "annotations", split+".json")
}

// findPhotos shares the photographs out, by the order of the digests of their
// names: a shuffle that is the same on every machine.
func (d *drawing) findPhotos() error {
	if d.Backgrounds == "" {
		return nil
	}
	l, err := list(d.Backgrounds)
	if err != nil {
		return err
	}
	if len(l.images) < 2 {
		return fmt.Errorf("sets: shapes: %s holds %d photographs; at least 2 are needed, as training and validation share none", d.Backgrounds, len(l.images))
	}
	slices.SortStableFunc(l.images, func(a, b found) int {
		x, y := sha256.Sum256([]byte(a.rel)), sha256.Sum256([]byte(b.rel))
		return bytes.Compare(x[:], y[:])
	})
	n := max(1, int(validationPhotos*float64(len(l.images))))
	d.photos = map[string][]found{Validation: l.images[:n], Train: l.images[n:]}
	return nil
}

// claim marks the directory, so that only the same call draws over it.
func (d *drawing) claim() error {
	path := filepath.Join(d.Out, ".shapes.json")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		entries, err := os.ReadDir(d.Out)
		if err != nil {
			return fmt.Errorf("sets: %w", err)
		}
		if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != ".lock" }) {
			return fmt.Errorf("sets: %s: %w; name an empty directory", d.Out, ErrOther)
		}
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %d %d\n", d.Images, d.ValidationImages, d.Size, d.Seed)
	for _, split := range []string{Train, Validation} {
		for _, photo := range d.photos[split] {
			fmt.Fprintf(h, "%s %q %d\n", split, photo.rel, photo.at.size)
		}
	}
	_, err := d.mark(path, hex.EncodeToString(h.Sum(nil)))
	return err
}

// draw writes all images and annotation files. Images are not synced one by one:
// until the manifest is there, all are drawn again.
func (d *drawing) draw(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(d.Workers)
	for _, s := range d.splits() {
		for _, dir := range []string{d.images(s.name), filepath.Dir(d.annotations(s.name))} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		for id := s.first; id <= s.to && ctx.Err() == nil; id++ {
			g.Go(func() error {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return d.paint(s, id)
			})
		}
		g.Go(func() error { return d.annotate(s) })
	}
	return g.Wait()
}

func drawnName(id int) string { return fmt.Sprintf("%06d.jpg", id) }

// paint writes one image.
func (d *drawing) paint(s drawnSplit, id int) error {
	photo, err := d.photo(s.name, id)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, d.scene(id).Draw(photo), &jpeg.Options{Quality: drawnQuality}); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.images(s.name), drawnName(id)), b.Bytes(), 0o644); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done++
	d.Progress(Progress{"draw", d.done, int64(d.Images + d.ValidationImages), "images"})
	return nil
}

// photo returns the photograph behind an image, nil where backgrounds are made
// up.
func (d *drawing) photo(split string, id int) (image.Image, error) {
	photos := d.photos[split]
	if len(photos) == 0 {
		return nil, nil
	}
	at := photos[rand.New(rand.NewPCG(^d.Seed, uint64(id))).IntN(len(photos))].at
	data, err := d.read.read(at)
	if err == nil {
		_, err = imagegate.Inspect(data, d.MaxPixels)
	}
	var photo image.Image
	if err == nil {
		photo, _, err = image.Decode(bytes.NewReader(data))
	}
	if err != nil {
		return nil, fmt.Errorf("background %s: %w; remove it", at, err)
	}
	return photo, nil
}

// annotate writes the annotation file of a split.
func (d *drawing) annotate(s drawnSplit) error {
	var categories []coco.Category
	for i, name := range shapes.Names {
		categories = append(categories, coco.Category{ID: int64(i + 1), Name: name})
	}
	var images []coco.Image
	var objects []coco.Object
	for id := s.first; id <= s.to; id++ {
		images = append(images, coco.Image{ID: int64(id), Width: d.Size, Height: d.Size, FileName: drawnName(id)})
		for _, shape := range d.scene(id).Shapes {
			x, y, w, h := shape.Box()
			objects = append(objects, coco.Object{
				ID: int64(len(objects) + 1), ImageID: int64(id), CategoryID: int64(shape.Class + 1), Box: coco.Box{X: x, Y: y, W: w, H: h}, Area: shape.Area(),
			})
		}
	}
	set, err := coco.NewDataset(images, categories, objects)
	if err != nil {
		return err
	}
	return writeSynced(d.annotations(s.name), func(w io.Writer) error { return coco.WriteAnnotations(w, set) })
}
