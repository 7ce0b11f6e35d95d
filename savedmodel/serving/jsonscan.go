package serving

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// member is one field of an object: its decoded key and its value's text.
type member struct {
	key   string
	value []byte
}

// scanner reads JSON without recursion, with TensorFlow Serving's additions:
// the bare tokens NaN, Inf and Infinity. Messages and offsets are rapidjson's,
// which that server parses with.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) fail(format string, args ...any) error {
	return s.failAt(s.at, format, args...)
}

func (s *scanner) failAt(at int, format string, args ...any) error {
	return fmt.Errorf("JSON Parse error: %s at offset: %d", fmt.Sprintf(format, args...), at)
}

// peek returns the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		c := s.text[s.at]
		if c > ' ' || c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
		s.at++
	}
	return 0
}

// here returns the byte at the cursor, 0 at the end.
func (s *scanner) here() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// document checks one JSON value from the cursor on, of any kind and at most
// maxNesting deep, and returns it with the fields of an object. What follows
// the value is not read, as in TensorFlow Serving.
func (s *scanner) document() (root []byte, fields []member, err error) {
	var objects [maxNesting]bool // of the open lists and objects, which are objects
	depth, begin, valueAt := 0, 0, 0
	if s.peek() == 0 {
		return nil, nil, s.fail("The document is empty.")
	}
	begin = s.at
	for {
		opened, err := s.value(&objects, &depth)
		if err != nil {
			return nil, nil, err
		}
		more := opened
		for !more { // a value has ended
			if depth == 0 {
				return s.text[begin:s.at], fields, nil
			}
			if depth == 1 && objects[0] && len(fields) > 0 {
				fields[len(fields)-1].value = s.text[valueAt:s.at]
			}
			if more, err = s.next(objects[depth-1], &depth); err != nil {
				return nil, nil, err
			}
		}
		if objects[depth-1] {
			key, err := s.key()
			if err != nil {
				return nil, nil, err
			}
			if depth == 1 {
				text, err := unquote(key)
				if err != nil {
					return nil, nil, s.fail("%v", err)
				}
				s.peek()
				fields, valueAt = append(fields, member{key: text}), s.at
			}
		}
	}
}

// value passes over a scalar, an empty list or an empty object, or opens a list
// or object.
func (s *scanner) value(objects *[maxNesting]bool, depth *int) (opened bool, err error) {
	c := s.peek()
	switch c {
	case '{', '[':
		if *depth == maxNesting {
			return false, s.fail("Lists and objects are nested deeper than %d.", maxNesting)
		}
		s.at++
		if end := s.peek(); end == c+2 { // ] and } follow [ and { by two
			s.at++
			return false, nil
		}
		objects[*depth] = c == '{'
		*depth++
		return true, nil
	case '"':
		return false, s.skipString()
	case 't':
		return false, s.literal("true")
	case 'f':
		return false, s.literal("false")
	case 'n':
		return false, s.literal("null")
	}
	return false, s.skipNumber()
}

// next passes over what stands after a value in a list or object: a comma, or
// its end.
func (s *scanner) next(object bool, depth *int) (more bool, err error) {
	c := s.peek()
	switch {
	case c == ',':
		s.at++
		return true, nil
	case object && c == '}' || !object && c == ']':
		s.at++
		*depth--
		return false, nil
	case object:
		return false, s.fail("Missing a comma or } after an object member.")
	}
	return false, s.fail("Missing a comma or ] after an array element.")
}

// key passes over a field's name and colon and returns the name, quotes included.
func (s *scanner) key() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.fail("Missing a name for object member.")
	}
	begin := s.at
	if err := s.skipString(); err != nil {
		return nil, err
	}
	key := s.text[begin:s.at]
	if s.peek() != ':' {
		return nil, s.fail("Missing a colon after a name of object member.")
	}
	s.at++
	return key, nil
}

func (s *scanner) literal(word string) error {
	for i := range len(word) {
		if s.here() != word[i] {
			return s.fail("Invalid value.")
		}
		s.at++
	}
	return nil
}

