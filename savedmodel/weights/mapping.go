package weights

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nasnet-go/nasnet/cells/model"
)

// AverageSuffix ends the name of a variable's moving average in TensorFlow 1's
// checkpoints.
const AverageSuffix = "/ExponentialMovingAverage"

// Entry is a tensor of a source.
type Entry struct {
	Name  string
	Shape []int64
}

// Source says where a variable's value comes from.
type Source struct {
	Name string
	// DropFirst leaves out the first entry of the last dimension: slim's class
	// 0, the background.
	DropFirst bool
}

// Mapping takes each variable of a plan, by name, from a source.
type Mapping struct {
	Plan     *model.Plan
	Sources  map[string]Source
	Averages int      // variables taken from their moving averages
	Ignored  []string // entries that are no weights: steps, slots of optimizers
}

// Averages says which of a variable's two values is taken.
type Averages string

// AveragesAuto takes moving averages where the source has them.
const (
	AveragesAuto Averages = "auto"
	AveragesYes  Averages = "yes"
	AveragesNo   Averages = "no"
)

// Options are the caller's wishes.
type Options struct {
	Averages Averages // "" is auto
	// DropBackground makes a network of n classes of a source of n+1 whose
	// first is the background.
	DropBackground bool
}

// matcher collects a mapping and its faults.
type matcher struct {
	o       Options
	entries map[string]Entry
	used    map[string]bool
	mapping Mapping
	faults  []error
}

func newMatcher(p *model.Plan, entries []Entry, o Options) *matcher {
	m := &matcher{o: o, entries: map[string]Entry{}, used: map[string]bool{}, mapping: Mapping{Plan: p, Sources: map[string]Source{}}}
	for _, e := range entries {
		m.entries[e.Name] = e
	}
	return m
}

func (m *matcher) fault(format string, args ...any) {
	m.faults = append(m.faults, fmt.Errorf(format, args...))
}

// take maps v to the named entry, or says what is wrong with it.
func (m *matcher) take(v model.Variable, name string) {
	e, ok := m.entries[name]
	if !ok {
		m.fault("missing: %s %v", name, v.Shape)
		return
	}
	m.used[name] = true
	want := make([]int64, len(v.Shape))
	for i, d := range v.Shape {
		want[i] = int64(d)
	}
	last := len(want) - 1
	background := isLogits(v.Name) && len(e.Shape) == len(want) && e.Shape[last] == want[last]+1 && slices.Equal(e.Shape[:last], want[:last])
	switch {
	case slices.Equal(e.Shape, want):
		m.mapping.Sources[v.Name] = Source{Name: name}
	case background && m.o.DropBackground:
		m.mapping.Sources[v.Name] = Source{Name: name, DropFirst: true}
	case background:
		m.fault("misshapen: %s is %v, the model wants %v; class 0 of slim's networks is the background: add --drop-background, or give the model %d classes", name, e.Shape, want, e.Shape[last])
	default:
		m.fault("misshapen: %s is %v, the model wants %v", name, e.Shape, want)
	}
}

// isLogits tells the variables whose last dimension is the classes.
func isLogits(name string) bool {
	return strings.HasSuffix(name, "/FC/weights") || strings.HasSuffix(name, "/FC/biases")
}

// result checks that every entry has been used, apart from those ignored.
func (m *matcher) result(ignored func(name string) bool) (Mapping, error) {
	for name, e := range m.entries {
		switch {
		case m.used[name]:
		case ignored(name):
			m.mapping.Ignored = append(m.mapping.Ignored, name)
		default:
			m.fault("unmapped: %s %v is no variable of the model", name, e.Shape)
		}
	}
	slices.Sort(m.mapping.Ignored)
	if len(m.faults) == 0 {
		return m.mapping, nil
	}
	slices.SortFunc(m.faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return Mapping{}, fmt.Errorf("weights: the source does not fit the model, %d faults:\n%w", len(m.faults), errors.Join(m.faults...))
}
