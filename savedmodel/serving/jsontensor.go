package serving

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unsafe"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// shape is a tensor's sizes.
type shape struct {
	rank int
	dims [maxRank]int64
}

func (s shape) list() []int64 { return s.dims[:s.rank] }

// elements is right for shapes that were read: their elements were counted.
func (s shape) elements() int64 {
	n := int64(1)
	for _, d := range s.list() {
		n *= d
	}
	return n
}

func (s shape) String() string { return shapeText(s.list()) }

// shapeText writes sizes as TensorFlow Serving does.
func shapeText(dims []int64) string {
	parts := make([]string, len(dims))
	for i, d := range dims {
		parts[i] = strconv.FormatInt(d, 10)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// builder collects the elements of one input from checked JSON.
type builder struct {
	dtype   typespb.DataType
	content []byte   // of numbers, little-endian
	strings [][]byte // of DT_STRING
}

// proto is the tensor of all that was added.
func (b *builder) proto(dims []int64) *tensorpb.TensorProto {
	return &tensorpb.TensorProto{Dtype: b.dtype, TensorShape: tensorproto.Shape(dims), TensorContent: b.content, StringVal: b.strings}
}

// item adds one value, an element or lists of lists of one shape. The rank is
// bounded before anything is kept for it.
func (b *builder) item(c *scanner) (shape, error) {
	var s shape
	var counts [maxRank]int64 // elements so far in each open list
	depth, known := 0, false  // known: the rank, since an element was seen
	for {
		if c.peek() == '[' {
			switch {
			case known && depth >= s.rank:
				return s, fmt.Errorf("Encountered list at unexpected level: %d expected < %d", depth, s.rank)
			case depth == maxRank:
				return s, fmt.Errorf("Encountered a tensor of more than %d dimensions", maxRank)
			}
			c.at++
			counts[depth] = 0
			if depth++; c.peek() == ']' {
				return s, fmt.Errorf("Encountered an empty list at level: %d; tensors without elements are not served", depth-1)
			}
			continue
		}
		if !known {
			known, s.rank = true, depth
		} else if depth != s.rank {
			return s, fmt.Errorf("JSON Value: %s found at incorrect level: %d in the JSON DOM. Expected at level: %d", c.excerpt(), depth+1, s.rank)
		}
		if err := b.element(c); err != nil {
			return s, err
		}
		for open := false; !open; { // an element or a list has ended
			if depth == 0 {
				return s, nil
			}
			counts[depth-1]++
			if c.peek() == ',' {
				open = true
			} else {
				depth--
				if have := counts[depth]; s.dims[depth] == 0 {
					s.dims[depth] = have
				} else if s.dims[depth] != have {
					return s, fmt.Errorf("Encountered list at unexpected size: %d at level: %d expected size: %d", have, depth, s.dims[depth])
				}
			}
			c.at++ // the comma or the bracket
		}
	}
}

// element adds one number, truth value or string.
func (b *builder) element(c *scanner) error {
	if b.dtype == typespb.DataType_DT_FLOAT { // most tensors by far
		if x, ok := c.float32(); ok {
			b.content = binary.LittleEndian.AppendUint32(b.content, math.Float32bits(x))
			return nil
		}
		return b.typeError(c)
	}
	switch b.dtype {
	case typespb.DataType_DT_STRING:
		return b.text(c)
	case typespb.DataType_DT_DOUBLE:
		word, ok := c.number()
		if !ok {
			return b.typeError(c)
		}
		b.content = binary.LittleEndian.AppendUint64(b.content, math.Float64bits(parseFloat(word, 64)))
		return nil
	case typespb.DataType_DT_BOOL:
		switch c.peek() {
		case 't':
			b.content = append(b.content, 1)
		case 'f':
			b.content = append(b.content, 0)
		default:
			return b.typeError(c)
		}
		_ = c.scalar()
		return nil
	}
	return b.integer(c)
}

func (b *builder) integer(c *scanner) error {
	bits, signed := integerKind(b.dtype)
	if bits == 0 {
		return unimplemented("Conversion of JSON Value: %s to type: %s", c.excerpt(), tensorproto.Name(b.dtype))
	}
	at := c.at
	word, ok := c.number()
	if !ok {
		return b.typeError(c)
	}
	var x uint64
	var err error
	if signed {
		var i int64
		i, err = strconv.ParseInt(textOf(word), 10, bits)
		x = uint64(i)
	} else {
		x, err = strconv.ParseUint(textOf(word), 10, bits)
	}
	if err != nil { // a fraction, an exponent, or out of range
		c.at = at
		return b.typeError(c)
	}
	switch bits {
	case 8:
		b.content = append(b.content, byte(x))
	case 16:
		b.content = binary.LittleEndian.AppendUint16(b.content, uint16(x))
	case 32:
		b.content = binary.LittleEndian.AppendUint32(b.content, uint32(x))
	default:
		b.content = binary.LittleEndian.AppendUint64(b.content, x)
	}
	return nil
}

// integerKind is the size in bits of the integers that TensorFlow Serving reads
// from JSON, 0 for all else: no uint16, half or bfloat16.
func integerKind(dtype typespb.DataType) (bits int, signed bool) {
	switch dtype {
	case typespb.DataType_DT_INT8:
		return 8, true
	case typespb.DataType_DT_INT16:
		return 16, true
	case typespb.DataType_DT_INT32:
		return 32, true
	case typespb.DataType_DT_INT64:
		return 64, true
	case typespb.DataType_DT_UINT8:
		return 8, false
	case typespb.DataType_DT_UINT32:
		return 32, false
	case typespb.DataType_DT_UINT64:
		return 64, false
	}
	return 0, false
}

func (b *builder) text(c *scanner) error {
	switch c.peek() {
	case '"':
		s, err := unquote(c.scalar())
		b.strings = append(b.strings, []byte(s))
		return err
	case '{':
		s, ok := c.base64()
		if !ok {
			return fmt.Errorf("JSON Value: %s not formatted correctly for base64 data", c.excerpt())
		}
		raw, err := decodeBase64(s)
		b.strings = append(b.strings, raw)
		return err
	}
	return b.typeError(c)
}

func (b *builder) typeError(c *scanner) error {
	return fmt.Errorf("JSON Value: %s Type: %s is not of expected type: %s", c.excerpt(), c.typeName(), tensorproto.Name(b.dtype))
}

// The readers below take text that document has checked.

// scalar passes over a string, number or token and returns it.
func (s *scanner) scalar() []byte {
	var objects [maxNesting]bool
	depth := 0
	s.peek()
	begin := s.at
	_, _ = s.value(&objects, &depth)
	return s.text[begin:s.at]
}

// number passes over a number, or a token such as NaN, and returns it.
func (s *scanner) number() ([]byte, bool) {
	switch c := s.peek(); {
	case c == '-', c >= '0' && c <= '9', c == 'N', c == 'I':
		begin := s.at
		for s.at < len(s.text) && !isDelimiter(s.text[s.at]) {
			s.at++
		}
		return s.text[begin:s.at], true
	}
	return nil, false
}

func isDelimiter(c byte) bool { return c == ',' || c == ']' || c == '}' || c <= ' ' }

// float32 passes over a number and rounds it once. Numbers of at most 19
// significant digits without an exponent are read here, for they make up most of
// a body; strconv has the rest.
func (s *scanner) float32() (float32, bool) {
	c := s.peek()
	begin, at := s.at, s.at
	if c == '-' {
		at++
	}
	first := at
	mantissa, digits, scale, dot := uint64(0), 0, 0, 0
	for ; at < len(s.text); at++ {
		if d := s.text[at] - '0'; d <= 9 {
			mantissa = mantissa*10 + uint64(d)
			if mantissa != 0 {
				digits++
			}
			scale += dot
		} else if s.text[at] == '.' {
			dot = 1
		} else {
			break
		}
	}
	if at > first && digits <= 19 && scale < len(powersOfTen) && (at == len(s.text) || isDelimiter(s.text[at])) {
		// The quotient is off by two units in its last place at most. If it is
		// further than that from the middle between two float32, it rounds as the
		// number itself does.
		x := float64(mantissa) / powersOfTen[scale]
		if middle := int64(math.Float64bits(x)&(1<<29-1)) - 1<<28; middle > 4 || middle < -4 {
			s.at = at
			if c == '-' {
				x = -x
			}
			return float32(x), true
		}
	}
	word, ok := s.number()
	if !ok {
		s.at = begin
		return 0, false
	}
	return float32(parseFloat(word, 32)), true
}

// powersOfTen are those that float64 holds exactly.
var powersOfTen = [...]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// parseFloat reads a checked number; what is too large for its size is infinite.
func parseFloat(word []byte, bits int) float64 {
	x, err := strconv.ParseFloat(textOf(word), bits)
	if err != nil && x == 0 {
		return math.NaN() // "-NaN", which strconv does not know
	}
	return x
}

// textOf is word without a copy, for readers that do not keep it.
func textOf(word []byte) string { return unsafe.String(unsafe.SliceData(word), len(word)) }

// base64 passes over an object whose only field is a string "b64", and returns
// that string's text. Otherwise it does not move.
func (s *scanner) base64() ([]byte, bool) {
	o := &scanner{text: s.text, at: s.at}
	if o.peek() != '{' {
		return nil, false
	}
	o.at++
	if o.peek() != '"' {
		return nil, false
	}
	if key, err := o.key(); err != nil || string(key) != `"b64"` || o.peek() != '"' {
		return nil, false
	}
	value := o.scalar()
	if o.peek() != '}' {
		return nil, false
	}
	s.at = o.at + 1
	return value, true
}

// decodeBase64 decodes a JSON string, quotes included, with or without padding.
func decodeBase64(quoted []byte) ([]byte, error) {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		s, err := unquote(quoted)
		if err != nil {
			return nil, err
		}
		inner = []byte(s)
	}
	inner = bytes.TrimRight(inner, "=")
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(inner)))
	n, err := base64.RawStdEncoding.Decode(raw, inner)
	if err != nil {
		return nil, fmt.Errorf("Unable to base64 decode")
	}
	return raw[:n], nil
}
