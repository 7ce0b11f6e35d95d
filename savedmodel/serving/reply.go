package serving

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// reply writes outputs as TensorFlow Serving does: in row format a list of
// predictions, one an example, in column format one value an output. A single
// output loses its name.
func reply(outputs map[string]*tensorpb.TensorProto, rows bool) ([]byte, error) {
	if len(outputs) == 0 {
		return nil, invalid("Cannot convert empty tensor map to JSON")
	}
	list := make([]*output, 0, len(outputs))
	for _, name := range sortedKeys(outputs) {
		o, err := newOutput(name, outputs[name])
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	w := &writer{}
	w.begin(true)
	var err error
	if rows {
		err = writeRows(w, list)
	} else {
		err = writeColumns(w, list)
	}
	w.end()
	return w.out, err
}

func writeRows(w *writer, list []*output) error {
	n := int64(-1)
	for _, o := range list {
		switch {
		case len(o.dims) == 0:
			return invalid("Tensor name: %s has no shape information ", o.name)
		case n >= 0 && o.dims[0] != n:
			return invalid("Tensor name: %s has inconsistent batch size: %d expecting: %d", o.name, o.dims[0], n)
		}
		n = o.dims[0]
	}
	w.key("predictions")
	w.begin(false)
	for range n {
		if len(list) > 1 {
			w.begin(true)
		}
		w.inline = true
		for _, o := range list {
			if len(list) > 1 {
				w.key(o.name)
			}
			o.nested(w, o.dims[1:])
		}
		w.inline = false
		if len(list) > 1 {
			w.end()
		}
	}
	w.end()
	return nil
}

func writeColumns(w *writer, list []*output) error {
	w.key("outputs")
	if len(list) > 1 {
		w.begin(true)
		defer w.end()
	}
	for _, o := range list {
		if len(list) > 1 {
			w.key(o.name)
		}
		o.nested(w, o.dims)
	}
	return nil
}

// output is a tensor on its way into JSON.
type output struct {
	name  string
	dims  []int64
	write func(w *writer, i int64) // element i
	at    int64                    // the next element
}

// newOutput makes sure that a tensor holds the elements that its shape says, so
// that writing cannot fail.
func newOutput(name string, t *tensorpb.TensorProto) (*output, error) {
	o := &output{name: name, dims: tensorproto.Dims(t.GetTensorShape())}
	n := int64(1)
	for _, d := range o.dims {
		n *= d
	}
	if t.GetDtype() == typespb.DataType_DT_STRING {
		list, encode := t.GetStringVal(), strings.HasSuffix(name, "_bytes")
		if int64(len(list)) != n {
			return nil, fmt.Errorf("output %s has %d strings of shape %s", name, len(list), shapeText(o.dims))
		}
		o.write = func(w *writer, i int64) {
			if encode {
				w.bytes(list[i])
			} else {
				w.text(list[i])
			}
		}
		return o, nil
	}
	size := int64(tensorproto.Size(t.GetDtype()))
	if o.write = numberWriter(t); o.write == nil {
		return nil, invalid("Failed to write JSON value for tensor type: %s", tensorproto.Name(t.GetDtype()))
	}
	if len(t.GetTensorContent()) == 0 {
		raw, err := tensorproto.Numbers(t)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
		t.TensorContent = raw
	}
	if int64(len(t.GetTensorContent())) != n*size {
		return nil, fmt.Errorf("output %s has %d bytes of shape %s", name, len(t.GetTensorContent()), shapeText(o.dims))
	}
	return o, nil
}

// numberWriter writes element i of a tensor's content; nil for types that
// TensorFlow Serving does not write.
func numberWriter(t *tensorpb.TensorProto) func(w *writer, i int64) {
	le := binary.LittleEndian
	switch t.GetDtype() {
	case typespb.DataType_DT_FLOAT:
		return func(w *writer, i int64) {
			w.float(float64(math.Float32frombits(le.Uint32(t.TensorContent[4*i:]))), 32)
		}
	case typespb.DataType_DT_DOUBLE:
		return func(w *writer, i int64) { w.float(math.Float64frombits(le.Uint64(t.TensorContent[8*i:])), 64) }
	case typespb.DataType_DT_INT64:
		return func(w *writer, i int64) { w.integer(int64(le.Uint64(t.TensorContent[8*i:]))) }
	case typespb.DataType_DT_UINT64:
		return func(w *writer, i int64) { w.word(fmt.Sprint(le.Uint64(t.TensorContent[8*i:]))) }
	case typespb.DataType_DT_INT32:
		return func(w *writer, i int64) { w.integer(int64(int32(le.Uint32(t.TensorContent[4*i:])))) }
	case typespb.DataType_DT_UINT32:
		return func(w *writer, i int64) { w.integer(int64(le.Uint32(t.TensorContent[4*i:]))) }
	case typespb.DataType_DT_INT16:
		return func(w *writer, i int64) { w.integer(int64(int16(le.Uint16(t.TensorContent[2*i:])))) }
	case typespb.DataType_DT_INT8:
		return func(w *writer, i int64) { w.integer(int64(int8(t.TensorContent[i]))) }
	case typespb.DataType_DT_UINT8:
		return func(w *writer, i int64) { w.integer(int64(t.TensorContent[i])) }
	case typespb.DataType_DT_BOOL:
		return func(w *writer, i int64) { w.word([]string{"false", "true"}[min(t.TensorContent[i], 1)]) }
	}
	return nil
}

// nested writes lists of the given sizes; their depth is that of an output of
// the model, not of a request.
func (o *output) nested(w *writer, dims []int64) {
	if len(dims) == 0 {
		o.write(w, o.at)
		o.at++
		return
	}
	w.begin(false)
	for range dims[0] {
		o.nested(w, dims[1:])
	}
	w.end()
}

func classificationReply(r *servingpb.ClassificationResult) []byte {
	w := &writer{}
	w.begin(true)
	w.key("results")
	w.begin(false)
	for _, c := range r.GetClassifications() {
		w.inline = true
		w.begin(false)
		for _, class := range c.GetClasses() {
			w.begin(false)
			w.text([]byte(class.GetLabel()))
			w.float(float64(class.GetScore()), 32)
			w.end()
		}
		w.end()
		w.inline = false
	}
	w.end()
	w.end()
	return w.out
}

func regressionReply(r *servingpb.RegressionResult) []byte {
	w := &writer{inline: true}
	w.begin(true)
	w.key("results")
	w.begin(false)
	for _, x := range r.GetRegressions() {
		w.float(float64(x.GetValue()), 32)
	}
	w.end()
	w.end()
	return w.out
}
