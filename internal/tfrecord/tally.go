package tfrecord

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrTooManyFaults ends work whose policy is to skip broken records, when there
// are more of them than its limit.
var ErrTooManyFaults = errors.New("more broken records than allowed")

// Tally applies the policy for bad data and counts every fault, from any number
// of files and goroutines. The zero Tally is the policy "fail": the first fault
// ends the work. A Limit above 0 is the policy "skip".
type Tally struct {
	Limit int // how many faults may be skipped; 0: none

	mu     sync.Mutex
	faults []*Fault
}

// Take counts a fault. It returns nil where the work may go on without the
// record, and otherwise the error to end with.
func (t *Tally) Take(f *Fault) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, f)
	switch {
	case t.Limit == 0:
		return f
	case len(t.faults) > t.Limit:
		return fmt.Errorf("%w (%d): %w", ErrTooManyFaults, t.Limit, f)
	}
	return nil
}

// Faults returns the faults counted so far, in the order they were met.
func (t *Tally) Faults() []*Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*Fault(nil), t.faults...)
}

// Scan reads a whole record file. Broken records, and the *Fault that visit may
// return for one whose content is wrong, go through the tally; any other error
// of visit ends the scan.
func Scan(path string, t *Tally, visit func(record, offset int64, data []byte) error) error {
	r, err := Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		record, offset := r.Record(), r.Offset()
		data, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = visit(record, offset, data)
		}
		var f *Fault
		if errors.As(err, &f) {
			err = t.Take(f)
		}
		if err != nil {
			return err
		}
	}
}
