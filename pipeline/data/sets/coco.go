package sets

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/imagegate"
)

const kindCOCO = "coco"

// maxLabel is the largest category id that may be a label: a detector has outputs
// for every label up to the largest. LVIS, the largest set in use, has 1,203.
const maxLabel = 10_000

// COCO says where a set of COCO's format lies. Training and validation each are
// images and an annotation file; one of the two may be left out.
type COCO struct {
	Images                string // directory or tar in which the annotations' file names are found
	Annotations           string // JSON
	ValidationImages      string
	ValidationAnnotations string
	Holdout               float64 // share of the training images that become the validation split, by their names, where there is none; 0: none
	Renumber              bool    // labels 1, 2, … by ascending category id, instead of the ids themselves
}

// ConvertCOCO writes the records of a detection set with the keys of TensorFlow's
// Object Detection API; labels are the category ids. Every annotated image is
// written, those without objects too. Where an annotation is faulty, its box is
// empty or leaves its image, or an image is missing, unreadable or of another
// size than the annotations say, that ends the conversion, or is left out, named
// and counted (SkipLimit). An interrupted call is resumed by the same call.
func ConvertCOCO(ctx context.Context, from COCO, c Conversion) (Manifest, error) {
	c = c.orDefault()
	p, err := from.plan(c.SkipLimit)
	if err == nil && c.Out == "" {
		err = errors.New("sets: coco: no output directory given")
	}
	if err != nil {
		return Manifest{}, err
	}
	p.arrange(c, map[string]int{Train: c.TrainShards, Validation: c.ValidationShards})
	return c.run(ctx, p)
}

func (s COCO) plan(limit int) (plan, error) {
	p := plan{kind: kindCOCO}
	b := annotationFaults{keep: limit + named}
	for _, part := range []struct{ name, images, annotations string }{
		{Train, s.Images, s.Annotations}, {Validation, s.ValidationImages, s.ValidationAnnotations},
	} {
		if part.images == "" && part.annotations == "" {
			continue
		}
		if part.images == "" || part.annotations == "" {
			return p, fmt.Errorf("sets: coco: %s: both images and annotations are needed, got %q and %q", part.name, part.images, part.annotations)
		}
		items, err := p.annotated(part.images, part.annotations, s.Renumber, &b)
		if err != nil {
			return p, err
		}
		p.splits = append(p.splits, splitPlan{name: part.name, source: part.images, items: items})
	}
	if len(p.splits) == 0 {
		return p, errors.New("sets: coco: neither training nor validation images given")
	}
	if s.Holdout > 0 && len(p.splits) == 1 {
		p.holdOut(s.Holdout)
	}
	p.bad = b.list
	return p, b.judge(limit)
}

// holdOut makes a second split of a share of the first.
func (p *plan) holdOut(share float64) {
	all := p.splits[0]
	parts := map[string][]item{}
	for _, it := range all.items {
		name := Folder{Holdout: share}.draw(it.rel)
		parts[name] = append(parts[name], it)
	}
	p.splits = nil
	for _, name := range []string{Train, Validation} {
		if len(parts[name]) > 0 {
			p.splits = append(p.splits, splitPlan{name: name, source: all.source, items: parts[name]})
		}
	}
}

// named is how many faults an error names.
const named = 5

// Kinds of faults beside those of annotation files.
const (
	missingFile coco.Kind = "missing file"
	badImage    coco.Kind = "image"
)

// annotationFaults collects what is wrong with annotation files, all of it, so
// that one call tells everything.
type annotationFaults struct {
	keep   int // how many are kept; the rest is only counted
	list   []Bad
	counts coco.Counts
}

func (a *annotationFaults) add(file string, record int64, kind coco.Kind, reason string) {
	a.counts = a.counts.With(kind)
	if len(a.list) < a.keep {
		a.list = append(a.list, Bad{file, record, 0, reason, string(kind)})
	}
}

// judge returns an error if there are more faults than may be left out.
func (a *annotationFaults) judge(limit int) error {
	n := a.counts.Total()
	if n <= int64(limit) {
		return nil
	}
	var first []string
	for _, b := range a.list[:min(named, len(a.list))] {
		first = append(first, fmt.Sprintf("%s: %s", b.File, b.Reason))
	}
	return fmt.Errorf("sets: coco: %w: %d (%s), allowed are %d; correct them, or let them be left out (--bad skip, --skip many at most); the first: %s",
		coco.ErrTooManyFaults, n, a.counts, limit, strings.Join(first, "; "))
}

// scene is what the annotations say of one image.
type scene struct {
	image   coco.Image
	objects []coco.Object
	classes []int // of each object
}

