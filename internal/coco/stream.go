package coco

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxEntry is the longest entry of a list that is read, in bytes: far more than
// the most detailed mask. The JSON decoder holds one entry at a time.
const maxEntry = 16 << 20

// beyondFloat stands in for the bare words NaN and Infinity, which Python writes
// into JSON though JSON has none: a number beyond float64, so that the decoder
// reports the one value and goes on.
const beyondFloat = "1e999"

// tamed passes JSON on with NaN and Infinity replaced, and ends it where an entry
// grows too long.
type tamed struct {
	in       *bufio.Reader
	list     int // depth of the entries' list: 1 for results, 2 in an annotation file
	depth    int
	entry    int  // bytes since the last border between entries
	inString bool // between quotes
	escaped  bool // behind a backslash there
	pending  string
}

// Read implements io.Reader.
func (t *tamed) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if t.pending != "" {
			k := copy(p[n:], t.pending)
			t.pending, n = t.pending[k:], n+k
			continue
		}
		b, err := t.in.ReadByte()
		if err != nil {
			if n > 0 && err == io.EOF {
				return n, nil
			}
			return n, err
		}
		if t.entry++; t.entry > maxEntry {
			return n, fmt.Errorf("%w: %d bytes", ErrEntryTooLong, maxEntry)
		}
		if !t.inString && t.word(b) {
			continue
		}
		t.step(b)
		p[n] = b
		n++
	}
	return n, nil
}

// word replaces NaN or Infinity, of which b is the first letter.
func (t *tamed) word(b byte) bool {
	var rest string
	switch b {
	case 'N':
		rest = "aN"
	case 'I':
		rest = "nfinity"
	default:
		return false
	}
	if next, _ := t.in.Peek(len(rest)); string(next) != rest { // an error comes again when the byte is read
		return false
	}
	t.in.Discard(len(rest)) // just peeked
	t.pending = beyondFloat
	return true
}

// step follows the nesting.
func (t *tamed) step(b byte) {
	if t.inString {
		t.inString = t.escaped || b != '"'
		t.escaped = !t.escaped && b == '\\'
		return
	}
	switch b {
	case '"':
		t.inString = true
		return
	case '{', '[':
		t.depth++
	case '}', ']':
		t.depth--
	case ',':
	default:
		return
	}
	if t.depth <= t.list {
		t.entry = 0
	}
}

// stream reads the lists of one JSON file entry by entry.
type stream struct {
	file string
	json *json.Decoder
	Policy
	remarks, leftOut *Counts
}

func newStream(in io.Reader, file string, depth int, p Policy, remarks, leftOut *Counts) *stream {
	t := &tamed{in: bufio.NewReaderSize(in, 1<<18), list: depth}
	d := json.NewDecoder(t)
	d.UseNumber() // for what is passed over: it may be any number
	return &stream{file: file, json: d, Policy: p, remarks: remarks, leftOut: leftOut}
}

// wrong turns an error of the decoder into one that names the file and the place.
func (s *stream) wrong(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF) && s.json.InputOffset() == 0:
		return fmt.Errorf("coco: %s %w: it is empty", s.file, ErrNotJSON)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("coco: %s %w: it ends too early, after about %d bytes", s.file, ErrNotJSON, s.json.InputOffset())
	case errors.As(err, &syntax):
		return fmt.Errorf("coco: %s %w: about byte %d: %w", s.file, ErrNotJSON, s.json.InputOffset(), err)
	}
	return fmt.Errorf("coco: %s: about byte %d: %w", s.file, s.json.InputOffset(), err)
}

// open takes the opening bracket of a value.
func (s *stream) open(want json.Delim, what string) error {
	token, err := s.json.Token()
	if err != nil {
		return s.wrong(err)
	}
	if token != want {
		return fmt.Errorf("coco: %s %w: %s", s.file, ErrNotCOCO, what)
	}
	return nil
}

// end takes a closing bracket.
func (s *stream) end() error {
	if _, err := s.json.Token(); err != nil {
		return s.wrong(err)
	}
	return nil
}

// finish makes sure that nothing follows.
func (s *stream) finish() error {
	if err := s.end(); err != nil {
		return err
	}
	switch _, err := s.json.Token(); {
	case err == io.EOF:
		return nil
	case err == nil:
		return fmt.Errorf("coco: %s %w: something follows its end at byte %d", s.file, ErrNotJSON, s.json.InputOffset())
	default:
		return s.wrong(err)
	}
}

// skip passes over a value, however long it is.
func (s *stream) skip() error {
	for depth := 0; ; {
		token, err := s.json.Token()
		if err != nil {
			return s.wrong(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// entries decodes each entry of the list that comes next and has it taken in. e
// is a pointer; reset empties what it points to. Faults go by the policy.
func (s *stream) entries(list string, e any, reset func(), take func() *Fault) error {
	if err := s.open('[', list+" is no list"); err != nil {
		return err
	}
	for record := int64(0); s.json.More(); record++ {
		reset()
		var fault *Fault
		err := s.json.Decode(e)
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			fault, err = mistyped(wrong), nil
		}
		if err != nil {
			return s.wrong(err)
		}
		if fault == nil {
			fault = take()
		}
		if fault != nil {
			fault.File, fault.List, fault.Record = s.file, list, record
			if err := s.take(fault, s.leftOut); err != nil {
				return fmt.Errorf("coco: %w", err)
			}
		}
	}
	return s.end()
}

// mistyped is the fault of a value that is not of its key's type.
func mistyped(e *json.UnmarshalTypeError) *Fault {
	if e.Value == "number "+beyondFloat || e.Value == "number -"+beyondFloat {
		return faultf(NotFinite, "%s is NaN, infinite or beyond float64", e.Field)
	}
	if e.Field == "" {
		return faultf(Malformed, "the entry is a %s", e.Value)
	}
	return faultf(Malformed, "%s is a %s", e.Field, e.Value)
}

// judge returns the fault of a box's oddity, where the policy is strict, and
// otherwise counts it.
func (s *stream) judge(b Box, in Image) *Fault {
	remark := b.remark(in)
	switch {
	case remark == "":
		return nil
	case s.Strict:
		return oddBox(remark, b, in)
	}
	s.remarks.add(remark)
	return nil
}

func oddBox(remark Kind, b Box, in Image) *Fault {
	return faultf(remark, "box %v in an image of %d x %d pixels", b, in.Width, in.Height)
}
