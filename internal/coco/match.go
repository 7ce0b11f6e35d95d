package coco

import "slices"

// bits holds one truth for each IoU threshold.
type bits = uint16

// verdicts are the outcomes of one category's detections, image by image, each
// image's by falling score.
type verdicts struct {
	score   []float64
	rank    []uint8 // among its image's, from 0
	matched [areas][]bits
	ignored [areas][]bits
	objects [areas]int // that are not ignored, over all images
}

// matcher matches detections with objects; it keeps its working memory.
type matcher struct {
	iou     []float64 // detections x objects
	order   []int32
	ignored []bool
	taken   []bool
}

// image adds the verdicts of one image: detections by falling score, 100 at most,
// and the objects of the same category.
func (m *matcher) image(v *verdicts, detections []kept, objects []Object) {
	m.iou = slices.Grow(m.iou[:0], len(detections)*len(objects))[:len(detections)*len(objects)]
	for d, detection := range detections {
		for g, o := range objects {
			m.iou[d*len(objects)+g] = IoU(detection.box, o.Box, o.Crowd)
		}
		v.score = append(v.score, detection.score)
		v.rank = append(v.rank, uint8(d))
	}
	for a, r := range areaRanges {
		m.sortIgnoredLast(objects, r)
		for _, ignored := range m.ignored {
			if !ignored {
				v.objects[a]++
			}
		}
		first := len(v.matched[a])
		for _, detection := range detections {
			var outside bits // unmatched, it is ignored if its own area is not in the range
			if size := detection.box.Area(); size < r.low || size > r.high {
				outside = 1<<thresholds - 1
			}
			v.matched[a], v.ignored[a] = append(v.matched[a], 0), append(v.ignored[a], outside)
		}
		if len(objects) > 0 {
			m.match(v.matched[a][first:], v.ignored[a][first:], objects)
		}
	}
}

// sortIgnoredLast orders the objects: those that count in an area range, then the
// ignored ones, each in the order of the file.
func (m *matcher) sortIgnoredLast(objects []Object, r areaRange) {
	m.order, m.ignored = m.order[:0], m.ignored[:0]
	for _, late := range []bool{false, true} {
		for g, o := range objects {
			if ignored := o.Crowd || o.Area < r.low || o.Area > r.high; ignored == late {
				m.order, m.ignored = append(m.order, int32(g)), append(m.ignored, ignored)
			}
		}
	}
}

// match lets each detection in turn take the object it overlaps most, at each
// threshold (cocoeval.py, evaluateImg).
func (m *matcher) match(matched, ignored []bits, objects []Object) {
	for t := range thresholds {
		m.taken = append(m.taken[:0], make([]bool, len(objects))...)
		for d := range matched {
			best := m.best(m.iou[d*len(objects):(d+1)*len(objects)], min(ioUThresholds[t], 1-1e-10), objects)
			if best < 0 {
				continue
			}
			m.taken[best] = true
			matched[d] |= 1 << t
			ignored[d] &^= 1 << t
			if m.ignored[best] {
				ignored[d] |= 1 << t
			}
		}
	}
}

// best returns the place in the order of the object to take, -1 for none: the one
// of the largest IoU, of equal ones the last; an ignored one only if no other
// reaches the threshold.
func (m *matcher) best(iou []float64, least float64, objects []Object) int {
	best := -1
	for i, g := range m.order {
		switch {
		case m.taken[i] && !objects[g].Crowd:
			continue
		case best >= 0 && !m.ignored[best] && m.ignored[i]:
			return best
		case iou[g] < least:
			continue
		}
		best, least = i, iou[g]
	}
	return best
}
