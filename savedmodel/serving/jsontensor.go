package serving

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// Limits of what a request may hold.
const (
	maxRank    = 8  // of a tensor written as nested lists
	maxNesting = 16 // of anything else
)

// parser reads JSON without recursion, from start to end, with TensorFlow
// Serving's additions: the bare tokens NaN, Infinity and -Infinity.
type parser struct {
	text []byte
	at   int
}

func (p *parser) fail(format string, args ...any) error {
	return fmt.Errorf("JSON Parse error: %s at offset: %d", fmt.Sprintf(format, args...), p.at)
}

// peek returns the next byte that is not white space, 0 at the end.
func (p *parser) peek() byte {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return c
		}
	}
	return 0
}

func (p *parser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.at++
	return true
}

func (p *parser) want(c byte) error {
	if !p.take(c) {
		return p.fail("Missing a '%c'", c)
	}
	return nil
}

// fields calls f with each key of an object; f must read the value.
func (p *parser) fields(f func(key string) error) error {
	if err := p.want('{'); err != nil {
		return err
	}
	if p.take('}') {
		return nil
	}
	for {
		key, err := p.str()
		if err != nil {
			return err
		}
		if err := p.want(':'); err != nil {
			return err
		}
		if err := f(key); err != nil {
			return err
		}
		if p.take('}') {
			return nil
		}
		if err := p.want(','); err != nil {
			return err
		}
	}
}

// span skips one value and returns its text.
func (p *parser) span(limit int) ([]byte, error) {
	p.peek()
	begin, depth := p.at, 0
	for {
		switch c := p.peek(); c {
		case 0:
			return nil, p.fail("The document ends too early")
		case '{', '[':
			if depth++; depth > limit {
				return nil, p.fail("Nesting deeper than %d", limit)
			}
			p.at++
		case '}', ']':
			depth--
			p.at++
		case '"':
			if err := p.skipString(); err != nil {
				return nil, err
			}
		case ',', ':':
			p.at++
			continue
		default:
			p.word()
		}
		if depth < 0 {
			return nil, p.fail("Invalid value")
		}
		if depth == 0 {
			return p.text[begin:p.at], nil
		}
	}
}

// word reads up to the next delimiter: a number or a bare token.
func (p *parser) word() []byte {
	p.peek()
	begin := p.at
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n', ',', ']', '}', ':', '"', '[', '{':
			if p.at == begin {
				p.at++ // a stray delimiter is a word of its own
			}
			return p.text[begin:p.at]
		}
		p.at++
	}
	return p.text[begin:p.at]
}

func (p *parser) skipString() error {
	for p.at++; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\\':
			p.at++
		case '"':
			p.at++
			return nil
		}
	}
	return p.fail("Missing a closing quotation mark in string")
}

func (p *parser) str() (string, error) {
	if p.peek() != '"' {
		return "", p.fail("Missing a string")
	}
	begin := p.at
	if err := p.skipString(); err != nil {
		return "", err
	}
	s, err := unquote(p.text[begin:p.at])
	if err != nil {
		return "", p.fail("%v", err)
	}
	return s, nil
}

// unquote decodes a JSON string, quotes included.
func unquote(raw []byte) (string, error) {
	raw = raw[1 : len(raw)-1]
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		if i >= len(raw) {
			return "", fmt.Errorf("Invalid escape character in string")
		}
		switch raw[i] {
		case '"', '\\', '/':
			out = append(out, raw[i])
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
			if i+4 >= len(raw) {
				return "", fmt.Errorf("Incorrect hex digit after \\u escape in string")
			}
			r, err := strconv.ParseUint(string(raw[i+1:i+5]), 16, 32)
			if err != nil {
				return "", fmt.Errorf("Incorrect hex digit after \\u escape in string")
			}
			out = utf8.AppendRune(out, rune(r))
			i += 4
		default:
			return "", fmt.Errorf("Invalid escape character in string")
		}
	}
	return string(out), nil
}

// tensor is what nested lists hold.
type tensor struct {
	shape   []int64
	floats  []float32
	strings [][]byte
}

// tensorOf reads nested lists of numbers (or of strings and {"b64": …} objects)
// of one shape. The rank is bounded before anything is allocated for it.
func tensorOf(text []byte, strings bool) (tensor, error) {
	p := &parser{text: text}
	var t tensor
	var counts [maxRank]int64 // elements so far in each open list
	depth := 0
	known := -1 // rank, once an element was seen
	for {
		if p.take('[') {
			if depth == maxRank {
				return t, p.fail("a tensor of more than %d dimensions", maxRank)
			}
			if known >= 0 && depth >= known {
				return t, fmt.Errorf("Encountered list at unexpected size or level")
			}
			counts[depth] = 0
			depth++
			if p.peek() == ']' {
				return t, fmt.Errorf("an empty list stands in a tensor")
			}
			continue
		}
		if known < 0 {
			known = depth
			t.shape = make([]int64, depth)
			for i := range t.shape {
				t.shape[i] = -1
			}
		} else if depth != known {
			return t, fmt.Errorf("Encountered list at unexpected size or level")
		}
		if err := t.element(p, strings); err != nil {
			return t, err
		}
		for { // close lists
			if depth == 0 {
				if p.peek() != 0 {
					return t, p.fail("more than one value")
				}
				return t, nil
			}
			counts[depth-1]++
			if p.take(',') {
				break
			}
			if err := p.want(']'); err != nil {
				return t, err
			}
			depth--
			if t.shape[depth] < 0 {
				t.shape[depth] = counts[depth]
			} else if t.shape[depth] != counts[depth] {
				return t, fmt.Errorf("Encountered list at unexpected size: %d at level %d expecting %d", counts[depth], depth, t.shape[depth])
			}
		}
	}
}

func (t *tensor) element(p *parser, strings bool) error {
	if strings {
		s, err := stringElement(p)
		t.strings = append(t.strings, s)
		return err
	}
	word := string(p.word())
	switch word {
	case "NaN":
		t.floats = append(t.floats, float32(math.NaN()))
		return nil
	case "Infinity":
		t.floats = append(t.floats, float32(math.Inf(1)))
		return nil
	case "-Infinity":
		t.floats = append(t.floats, float32(math.Inf(-1)))
		return nil
	}
	if word == "" || word[0] != '-' && (word[0] < '0' || word[0] > '9') {
		return p.fail("%q is not a number", clip(word))
	}
	x, err := strconv.ParseFloat(word, 32)
	if err != nil {
		return p.fail("%q is not a float32", clip(word))
	}
	t.floats = append(t.floats, float32(x))
	return nil
}

func clip(s string) string {
	if len(s) > 32 {
		return s[:32] + "…"
	}
	return s
}

// stringElement is a string, or {"b64": "…"} for bytes.
func stringElement(p *parser) ([]byte, error) {
	if p.peek() == '"' {
		s, err := p.str()
		return []byte(s), err
	}
	var out []byte
	found := false
	err := p.fields(func(key string) error {
		if key != "b64" || found {
			return fmt.Errorf("want a string or {\"b64\": …}, found the key %q", clip(key))
		}
		found = true
		s, err := p.str()
		if err != nil {
			return err
		}
		out, err = base64.StdEncoding.DecodeString(s)
		if err != nil {
			return fmt.Errorf("Unable to base64 decode value: %w", err)
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("want a string or {\"b64\": …}")
	}
	return out, err
}