// annotated reads an annotation file and finds its images.
func (p *plan) annotated(images, annotations string, renumber bool, b *annotationFaults) ([]item, error) {
	set, err := coco.OpenAnnotations(annotations, coco.Policy{Limit: math.MaxInt, Strict: true, Tell: func(f *coco.Fault) {
		b.add(f.File, f.Record, f.Kind, fmt.Sprintf("%s[%d]: %s: %s", f.List, f.Record, f.Kind, f.Detail))
	}})
	if err != nil {
		return nil, fmt.Errorf("sets: %w", err)
	}
	categories, err := categoriesOf(set, annotations, renumber)
	if err == nil {
		err = p.adopt(categories, annotations)
	}
	if err != nil {
		return nil, err
	}
	l, err := list(images)
	if err != nil {
		return nil, err
	}
	items := find(images, annotations, l, p.scenes(set), b)
	if len(items) == 0 {
		return nil, fmt.Errorf("sets: coco: none of the %d images of %s is in %s: %w", len(set.Images), annotations, images, ErrMissing)
	}
	return items, nil
}

// categoriesOf gives every category its label.
func categoriesOf(set *coco.Dataset, file string, renumber bool) ([]Category, error) {
	list := make([]Category, len(set.Categories))
	for i, c := range set.Categories {
		list[i] = Category{ID: c.ID, Label: c.ID, Name: c.Name}
		if renumber {
			list[i].Label = int64(i + 1)
		}
		if label := list[i].Label; label < 1 || label > maxLabel {
			return nil, fmt.Errorf("sets: coco: %s: category id %d (%s) cannot be a label, which is 1 to %d; have the categories renumbered", file, c.ID, c.Name, maxLabel)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("sets: coco: %s has no categories", file)
	}
	return list, nil
}

// adopt takes the categories of the first file; those of the second must be the
// same.
func (p *plan) adopt(categories []Category, file string) error {
	if p.categories != nil && !slices.Equal(p.categories, categories) {
		return fmt.Errorf("sets: coco: the categories of %s are not those of the training annotations: %w", file, ErrDigest)
	}
	if p.categories == nil {
		p.categories = categories
		for _, c := range categories {
			p.classes = append(p.classes, Class{c.Name, c.Name})
		}
	}
	return nil
}

// scenes groups the objects by image, in the order of the image ids and of the
// file.
func (p *plan) scenes(set *coco.Dataset) []*scene {
	class := map[int64]int{}
	for i, c := range p.categories {
		class[c.ID] = i
	}
	all := make([]*scene, len(set.Images))
	byID := map[int64]*scene{}
	for i, img := range set.Images {
		all[i] = &scene{image: img}
		byID[img.ID] = all[i]
	}
	for _, o := range set.Objects {
		s := byID[o.ImageID]
		s.objects, s.classes = append(s.objects, o), append(s.classes, class[o.CategoryID])
	}
	return all
}

// find matches scenes with the images of a listing.
func find(images, annotations string, l listing, scenes []*scene, b *annotationFaults) []item {
	at := map[string]found{}
	for _, f := range l.images {
		at[f.rel] = f
	}
	var items []item
	for i, s := range scenes {
		f, ok := at[path.Clean(s.image.FileName)]
		if !ok {
			b.add(annotations, int64(i), missingFile, fmt.Sprintf("image %d: %s: %q is no image in %s", s.image.ID, missingFile, s.image.FileName, images))
			continue
		}
		items = append(items, item{found: f, number: int64(i), scene: s})
	}
	return items
}

// kindOfFault is what a fault of the image counts as.
func (it item) kindOfFault() string {
	if it.scene == nil {
		return ""
	}
	return string(badImage)
}

// example makes the record of a scene and its image.
func (s *scene) example(categories []Category, data []byte, info imagegate.Info) (Labelled, error) {
	if s.image.Width != info.Width || s.image.Height != info.Height {
		return Labelled{}, fmt.Errorf("the annotations say %d x %d pixels, the image has %d x %d: %w", s.image.Width, s.image.Height, info.Width, info.Height, ErrDigest)
	}
	l := Labelled{
		Encoded: data, Format: strings.ToLower(info.Format), Height: info.Height, Width: info.Width,
		Filename: s.image.FileName, SourceID: strconv.FormatInt(s.image.ID, 10),
	}
	w, h := float64(info.Width), float64(info.Height)
	for i, o := range s.objects {
		c, b := categories[s.classes[i]], o.Box
		l.Objects = append(l.Objects, Object{
			XMin: float32(b.X / w), XMax: float32((b.X + b.W) / w), YMin: float32(b.Y / h), YMax: float32((b.Y + b.H) / h),
			Label: c.Label, Text: c.Name, Area: float32(o.Area), Crowd: o.Crowd,
		})
	}
	return l, nil
}
