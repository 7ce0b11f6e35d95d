package serving

import (
	"encoding/base64"
	"math"
	"strconv"
)

// writer writes JSON as TensorFlow Serving lays it out: rapidjson's pretty form
// with four spaces a level, and lists in one line where inline is set.
type writer struct {
	out    []byte
	inline bool
	open   []level
}

type level struct {
	object bool
	count  int // of the values so far, keys included
}

// before writes what stands between the last value and the next one.
func (w *writer) before() {
	if len(w.open) == 0 {
		return
	}
	l := &w.open[len(w.open)-1]
	l.count++
	if l.object {
		switch {
		case l.count%2 == 0: // a value follows its key
			w.out = append(w.out, ": "...)
			return
		case l.count > 1:
			w.out = append(w.out, ',')
		}
		w.indent()
		return
	}
	if l.count > 1 {
		w.out = append(w.out, ',')
		if w.inline {
			w.out = append(w.out, ' ')
		}
	}
	if !w.inline {
		w.indent()
	}
}

func (w *writer) indent() {
	w.out = append(w.out, '\n')
	for range w.open {
		w.out = append(w.out, "    "...)
	}
}

func (w *writer) begin(object bool) {
	w.before()
	w.open = append(w.open, level{object: object})
	if object {
		w.out = append(w.out, '{')
	} else {
		w.out = append(w.out, '[')
	}
}

func (w *writer) end() {
	l := w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
	if l.count > 0 && (l.object || !w.inline) {
		w.indent()
	}
	if l.object {
		w.out = append(w.out, '}')
	} else {
		w.out = append(w.out, ']')
	}
}

// word writes a number or a bare token.
func (w *writer) word(text string) {
	w.before()
	w.out = append(w.out, text...)
}

func (w *writer) integer(x int64) {
	w.before()
	w.out = strconv.AppendInt(w.out, x, 10)
}

func (w *writer) float(x float64, bits int) {
	w.before()
	w.out = appendFloat(w.out, x, bits)
}

// key writes a field's name; its value comes next.
func (w *writer) key(name string) { w.text([]byte(name)) }

// bytes writes {"b64": "…"}.
func (w *writer) bytes(b []byte) {
	w.begin(true)
	w.key("b64")
	w.before()
	w.out = append(w.out, '"')
	w.out = base64.StdEncoding.AppendEncode(w.out, b)
	w.out = append(w.out, '"')
	w.end()
}

func (w *writer) text(s []byte) {
	w.before()
	w.out = appendQuoted(w.out, s)
}

// appendQuoted quotes as rapidjson does: bytes beyond ASCII stay as they are.
func appendQuoted(out, s []byte) []byte {
	const hex = "0123456789ABCDEF"
	out = append(out, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c >= ' ':
			out = append(out, c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\r':
			out = append(out, '\\', 'r')
		case c == '\t':
			out = append(out, '\\', 't')
		case c == '\b':
			out = append(out, '\\', 'b')
		case c == '\f':
			out = append(out, '\\', 'f')
		default:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(out, '"')
}

// appendFloat writes a number as TensorFlow Serving does: six significant digits
// if they read back to x, else as many as always do; with a point or an
// exponent; NaN and infinities as bare tokens. bits is 32 or 64.
func appendFloat(b []byte, x float64, bits int) []byte {
	switch {
	case math.IsNaN(x):
		return append(b, "NaN"...)
	case math.IsInf(x, 1):
		return append(b, "Infinity"...)
	case math.IsInf(x, -1):
		return append(b, "-Infinity"...)
	}
	begin := len(b)
	b = strconv.AppendFloat(b, x, 'g', 6, bits)
	if y, err := strconv.ParseFloat(textOf(b[begin:]), bits); err != nil || y != x {
		digits := 17
		if bits == 32 {
			digits = 9
		}
		b = strconv.AppendFloat(b[:begin], x, 'g', digits, bits)
	}
	for _, c := range b[begin:] {
		if c == '.' || c == 'e' {
			return b
		}
	}
	return append(b, ".0"...)
}
