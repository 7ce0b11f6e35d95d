package coco

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"sync"
)

// The grid on which COCO's metrics are defined.
const (
	thresholds = 10
	recalls    = 101
	areas      = 4
	limits     = 3
)

// Area ranges, by their place in the arrays of a Score.
const (
	All = iota
	Small
	Medium
	Large
)

// Limits of detections an image and category, by their place.
const (
	First1 = iota
	First10
	First100
)

// areaRange is a range of areas in square pixels, both ends included.
type areaRange struct{ low, high float64 }

var (
	areaRanges = [areas]areaRange{{0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}}
	maxDets    = [limits]uint8{1, 10, maxPerImage}

	ioUThresholds = linspace(0.5, 0.95, thresholds)
	recallPoints  = linspace(0, 1, recalls)
)

// linspace is NumPy's: its numbers are those of pycocotools to the bit.
func linspace(low, high float64, n int) []float64 {
	step := (high - low) / float64(n-1)
	list := make([]float64, n)
	for i := range list {
		list[i] = low + float64(float64(i)*step)
	}
	list[n-1] = high
	return list
}

// IoUThresholds returns 0.50, 0.55, … 0.95, as pycocotools computes them.
func IoUThresholds() []float64 { return slices.Clone(ioUThresholds) }

// RecallPoints returns 0, 0.01, … 1, as pycocotools computes them.
func RecallPoints() []float64 { return slices.Clone(recallPoints) }

// Summary is COCO's twelve numbers, 0 to 1, or -1 where there is no object to
// judge by. AP is averaged over ten IoU thresholds, AR too.
type Summary struct {
	AP       float64 `json:"AP"`
	AP50     float64 `json:"AP50"` // at IoU 0.50
	AP75     float64 `json:"AP75"`
	APSmall  float64 `json:"AP_small"`  // objects to 32 x 32 pixels
	APMedium float64 `json:"AP_medium"` // to 96 x 96
	APLarge  float64 `json:"AP_large"`
	AR1      float64 `json:"AR_1"` // with the best detection of each image and category
	AR10     float64 `json:"AR_10"`
	AR100    float64 `json:"AR_100"`
	ARSmall  float64 `json:"AR_small"`
	ARMedium float64 `json:"AR_medium"`
	ARLarge  float64 `json:"AR_large"`
}

// Score holds the metrics of detections for a set.
type Score struct {
	Categories []Category // by ascending id
	entries    []entry    // of each category
}

// entry is one category's precision at each recall point, and recall.
type entry struct {
	precision [thresholds][areas][limits][]float64 // nil: no object to judge by
	recall    [thresholds][areas][limits]float64   // -1: no object to judge by
}

// Evaluate computes the metrics of section "bbox" of cocoeval.py. Categories are
// worked on side by side; the result does not depend on that.
func Evaluate(r *Results) *Score {
	r.prune()
	s := &Score{Categories: r.set.Categories, entries: make([]entry, len(r.set.Categories))}
	objects := r.set.byCategory()
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			var m matcher
			for k := range next {
				s.entries[k] = accumulate(m.category(r.ofCategory(k), objects[k], r.set.image))
			}
		})
	}
	for k := range s.entries {
		next <- k
	}
	close(next)
	workers.Wait()
	return s
}

// ClassAgnostic returns the same detections and objects as of one category: where
// objects are counts, what they are does not (useCats = 0 in cocoeval.py).
func ClassAgnostic(r *Results) *Results {
	r.prune() // the 100 best of an image are among the 100 best of its categories
	one := Category{Name: "any"}
	set := &Dataset{Images: r.set.Images, Categories: []Category{one}, Objects: slices.Clone(r.set.Objects)}
	slices.SortStableFunc(set.Objects, func(a, b Object) int { return cmp.Compare(a.CategoryID, b.CategoryID) })
	for i := range set.Objects {
		set.Objects[i].CategoryID = one.ID
	}
	set.index()
	merged := *r
	merged.set, merged.list = set, slices.Clone(r.list)
	for i := range merged.list { // of equal scores the lower category is first, then the order of coming
		merged.list[i].category, merged.list[i].number = 0, int64(i)
	}
	return &merged
}

// byCategory returns the objects of each category, by image, in the order of the
// file.
func (d *Dataset) byCategory() [][]Object {
	lists := make([][]Object, len(d.Categories))
	for _, o := range d.Objects {
		k := d.category[o.CategoryID]
		lists[k] = append(lists[k], o)
	}
	for _, list := range lists {
		slices.SortStableFunc(list, func(a, b Object) int { return cmp.Compare(a.ImageID, b.ImageID) })
	}
	return lists
}

// ofCategory returns the detections of the category with index k, which prune has
// sorted.
func (r *Results) ofCategory(k int) []kept {
	find := func(k int) int {
		i, _ := slices.BinarySearchFunc(r.list, int32(k), func(d kept, k int32) int { return cmp.Compare(d.category, k) })
		return i
	}
	return r.list[find(k):find(k+1)]
}

// category gives the verdicts of one category's detections and objects, both by
// image.
func (m *matcher) category(detections []kept, objects []Object, index map[int64]int32) *verdicts {
	v := &verdicts{}
	for len(detections) > 0 || len(objects) > 0 {
		image := int32(math.MaxInt32)
		if len(detections) > 0 {
			image = detections[0].image
		}
		if len(objects) > 0 {
			image = min(image, index[objects[0].ImageID])
		}
		d, g := 0, 0
		for d < len(detections) && detections[d].image == image {
			d++
		}
		for g < len(objects) && index[objects[g].ImageID] == image {
			g++
		}
		m.image(v, detections[:d], objects[:g])
		detections, objects = detections[d:], objects[g:]
	}
	return v
}

// accumulate turns verdicts into precision and recall (cocoeval.py, accumulate).
func accumulate(v *verdicts) entry {
	order := make([]int32, len(v.score))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := cmp.Compare(v.score[b], v.score[a]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	var e entry
	var precision []float64 // at each true positive
	for a := range areas {
		for m, limit := range maxDets {
			for t := range thresholds {
				if v.objects[a] == 0 {
					e.recall[t][a][m] = -1
					continue
				}
				precision = v.curve(precision[:0], order, t, a, limit)
				e.recall[t][a][m] = float64(len(precision)) / float64(v.objects[a])
				e.precision[t][a][m] = atRecalls(precision, v.objects[a])
			}
		}
	}
	return e
}

// curve appends the precision at each true positive: between them it only falls,
// so that they are all its running maximum needs.
func (v *verdicts) curve(precision []float64, order []int32, t, a int, limit uint8) []float64 {
	tp, fp := 0, 0
	for _, d := range order {
		switch {
		case v.rank[d] >= limit || v.ignored[a][d]>>t&1 == 1:
		case v.matched[a][d]>>t&1 == 1:
			tp++
			precision = append(precision, float64(tp)/(float64(fp+tp)+0x1p-52))
		default:
			fp++
		}
	}
	return precision
}

// atRecalls returns the largest precision at or beyond each recall point, 0 where
// recall does not get there. The n-th true positive has recall n / objects.
func atRecalls(precision []float64, objects int) []float64 {
	for i := len(precision) - 1; i > 0; i-- {
		precision[i-1] = max(precision[i-1], precision[i])
	}
	out := make([]float64, recalls)
	n := 0
	for i, r := range recallPoints {
		for n < len(precision) && float64(n+1)/float64(objects) < r {
			n++
		}
		if n == len(precision) {
			break
		}
		out[i] = precision[n]
	}
	return out
}
