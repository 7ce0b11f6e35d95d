package coco

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// absent marks an integer that an entry does not have.
const absent = math.MinInt64

// The entries of the three lists.
type imageEntry struct {
	ID       integer `json:"id"`
	Width    integer `json:"width"`
	Height   integer `json:"height"`
	FileName string  `json:"file_name"`
}

type categoryEntry struct {
	ID   integer `json:"id"`
	Name string  `json:"name"`
}

type annotationEntry struct {
	ID         integer   `json:"id"`
	ImageID    integer   `json:"image_id"`
	CategoryID integer   `json:"category_id"`
	BBox       []float64 `json:"bbox"`
	Area       float64   `json:"area"`
	Crowd      truth     `json:"iscrowd"`
}

// ReadAnnotations reads an annotation file; file names it in errors. An object
// without area has that of its box, one without iscrowd is no crowd. All else
// that an entry lacks is a fault.
func ReadAnnotations(in io.Reader, file string, p Policy) (*Dataset, error) {
	set := &Dataset{image: map[int64]int32{}, category: map[int64]int32{}}
	r := &annotationReader{set: set, objectIDs: map[int64]struct{}{}}
	r.stream = newStream(in, file, 2, p, &set.Remarks, &set.LeftOut)
	if err := r.lists(); err != nil {
		return nil, err
	}
	if err := r.resolve(); err != nil {
		return nil, err
	}
	return set, nil
}

// OpenAnnotations reads the annotation file at a path.
func OpenAnnotations(path string, p Policy) (*Dataset, error) {
	return opened(path, func(in io.Reader) (*Dataset, error) { return ReadAnnotations(in, path, p) })
}

func opened[T any](path string, read func(io.Reader) (T, error)) (out T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return out, fmt.Errorf("coco: %w", err)
	}
	defer f.Close()
	return read(f)
}

type annotationReader struct {
	*stream
	set       *Dataset
	objectIDs map[int64]struct{}
	records   []int64 // entry of each object, for faults that show at the end
}

