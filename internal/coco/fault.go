package coco

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kind is what is wrong with an entry of a file.
type Kind string

// The faults of entries.
const (
	Malformed       Kind = "malformed"        // a key is missing, or its value is of another type
	NotFinite       Kind = "not finite"       // NaN or infinite
	NegativeSize    Kind = "negative size"    // of a box or an image
	DuplicateID     Kind = "duplicate id"     // of an image, a category or an object
	MissingImage    Kind = "missing image"    // an image id that the annotations do not have
	UnknownCategory Kind = "unknown category" // a category id that the annotations do not have
)

// Remarks: the metrics are defined on such boxes, so they are counted and kept,
// unless Policy.Strict makes them faults.
const (
	BoxOutside Kind = "box outside" // it leaves its image
	EmptyBox   Kind = "empty box"   // width or height is 0
)

// Sentinels of files that cannot be read at all.
var (
	ErrNotJSON       = errors.New("is no JSON")
	ErrNotCOCO       = errors.New("is not in COCO's format")
	ErrEntryTooLong  = errors.New("an entry is longer than allowed")
	ErrTooManyFaults = errors.New("more faulty entries than allowed")
)

// Fault is one faulty entry: where it is and what is wrong with it.
type Fault struct {
	File   string
	List   string // images, annotations, categories or results
	Record int64  // of the list, from 0
	Kind   Kind
	Detail string
}

func faultf(kind Kind, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Error names file, list, entry and fault.
func (f *Fault) Error() string {
	return fmt.Sprintf("%s: %s[%d]: %s: %s", f.File, f.List, f.Record, f.Kind, f.Detail)
}

// Counts says how many entries have each fault.
type Counts map[Kind]int64

func (c *Counts) add(k Kind) {
	if *c == nil {
		*c = Counts{}
	}
	(*c)[k]++
}

// With returns the counts with one more of a kind.
func (c Counts) With(k Kind) Counts {
	c.add(k)
	return c
}

// Total returns how many there are of all kinds.
func (c Counts) Total() (n int64) {
	for _, count := range c {
		n += count
	}
	return n
}

// String lists the counts: "3 box outside, 1 empty box".
func (c Counts) String() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%d %s", c[kind], kind))
	}
	return strings.Join(parts, ", ")
}

// Policy says what becomes of faulty entries. The zero Policy is "fail": the
// first one ends the reading.
type Policy struct {
	Limit  int          // how many may be left out ("skip"); 0: none
	Strict bool         // remarks are faults
	Tell   func(*Fault) // called for every entry left out; may be nil
}

// take counts a fault in counts. It returns nil where the reading may go on
// without the entry, else the error to end with.
func (p Policy) take(f *Fault, counts *Counts) error {
	counts.add(f.Kind)
	switch {
	case p.Limit == 0:
		return f
	case counts.Total() > int64(p.Limit):
		return fmt.Errorf("%w (%d: %s): %w", ErrTooManyFaults, p.Limit, *counts, f)
	case p.Tell != nil:
		p.Tell(f)
	}
	return nil
}
