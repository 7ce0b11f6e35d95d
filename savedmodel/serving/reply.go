package serving

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
)

// reply writes outputs as TensorFlow Serving does: in row format a list of
// predictions, one an example, in column format one value an output. A single
// output loses its name.
func reply(outputs map[string]*tensorpb.TensorProto, rows bool) ([]byte, error) {
	names := make([]string, 0, len(outputs))
	for name := range outputs {
		names = append(names, name)
	}
	sort.Strings(names)
	if !rows {
		b := []byte(`{"outputs": `)
		b, err := objectOf(b, outputs, names, nil)
		return append(b, '}', '\n'), err
	}
	n := int64(-1)
	for _, name := range names {
		dims := outputs[name].GetTensorShape().GetDim()
		if len(dims) == 0 || n >= 0 && dims[0].GetSize() != n {
			return nil, fmt.Errorf("output %q has no batch dimension like the others; use the column format ('inputs')", name)
		}
		n = dims[0].GetSize()
	}
	b := []byte(`{"predictions": [`)
	for i := range n {
		if i > 0 {
			b = append(b, ", "...)
		}
		var err error
		if b, err = objectOf(b, outputs, names, &i); err != nil {
			return nil, err
		}
	}
	return append(b, "]}\n"...), nil
}

// objectOf writes all outputs, or row i of each.
func objectOf(b []byte, outputs map[string]*tensorpb.TensorProto, names []string, row *int64) ([]byte, error) {
	single := len(names) == 1
	if !single {
		b = append(b, '{')
	}
	for k, name := range names {
		if k > 0 {
			b = append(b, ", "...)
		}
		if !single {
			key, err := json.Marshal(name)
			if err != nil {
				return nil, err
			}
			b = append(append(b, key...), ": "...)
		}
		var err error
		if b, err = value(b, outputs[name], strings.HasSuffix(name, "_bytes"), row); err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
	}
	if !single {
		b = append(b, '}')
	}
	return b, nil
}

// value writes a tensor, or one row of it, as nested lists.
func value(b []byte, t *tensorpb.TensorProto, encode bool, row *int64) ([]byte, error) {
	var dims []int64
	n := int64(1)
	for _, d := range t.GetTensorShape().GetDim() {
		dims = append(dims, d.GetSize())
		n *= d.GetSize()
	}
	if have := int64(len(t.GetFloatVal()) + len(t.GetInt64Val()) + len(t.GetStringVal())); have != n {
		return nil, fmt.Errorf("%d elements of shape %v", have, dims)
	}
	first := int64(0)
	if row != nil {
		dims = dims[1:]
		size := int64(1)
		for _, d := range dims {
			size *= d
		}
		first = *row * size
	}
	w := writer{b, t, encode, first}
	err := w.nested(dims)
	return w.out, err
}

type writer struct {
	out    []byte
	t      *tensorpb.TensorProto
	encode bool
	at     int64
}

// nested writes lists of the given sizes; their depth is that of an output of
// our own model, not of a request.
func (w *writer) nested(dims []int64) error {
	if len(dims) == 0 {
		err := w.element(w.at)
		w.at++
		return err
	}
	w.out = append(w.out, '[')
	for i := range dims[0] {
		if i > 0 {
			w.out = append(w.out, ", "...)
		}
		if err := w.nested(dims[1:]); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return nil
}

func (w *writer) element(i int64) error {
	switch w.t.GetDtype() {
	case typespb.DataType_DT_FLOAT:
		w.out = appendFloat(w.out, w.t.GetFloatVal()[i])
	case typespb.DataType_DT_INT64:
		w.out = strconv.AppendInt(w.out, w.t.GetInt64Val()[i], 10)
	case typespb.DataType_DT_STRING:
		s := w.t.GetStringVal()[i]
		var v any = string(s)
		if w.encode {
			v = map[string]string{"b64": base64.StdEncoding.EncodeToString(s)}
		}
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		w.out = append(w.out, text...)
	default:
		return fmt.Errorf("type %v cannot be written", w.t.GetDtype())
	}
	return nil
}

// appendFloat writes the shortest decimal that reads back to x, always with a
// point or an exponent, and NaN and infinities as bare tokens.
func appendFloat(b []byte, x float32) []byte {
	f := float64(x)
	switch {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	}
	begin := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, 32)
	for _, c := range b[begin:] {
		if c == '.' || c == 'e' {
			return b
		}
	}
	return append(b, ".0"...)
}
