package coco

// mean is a sum in the making; nothing gives -1.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(list ...float64) {
	for _, x := range list {
		m.sum += x
	}
	m.n += len(list)
}

func (m mean) value() float64 {
	if m.n == 0 {
		return -1
	}
	return m.sum / float64(m.n)
}

// every stands for all thresholds.
const every = -1

// span returns the thresholds from t to the end of its span: one, or all.
func span(t int) (from, to int) {
	if t == every {
		return 0, thresholds
	}
	return t, t + 1
}

// ap is the mean precision of categories over recall points and thresholds.
func ap(entries []entry, t, area int) float64 {
	var m mean
	from, to := span(t)
	for i := range entries {
		for t := from; t < to; t++ {
			m.add(entries[i].precision[t][area][First100]...)
		}
	}
	return m.value()
}

// ar is the mean recall of categories over the thresholds.
func ar(entries []entry, area, limit int) float64 {
	var m mean
	for i := range entries {
		for t := range thresholds {
			if r := entries[i].recall[t][area][limit]; r >= 0 {
				m.add(r)
			}
		}
	}
	return m.value()
}

func summarize(e []entry) Summary {
	return Summary{
		AP: ap(e, every, All), AP50: ap(e, 0, All), AP75: ap(e, 5, All),
		APSmall: ap(e, every, Small), APMedium: ap(e, every, Medium), APLarge: ap(e, every, Large),
		AR1: ar(e, All, First1), AR10: ar(e, All, First10), AR100: ar(e, All, First100),
		ARSmall: ar(e, Small, First100), ARMedium: ar(e, Medium, First100), ARLarge: ar(e, Large, First100),
	}
}

// Summary returns the twelve numbers over all categories.
func (s *Score) Summary() Summary { return summarize(s.entries) }

// Category returns the twelve numbers of the category with an index.
func (s *Score) Category(k int) Summary { return summarize(s.entries[k : k+1]) }

// AtThreshold returns the AP at each of the ten IoU thresholds.
func (s *Score) AtThreshold() []float64 {
	list := make([]float64, thresholds)
	for t := range list {
		list[t] = ap(s.entries, t, All)
	}
	return list
}

// Precision returns the precision at the 101 recall points of the category with
// an index, at threshold t of ten, for an area range and a limit of detections;
// nil if there is no object to judge by. The caller must not change it.
func (s *Score) Precision(category, t, area, limit int) []float64 {
	return s.entries[category].precision[t][area][limit]
}

// Recall returns the recall there, -1 if there is no object to judge by.
func (s *Score) Recall(category, t, area, limit int) float64 {
	return s.entries[category].recall[t][area][limit]
}

// Curve returns the precision at the 101 recall points at threshold t, averaged
// over the categories that have objects; nil if none has.
func (s *Score) Curve(t int) []float64 {
	var sum []float64
	var n float64
	for i := range s.entries {
		p := s.entries[i].precision[t][All][First100]
		if p == nil {
			continue
		}
		if sum == nil {
			sum = make([]float64, recalls)
		}
		for r := range p {
			sum[r] += p[r]
		}
		n++
	}
	for r := range sum {
		sum[r] /= n
	}
	return sum
}

// Numbers returns the twelve in pycocotools' order.
func (s Summary) Numbers() []float64 {
	return []float64{s.AP, s.AP50, s.AP75, s.APSmall, s.APMedium, s.APLarge, s.AR1, s.AR10, s.AR100, s.ARSmall, s.ARMedium, s.ARLarge}
}
