package coco

import (
	"math"
	"slices"
)

// Box is a box as COCO stores it: left, top, width, height, in pixels of the
// original image.
type Box struct{ X, Y, W, H float64 }

// Area returns width times height, in square pixels.
func (b Box) Area() float64 { return b.W * b.H }

// IoU returns the intersection over the union of a detection and an object, 0
// where they do not overlap. For a crowd it is the intersection over the
// detection's own area (maskApi.c, bbIou).
func IoU(detection, object Box, crowd bool) float64 {
	d, o := detection, object
	// The conversions keep compilers from fusing multiply and add: results are those of pycocotools to the bit.
	w := min(d.X+d.W, o.X+o.W) - max(d.X, o.X)
	h := min(d.Y+d.H, o.Y+o.H) - max(d.Y, o.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	intersection := float64(w * h)
	union := float64(d.W * d.H)
	if !crowd {
		union += float64(o.W * o.H)
		union -= intersection
	}
	return intersection / union
}

// Image is one image of a set.
type Image struct {
	ID            int64
	Width, Height int // pixels
	FileName      string
}

// Category is one class of objects. COCO's own ids are 1 to 90 with ten gaps.
type Category struct {
	ID   int64
	Name string
}

// Object is one annotated box.
type Object struct {
	ID, ImageID, CategoryID int64
	Box                     Box
	Area                    float64 // of the object's mask where the file has it, else of its box; square pixels
	Crowd                   bool    // a region of many: detections in it count as neither right nor wrong
}

// Dataset is an annotation file: images and categories by ascending id, objects
// in the order of the file.
type Dataset struct {
	Images     []Image
	Categories []Category
	Objects    []Object
	Remarks    Counts // what is odd about boxes that were kept
	LeftOut    Counts // entries left out under the policy

	image, category map[int64]int32 // id -> index
}

// Detection is one box that a detector found.
type Detection struct {
	ImageID, CategoryID int64
	Box                 Box
	Score               float64
}

// maxPerImage is how many detections of one category in one image the metrics
// look at: the largest of their limits.
const maxPerImage = 100

// Results holds detections for a Dataset. Of each image and category it keeps
// the 100 with the highest scores, equal ones in the order of their coming; the
// metrics look at no others.
type Results struct {
	Added    int64  // detections taken in, kept or not
	Unjudged int64  // of these, of categories that the set does not have: the metrics pass over them, as pycocotools does
	Remarks  Counts // what is odd about boxes that were taken
	LeftOut  Counts // entries left out under the policy

	set  *Dataset
	list []kept
	tidy int // length of the list after which it is pruned
}

// kept is a detection by the indices of its image and category.
type kept struct {
	category, image int32
	box             Box
	score           float64
	number          int64 // in the order of coming
}

// NewResults returns an empty list of detections for a set.
func NewResults(set *Dataset) *Results { return &Results{set: set, tidy: 1 << 20} }

// Add takes a detection in. Its fault, if it has one, is told and the detection
// left out.
func (r *Results) Add(d Detection) *Fault {
	if f := d.check(); f != nil {
		return f
	}
	image, ok := r.set.image[d.ImageID]
	if !ok {
		return faultf(MissingImage, "image %d is not in the annotations", d.ImageID)
	}
	category, ok := r.set.category[d.CategoryID]
	if !ok {
		r.Added++
		r.Unjudged++
		return nil
	}
	if remark := d.Box.remark(r.set.Images[image]); remark != "" {
		r.Remarks.add(remark)
	}
	r.list = append(r.list, kept{category, image, d.Box, d.Score, r.Added})
	r.Added++
	if len(r.list) >= r.tidy {
		r.prune()
		r.tidy = max(r.tidy, 2*len(r.list))
	}
	return nil
}

func (d Detection) check() *Fault {
	if f := d.Box.check(); f != nil {
		return f
	}
	if !finite(d.Score) {
		return faultf(NotFinite, "score is %v", d.Score)
	}
	return nil
}

// prune sorts the list by category, image and falling score and drops what is
// beyond the limit of its image and category.
func (r *Results) prune() {
	slices.SortFunc(r.list, func(a, b kept) int {
		switch {
		case a.category != b.category:
			return int(a.category) - int(b.category)
		case a.image != b.image:
			return int(a.image) - int(b.image)
		case a.score != b.score:
			if a.score > b.score {
				return -1
			}
			return 1
		case a.number < b.number:
			return -1
		}
		return 1
	})
	out, rank := r.list[:0], 0
	for i, d := range r.list {
		if i > 0 && (d.category != r.list[i-1].category || d.image != r.list[i-1].image) {
			rank = 0
		}
		if rank < maxPerImage {
			out = append(out, d)
		}
		rank++
	}
	r.list = out
}

// check refuses boxes that are no boxes.
func (b Box) check() *Fault {
	if !finite(b.X, b.Y, b.W, b.H, b.Area(), b.X+b.W, b.Y+b.H) {
		return faultf(NotFinite, "box is %v", b)
	}
	if b.W < 0 || b.H < 0 {
		return faultf(NegativeSize, "box of %v x %v pixels", b.W, b.H)
	}
	return nil
}

// remark names what is odd about a box that has no fault, "" if nothing is.
func (b Box) remark(in Image) Kind {
	switch {
	case b.W == 0 || b.H == 0:
		return EmptyBox
	case b.X < 0 || b.Y < 0 || b.X+b.W > float64(in.Width) || b.Y+b.H > float64(in.Height):
		return BoxOutside
	}
	return ""
}

func finite(list ...float64) bool {
	for _, x := range list {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}