// skipString checks a string from its opening quotation mark on.
func (s *scanner) skipString() error {
	for s.at++; s.at < len(s.text); s.at++ {
		if s.at += plain(s.text[s.at:]); s.at == len(s.text) {
			break
		}
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return nil
		case c == '\\':
			if err := s.skipEscape(); err != nil {
				return err
			}
		case c == 0:
			return s.fail("Missing a closing quotation mark in string.")
		case c < ' ':
			return s.fail("Invalid encoding in string.")
		}
	}
	return s.fail("Missing a closing quotation mark in string.")
}

// plain counts the bytes at the start of text, by eights, that stand for themselves
// in a string: encoded images are megabytes of them.
func plain(text []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	zero := func(x uint64) uint64 { return (x - ones) &^ x & highs } // not 0 where a byte is
	n := 0
	for ; n+8 <= len(text); n += 8 {
		x := binary.LittleEndian.Uint64(text[n:])
		below := (x - ones*' ') &^ x & highs
		if below|zero(x^ones*'"')|zero(x^ones*'\\') != 0 {
			break
		}
	}
	return n
}

// skipEscape checks an escape and stays on its last byte.
func (s *scanner) skipEscape() error {
	begin := s.at
	s.at++
	switch s.here() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
	default:
		return s.failAt(begin, "Invalid escape character in string.")
	}
	high, ok := hex4(s.text, s.at+1)
	if !ok {
		return s.failAt(begin, "Incorrect hex digit after \\u escape in string.")
	}
	s.at += 4
	if !utf16.IsSurrogate(high) {
		return nil
	}
	if s.at+6 >= len(s.text) || s.text[s.at+1] != '\\' || s.text[s.at+2] != 'u' {
		return s.failAt(begin, "The surrogate pair in string is invalid.")
	}
	low, ok := hex4(s.text, s.at+3)
	if !ok {
		return s.failAt(begin, "Incorrect hex digit after \\u escape in string.")
	}
	if utf16.DecodeRune(high, low) == utf8.RuneError {
		return s.failAt(begin, "The surrogate pair in string is invalid.")
	}
	s.at += 6
	return nil
}

func hex4(text []byte, at int) (rune, bool) {
	if at+4 > len(text) {
		return 0, false
	}
	x := rune(0)
	for _, c := range text[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		x = x<<4 | rune(c)
	}
	return x, true
}

// skipNumber checks a number, or one of the tokens that are none.
func (s *scanner) skipNumber() error {
	begin := s.at
	if s.here() == '-' {
		s.at++
	}
	switch c := s.here(); {
	case c == '0':
		s.at++
	case c >= '1' && c <= '9':
		s.digits()
	case c == 'N':
		return s.literal("NaN")
	case c == 'I':
		if err := s.literal("Inf"); err != nil || s.here() != 'i' {
			return err
		}
		return s.literal("inity")
	default:
		return s.fail("Invalid value.")
	}
	whole := s.at - begin
	if s.here() == '.' {
		s.at++
		if s.digits() == 0 {
			return s.fail("Miss fraction part in number.")
		}
	}
	exponent := s.here() | ' '
	if exponent == 'e' {
		s.at++
		if c := s.here(); c == '+' || c == '-' {
			s.at++
		}
		if s.digits() == 0 {
			return s.fail("Miss exponent in number.")
		}
	}
	if exponent != 'e' && whole < 300 {
		return nil // cannot be too big
	}
	if x, _ := strconv.ParseFloat(string(s.text[begin:s.at]), 64); math.IsInf(x, 0) {
		return s.failAt(begin, "Number too big to be stored in double.")
	}
	return nil
}

func (s *scanner) digits() int {
	begin := s.at
	for s.at < len(s.text) && s.text[s.at]-'0' <= 9 {
		s.at++
	}
	return s.at - begin
}

// unquote decodes a checked JSON string, quotes included.
func unquote(raw []byte) (string, error) {
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), nil
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		if i >= len(raw) {
			return "", fmt.Errorf("Invalid escape character in string.")
		}
		switch c := raw[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := hex4(raw, i+1)
			if !ok {
				return "", fmt.Errorf("Incorrect hex digit after \\u escape in string.")
			}
			i += 4
			if low, ok := hex4(raw, i+3); ok && utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, low)
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return string(out), nil
}
