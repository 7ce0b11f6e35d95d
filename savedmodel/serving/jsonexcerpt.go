package serving

import (
	"math"
	"strconv"
	"strings"
)

// excerptBytes is where a value that a message quotes is cut off.
const excerptBytes = 256

// excerpt is the value at the cursor as TensorFlow Serving quotes it in its
// messages. The cursor stays.
func (s *scanner) excerpt() string {
	c := &scanner{text: s.text, at: s.at}
	w := &writer{inline: true}
	var objects [maxNesting]bool
	depth := 0
	for len(w.out) < excerptBytes {
		first := c.peek()
		opened, err := c.quote(w, &objects, &depth)
		if err != nil {
			break
		}
		if opened {
			w.begin(first == '{')
		}
		for more := opened; !more; {
			if depth == 0 || len(w.out) >= excerptBytes {
				return string(w.out)
			}
			if more, err = c.next(objects[depth-1], &depth); err != nil {
				return string(w.out)
			}
			if !more {
				w.end()
			}
		}
		if objects[depth-1] {
			key, err := c.key()
			if err != nil {
				break
			}
			w.quoted(key)
		}
	}
	return string(w.out)
}

// quote writes a value that is none with elements, or opens it.
func (s *scanner) quote(w *writer, objects *[maxNesting]bool, depth *int) (opened bool, err error) {
	begin := s.at
	if opened, err = s.value(objects, depth); opened || err != nil {
		return opened, err
	}
	switch word := s.text[begin:s.at]; word[0] {
	case '{', '[':
		w.begin(word[0] == '{')
		w.end()
	case '"':
		w.quoted(word)
	case 't', 'f', 'n':
		w.word(string(word))
	default:
		w.word(plainNumber(word))
	}
	return false, nil
}

// quoted writes a checked JSON string again.
func (w *writer) quoted(raw []byte) {
	if s, err := unquote(raw); err == nil {
		w.text([]byte(s))
	}
}

// plainNumber writes a number as rapidjson does: integers as they are, others
// in the fewest digits that read back, without an exponent from 1e-6 to 1e21.
func plainNumber(word []byte) string {
	text := string(word)
	if !strings.ContainsAny(text, ".eENI") {
		return text
	}
	x := parseFloat(word, 64)
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return text
	}
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e21) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'e', -1, 64), "e")
		sign := strings.TrimPrefix(exponent[:1], "+")
		return mantissa + "e" + sign + strings.TrimLeft(exponent[1:], "0")
	}
	text = strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// typeName is the kind of the value at the cursor as messages call it.
func (s *scanner) typeName() string {
	switch s.peek() {
	case '{':
		return "Object"
	case '[':
		return "Array"
	case '"':
		return "String"
	case 't':
		return "True"
	case 'f':
		return "False"
	case 'n':
		return "Null"
	}
	return "Number"
}
