package eval

import (
	"container/heap"
	"fmt"
	"slices"
)

// Options say what Scores keep. Zero means the default where one is named.
type Options struct {
	Classes int      // required: how many the model tells apart
	Names   []string // of the classes, for people; may be empty
	Bins    int      // of the calibration; default 15
	Worst   int      // mistakes kept; default 50
	Real    *Real    // ImageNet's reassessed labels; nil: not measured
}

// Scores measure predictions that are added one by one: memory is that of the
// confusion matrix, however many images there are.
type Scores struct {
	o         Options
	tally     Tally
	confusion []int64 // [label, prediction], row-major
	bins      []bin
	worst     mistakes
	real      realTally
}

// NewScores returns empty scores.
func NewScores(o Options) (*Scores, error) {
	if o.Bins == 0 {
		o.Bins = 15
	}
	if o.Worst == 0 {
		o.Worst = 50
	}
	switch {
	case o.Classes < 1 || o.Classes > maxClasses:
		return nil, fmt.Errorf("eval: %d classes; want 1 to %d", o.Classes, maxClasses)
	case len(o.Names) > 0 && len(o.Names) != o.Classes:
		return nil, fmt.Errorf("eval: %d names for %d classes", len(o.Names), o.Classes)
	case o.Bins < 1 || o.Worst < 0:
		return nil, fmt.Errorf("eval: %d bins and %d mistakes; want at least one bin", o.Bins, o.Worst)
	}
	return &Scores{o: o, confusion: make([]int64, o.Classes*o.Classes), bins: make([]bin, o.Bins)}, nil
}

// maxClasses bounds the confusion matrix: 3.2 GB.
const maxClasses = 20_000

// Add counts a prediction.
func (s *Scores) Add(p Prediction) error {
	for _, class := range []int{p.Label, p.Predicted} {
		if class < 0 || class >= s.o.Classes {
			return fmt.Errorf("eval: image %s: class %d is not in 0..%d", p.Image, class, s.o.Classes-1)
		}
	}
	if err := s.real.count(s.o.Real, p); err != nil {
		return err
	}
	s.tally.count(p.Rank, p.Loss)
	s.confusion[p.Label*s.o.Classes+p.Predicted]++
	s.bins[binOf(p.Confidence, len(s.bins))].count(p)
	s.worst.keep(p, s.o.Worst)
	return nil
}

// Measurement is what scores came to. Shares are 0..1, intervals are at 95 %.
type Measurement struct {
	Result
	MeanRecall    float64      `json:"mean_recall"`      // unweighted mean over classes that have images
	MeanRecallCI  [2]float64   `json:"mean_recall_ci95"` // of Wilson's limits, by variance recovery
	MeanPrecision float64      `json:"mean_precision"`   // unweighted mean over classes that were predicted
	Recall        []ClassScore `json:"recall,omitempty"` // by class
	Calibration   Calibration  `json:"calibration"`
	*RealScore                 // nil where it was not measured
	Worst         []Prediction `json:"worst,omitempty"`     // wrong ones, largest loss first
	Confusion     [][]int64    `json:"confusion,omitempty"` // [label][prediction], images
}

// ClassScore is what came of one class.
type ClassScore struct {
	Class     int        `json:"class"`
	Name      string     `json:"name,omitempty"`
	Recall    float64    `json:"recall"` // share of its images that were predicted so; 0 where it has none
	RecallCI  [2]float64 `json:"recall_ci95"`
	Precision float64    `json:"precision"` // share of the images predicted so that are; 0 where there is none
	Images    int64      `json:"images"`
	Predicted int64      `json:"predicted"` // images predicted so
}

// Measurement returns what was counted so far.
func (s *Scores) Measurement() Measurement {
	m := Measurement{Result: s.tally.Result(), Calibration: calibration(s.bins, s.tally.images), RealScore: s.real.score(), Worst: s.worst.sorted()}
	k := s.o.Classes
	right, images, predicted := make([]int64, k), make([]int64, k), make([]int64, k)
	for label := range k {
		row := s.confusion[label*k : (label+1)*k]
		m.Confusion = append(m.Confusion, slices.Clone(row))
		right[label] = row[label]
		for p, n := range row {
			images[label] += n
			predicted[p] += n
		}
	}
	for class := range k {
		c := ClassScore{
			Class: class, Recall: share(right[class], images[class]), RecallCI: Wilson(right[class], images[class], z95),
			Precision: share(right[class], predicted[class]), Images: images[class], Predicted: predicted[class],
		}
		if len(s.o.Names) > 0 {
			c.Name = s.o.Names[class]
		}
		m.Recall = append(m.Recall, c)
	}
	m.MeanRecall, m.MeanRecallCI = meanInterval(right, images)
	m.MeanPrecision, _ = meanInterval(right, predicted)
	return m
}

// mistakes is a heap of wrong predictions, the smallest loss on top.
type mistakes []Prediction

func (m mistakes) Len() int           { return len(m) }
func (m mistakes) Less(i, j int) bool { return worse(m[j], m[i]) }
func (m mistakes) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *mistakes) Push(x any)        { *m = append(*m, x.(Prediction)) }
func (m *mistakes) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// worse orders by loss; of equal ones by name, so that the order of adding does
// not matter.
func worse(a, b Prediction) bool {
	if a.Loss != b.Loss {
		return a.Loss > b.Loss
	}
	return a.Image < b.Image
}

func (m *mistakes) keep(p Prediction, n int) {
	if p.Right() || n == 0 {
		return
	}
	if len(*m) < n {
		heap.Push(m, p)
		return
	}
	if worse(p, (*m)[0]) {
		(*m)[0] = p
		heap.Fix(m, 0)
	}
}

func (m mistakes) sorted() []Prediction {
	list := slices.Clone(m)
	slices.SortFunc(list, func(a, b Prediction) int {
		if worse(a, b) {
			return -1
		}
		return 1
	})
	return list
}
