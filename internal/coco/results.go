package coco

import (
	"fmt"
	"io"
	"math"
)

// resultEntry is an entry of a result file.
type resultEntry struct {
	ImageID    integer   `json:"image_id"`
	CategoryID integer   `json:"category_id"`
	BBox       []float64 `json:"bbox"`
	Score      float64   `json:"score"`
}

// ReadResults reads a result file, a list of {image_id, category_id, bbox,
// score}, for a set; file names it in errors. Under Policy.Strict, what would be
// a remark or is of a category that the set does not have is a fault.
func ReadResults(in io.Reader, file string, set *Dataset, p Policy) (*Results, error) {
	results := NewResults(set)
	s := newStream(in, file, 1, p, &results.Remarks, &results.LeftOut)
	var e resultEntry
	reset := func() {
		e = resultEntry{ImageID: absent, CategoryID: absent, Score: math.NaN(), BBox: e.BBox[:0]}
	}
	err := s.entries("results", &e, reset, func() *Fault {
		d, f := e.detection()
		if f != nil {
			return f
		}
		if s.Strict {
			if f := results.strict(d); f != nil {
				return f
			}
		}
		return results.Add(d)
	})
	if err != nil {
		return nil, err
	}
	if _, err := s.json.Token(); err != io.EOF {
		return nil, fmt.Errorf("coco: %s %w: something follows its end at byte %d", file, ErrNotJSON, s.json.InputOffset())
	}
	return results, nil
}

// OpenResults reads the result file at a path.
func OpenResults(path string, set *Dataset, p Policy) (*Results, error) {
	return opened(path, func(in io.Reader) (*Results, error) { return ReadResults(in, path, set, p) })
}

func (e resultEntry) detection() (Detection, *Fault) {
	box, f := toBox(e.BBox)
	switch {
	case e.ImageID == absent || e.CategoryID == absent || math.IsNaN(e.Score):
		return Detection{}, faultf(Malformed, "one of image_id, category_id and score is missing")
	case f != nil:
		return Detection{}, f
	}
	return Detection{int64(e.ImageID), int64(e.CategoryID), box, e.Score}, nil
}

// strict returns the fault of a detection that is odd.
func (r *Results) strict(d Detection) *Fault {
	if _, ok := r.set.category[d.CategoryID]; !ok {
		return faultf(UnknownCategory, "category %d is not in the annotations", d.CategoryID)
	}
	image, ok := r.set.image[d.ImageID]
	if !ok {
		return nil // Add tells
	}
	in := r.set.Images[image]
	if remark := d.Box.remark(in); remark != "" {
		return oddBox(remark, d.Box, in)
	}
	return nil
}
