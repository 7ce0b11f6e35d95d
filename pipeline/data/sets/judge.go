package sets

import (
	"bytes"
	"errors"
	"fmt"
	"image"

	"github.com/nasnet-go/nasnet/internal/imagegate"
)

// content is what a record of either kind holds.
type content struct {
	Example            // of a detection set without label
	detection bool     // a record with boxes
	objects   []Object // its boxes
}

// parse reads a record as what its keys say that it is.
func parse(data []byte) (content, error) {
	e, err := ParseExample(data)
	if !errors.Is(err, errNoLabel) {
		return content{Example: e}, err
	}
	l, boxes := ParseLabelled(data)
	switch {
	case errors.Is(boxes, errNoBoxes):
		return content{}, err
	case boxes != nil:
		return content{}, fmt.Errorf("%s: %w", l.Filename, boxes)
	}
	e = Example{Encoded: l.Encoded, Height: l.Height, Width: l.Width, Filename: l.Filename}
	return content{e, true, l.Objects}, nil
}

// labels returns the labels that are stored.
func (c content) labels() []int64 {
	if !c.detection {
		return []int64{c.Label}
	}
	var list []int64
	for _, o := range c.objects {
		if o.Label != 0 {
			list = append(list, o.Label)
		}
	}
	return list
}

// example judges one record.
func (v *verifier) example(data []byte) (c content, format string, err error) {
	c, err = parse(data)
	if err != nil {
		return c, "", err
	}
	if err := v.labelled(c); err != nil {
		return c, "", fmt.Errorf("%s: %w", c.Filename, err)
	}
	info, err := imagegate.Inspect(c.Encoded, v.MaxPixels)
	if err == nil && v.Decode {
		_, _, err = image.Decode(bytes.NewReader(c.Encoded))
	}
	if err == nil && c.Height != 0 && (c.Height != info.Height || c.Width != info.Width) {
		err = fmt.Errorf("the record says %d x %d pixels, the image %d x %d: %w", c.Width, c.Height, info.Width, info.Height, ErrDigest)
	}
	if err != nil {
		return c, "", fmt.Errorf("%s: %w", c.Filename, err)
	}
	return c, info.Format, nil
}

// labelled judges the labels and boxes of a record.
func (v *verifier) labelled(c content) error {
	if v.manifest != nil && c.detection != (len(v.categories) > 0) {
		return fmt.Errorf("record with boxes: %v, the manifest says %v: %w", c.detection, !c.detection, ErrDigest)
	}
	if !c.detection {
		if c.Label < v.least || (v.most >= 0 && c.Label > v.most) {
			return fmt.Errorf("label %d is not in %s: %w", c.Label, v.labels(), ErrDigest)
		}
		return nil
	}
	for i, o := range c.objects {
		if err := o.check(); err != nil {
			return fmt.Errorf("object %d: %w", i, err)
		}
		name, known := v.categories[o.Label]
		if (v.manifest != nil && !known) || (v.manifest == nil && v.most > 0 && o.Label > v.most) {
			return fmt.Errorf("object %d: label %d is not known: %w", i, o.Label, ErrDigest)
		}
		if known && o.Text != name {
			return fmt.Errorf("object %d: label %d is %q, the manifest says %q: %w", i, o.Label, o.Text, name, ErrDigest)
		}
	}
	return nil
}

// boxes judges a record by what a detector's training needs of it.
func (v *verifier) boxes(c content) error {
	if !c.detection {
		return fmt.Errorf("%s: %w", c.Filename, errNoBoxes)
	}
	for i, o := range c.objects {
		if o.Label < v.least || o.Label > v.most {
			return fmt.Errorf("%s: object %d: label %d is not in %s: %w", c.Filename, i, o.Label, v.labels(), ErrDigest)
		}
	}
	return nil
}

func (v *verifier) labels() string {
	if v.most < 0 {
		return fmt.Sprintf("%d…", v.least)
	}
	return fmt.Sprintf("%d..%d", v.least, v.most)
}