// lists reads the lists in whatever order they come.
func (r *annotationReader) lists() error {
	if err := r.open('{', "annotations are an object with the lists images, annotations and categories"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for r.json.More() {
		key, err := r.json.Token()
		if err != nil {
			return r.wrong(err)
		}
		name, _ := key.(string) // the decoder lets no other key pass
		seen[name] = true
		switch name {
		case "images":
			err = r.images()
		case "categories":
			err = r.categories()
		case "annotations":
			err = r.annotations()
		default:
			err = r.skip()
		}
		if err != nil {
			return err
		}
	}
	for _, list := range []string{"images", "annotations", "categories"} {
		if !seen[list] {
			return fmt.Errorf("coco: %s %w: it has no list %s", r.stream.file, ErrNotCOCO, list)
		}
	}
	return r.finish()
}

func (r *annotationReader) images() error {
	var e imageEntry
	return r.entries("images", &e, func() { e = imageEntry{ID: absent} }, func() *Fault {
		id := int64(e.ID)
		switch _, known := r.set.image[id]; {
		case id == absent:
			return faultf(Malformed, "no id")
		case e.Width <= 0 || e.Height <= 0:
			return faultf(NegativeSize, "image %d of %d x %d pixels", id, e.Width, e.Height)
		case known:
			return faultf(DuplicateID, "image %d is there before", id)
		}
		r.set.image[id] = int32(len(r.set.Images))
		r.set.Images = append(r.set.Images, Image{id, int(e.Width), int(e.Height), e.FileName})
		return nil
	})
}

func (r *annotationReader) categories() error {
	var e categoryEntry
	return r.entries("categories", &e, func() { e = categoryEntry{ID: absent} }, func() *Fault {
		id := int64(e.ID)
		switch _, known := r.set.category[id]; {
		case id == absent:
			return faultf(Malformed, "no id")
		case known:
			return faultf(DuplicateID, "category %d is there before", id)
		}
		r.set.category[id] = int32(len(r.set.Categories))
		r.set.Categories = append(r.set.Categories, Category{id, e.Name})
		return nil
	})
}

func (r *annotationReader) annotations() error {
	var e annotationEntry
	record := int64(-1)
	reset := func() {
		record++
		e = annotationEntry{ID: absent, ImageID: absent, CategoryID: absent, Area: math.NaN(), BBox: e.BBox[:0]}
	}
	return r.entries("annotations", &e, reset, func() *Fault {
		o, f := e.object()
		if f != nil {
			return f
		}
		if _, known := r.objectIDs[o.ID]; known {
			return faultf(DuplicateID, "annotation %d is there before", o.ID)
		}
		r.objectIDs[o.ID] = struct{}{}
		r.set.Objects, r.records = append(r.set.Objects, o), append(r.records, record)
		return nil
	})
}

// object checks an entry by itself.
func (e annotationEntry) object() (Object, *Fault) {
	box, f := toBox(e.BBox)
	switch {
	case e.ID == absent || e.ImageID == absent || e.CategoryID == absent:
		return Object{}, faultf(Malformed, "one of id, image_id and category_id is missing")
	case f != nil:
		return Object{}, faultf(f.Kind, "annotation %d: %s", e.ID, f.Detail)
	case e.Crowd != 0 && e.Crowd != 1:
		return Object{}, faultf(Malformed, "annotation %d: iscrowd is %d, neither 0 nor 1", e.ID, e.Crowd)
	}
	o := Object{ID: int64(e.ID), ImageID: int64(e.ImageID), CategoryID: int64(e.CategoryID), Box: box, Area: e.Area, Crowd: e.Crowd == 1}
	if math.IsNaN(o.Area) { // no key: the decoder lets no NaN pass
		o.Area = box.Area()
	}
	if o.Area < 0 {
		return Object{}, faultf(NegativeSize, "annotation %d: area is %v", e.ID, o.Area)
	}
	return o, nil
}

// toBox reads [x, y, width, height].
func toBox(b []float64) (Box, *Fault) {
	if len(b) == 0 {
		return Box{}, faultf(Malformed, "no bbox; a mask (segmentation) alone is not read")
	}
	if len(b) != 4 {
		return Box{}, faultf(Malformed, "bbox has %d numbers, not 4", len(b))
	}
	box := Box{b[0], b[1], b[2], b[3]}
	return box, box.check()
}

// resolve puts images and categories in order, now that all are known, and checks
// that every object has its own.
func (r *annotationReader) resolve() error {
	r.set.index()
	objects := r.set.Objects[:0]
	for i, o := range r.set.Objects {
		if f := r.place(o); f != nil {
			f.File, f.List, f.Record = r.stream.file, "annotations", r.records[i]
			if err := r.take(f, r.leftOut); err != nil {
				return fmt.Errorf("coco: %w", err)
			}
			continue
		}
		objects = append(objects, o)
	}
	r.set.Objects = objects
	return nil
}

func (r *annotationReader) place(o Object) *Fault {
	image, ok := r.set.image[o.ImageID]
	if !ok {
		return faultf(MissingImage, "annotation %d: image %d is not in images", o.ID, o.ImageID)
	}
	if _, ok := r.set.category[o.CategoryID]; !ok {
		return faultf(UnknownCategory, "annotation %d: category %d is not in categories", o.ID, o.CategoryID)
	}
	f := r.judge(o.Box, r.set.Images[image])
	if f != nil {
		f.Detail = fmt.Sprintf("annotation %d: %s", o.ID, f.Detail)
	}
	return f
}

// NewDataset makes a set of lists that a program has, with the same rules as
// ReadAnnotations; every fault is told.
func NewDataset(images []Image, categories []Category, objects []Object) (*Dataset, error) {
	set := &Dataset{Images: slices.Clone(images), Categories: slices.Clone(categories), Objects: slices.Clone(objects)}
	set.index()
	var faults []error
	if len(set.image) != len(images) || len(set.category) != len(categories) {
		faults = append(faults, fmt.Errorf("coco: %d images with %d ids, %d categories with %d ids", len(images), len(set.image), len(categories), len(set.category)))
	}
	r := annotationReader{set: set, stream: &stream{remarks: &set.Remarks}}
	for i, o := range objects {
		f := o.Box.check()
		if f == nil {
			f = r.place(o)
		}
		if f != nil {
			f.File, f.List, f.Record = "a set", "annotations", int64(i)
			faults = append(faults, fmt.Errorf("coco: %w", f))
		}
	}
	return set, errors.Join(faults...)
}

// index sorts images and categories by id and notes where each is.
func (d *Dataset) index() {
	slices.SortStableFunc(d.Images, func(a, b Image) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortStableFunc(d.Categories, func(a, b Category) int { return cmp.Compare(a.ID, b.ID) })
	d.image, d.category = make(map[int64]int32, len(d.Images)), make(map[int64]int32, len(d.Categories))
	for i, img := range d.Images {
		d.image[img.ID] = int32(i)
	}
	for i, c := range d.Categories {
		d.category[c.ID] = int32(i)
	}
}
