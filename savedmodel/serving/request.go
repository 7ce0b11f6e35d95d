package serving

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// request is the body of a POST: checked JSON, its values still text.
type request struct {
	root      []byte
	fields    []member
	signature string // signature_name; empty for the default one
}

// parseRequest checks a body's syntax, all of it, and reads the signature's name.
func parseRequest(body []byte) (request, error) {
	var r request
	if len(body) == 0 {
		return r, fmt.Errorf("JSON Parse error: The document is empty")
	}
	var err error
	if r.root, r.fields, err = (&scanner{text: body}).document(); err != nil {
		return r, err
	}
	if r.root[0] != '{' {
		return r, r.malformed("Is not object")
	}
	if name, ok := r.field("signature_name"); ok {
		if name[0] != '"' {
			return r, r.malformed("not formatted correctly. 'signature_name' key must be a string value.")
		}
		r.signature, err = unquote(name)
	}
	return r, err
}

// malformed is an error about the whole document.
func (r request) malformed(format string, args ...any) error {
	return fmt.Errorf("JSON Value: %s %s", (&scanner{text: r.root}).excerpt(), fmt.Sprintf(format, args...))
}

// field finds the first field of a name.
func (r request) field(key string) ([]byte, bool) {
	for _, m := range r.fields {
		if m.key == key {
			return m.value, true
		}
	}
	return nil, false
}

// values are the inputs of a :predict body, in row format ("instances") or in
// column format ("inputs").
func (r request) values() (text []byte, rows bool, err error) {
	instances, rows := r.field("instances")
	inputs, columns := r.field("inputs")
	switch {
	case rows && columns:
		return nil, false, r.malformed("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ")
	case rows && instances[0] != '[':
		return nil, false, r.malformed("Expecting 'instances' to be an list/array")
	case rows && isEmptyList(instances):
		return nil, false, r.malformed("No values in 'instances' array")
	case rows:
		return instances, true, nil
	case columns:
		return inputs, false, nil
	}
	return nil, false, fmt.Errorf("Missing 'inputs' or 'instances' key")
}

func isEmptyList(text []byte) bool { return (&scanner{text: text, at: 1}).peek() == ']' }

// tensors turns a :predict body into the inputs of a signature. Types are the
// signature's; shapes are those that the text has.
func (r request) tensors(sig *corepb.SignatureDef, l *lease) (inputs map[string]*tensorpb.TensorProto, rows bool, err error) {
	text, rows, err := r.values()
	if err != nil {
		return nil, false, err
	}
	in := inputReader{sig: sig.GetInputs(), builders: map[string]*builder{}, shapes: map[string]shape{}}
	for name, info := range in.sig {
		b := &builder{dtype: info.GetDtype()}
		if size := tensorproto.Size(b.dtype); size > 0 {
			// No more elements than the text has commas, and one.
			need := (bytes.Count(text, []byte{','}) + 1) * size
			if err := l.take(int64(need)); err != nil {
				return nil, false, err
			}
			if len(in.sig) == 1 {
				b.content = make([]byte, 0, need)
			}
		}
		in.builders[name] = b
	}
	if rows {
		inputs, err = in.rows(text)
	} else {
		inputs, err = in.columns(text)
	}
	return inputs, rows, err
}

// inputReader reads the inputs of one request.
type inputReader struct {
	sig      map[string]*corepb.TensorInfo
	builders map[string]*builder
	shapes   map[string]shape // of one instance
}

// only is the single input's name.
func (in inputReader) only() string {
	for name := range in.sig {
		return name
	}
	return ""
}

// columns reads an object of inputs, or the only input's value.
func (in inputReader) columns(text []byte) (map[string]*tensorpb.TensorProto, error) {
	c := &scanner{text: text}
	out := map[string]*tensorpb.TensorProto{}
	if !c.isObject() {
		if len(in.sig) > 1 {
			return nil, fmt.Errorf("inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map")
		}
		b := in.builders[in.only()]
		s, err := b.item(c)
		out[in.only()] = b.proto(s.list())
		return out, err
	}
	_, fields, err := c.document()
	if err != nil {
		return nil, err
	}
	for _, m := range fields {
		if out[m.key] != nil {
			return nil, fmt.Errorf("The input: %s stands twice in the 'inputs' object.", clip(m.key))
		}
		b, ok := in.builders[m.key]
		if !ok {
			continue // as TensorFlow Serving does
		}
		s, err := b.item(&scanner{text: m.value})
		if err != nil {
			return nil, err
		}
		out[m.key] = b.proto(s.list())
	}
	for _, name := range slices.Sorted(maps.Keys(in.sig)) {
		if out[name] == nil {
			return nil, fmt.Errorf("Missing named input: %s in 'inputs' object.", name)
		}
	}
	return out, nil
}

func (in inputReader) names() string {
	return strings.Join(slices.Sorted(maps.Keys(in.sig)), ",")
}

// rows reads a list with one entry an example: a value, or an object of them.
func (in inputReader) rows(text []byte) (map[string]*tensorpb.TensorProto, error) {
	c := &scanner{text: text, at: 1}
	named := c.isObject()
	if !named && len(in.sig) > 1 {
		return nil, fmt.Errorf("instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map")
	}
	n := int64(0)
	for ; ; n++ {
		switch object := c.isObject(); {
		case named && !object:
			return nil, fmt.Errorf("Expecting object but got list at item %d of input list", n)
		case !named && object:
			return nil, fmt.Errorf("Expecting value/list but got object at item %d of input list", n)
		case named:
			if err := in.row(c, n); err != nil {
				return nil, err
			}
		default:
			if err := in.item(c, in.only()); err != nil {
				return nil, asInvalid(err, fmt.Sprintf("Failed to process element: %d of 'instances' list. Error: INVALID_ARGUMENT: ", n))
			}
		}
		end := c.peek() == ']'
		c.at++ // the comma or the bracket
		if end {
			break
		}
	}
	out := map[string]*tensorpb.TensorProto{}
	for name, b := range in.builders {
		out[name] = b.proto(append([]int64{n + 1}, in.shapes[name].list()...))
	}
	return out, nil
}

// row reads an object of inputs, the n-th.
func (in inputReader) row(c *scanner, n int64) error {
	text, fields, err := c.document()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, m := range fields {
		err := error(nil)
		switch {
		case in.sig[m.key] == nil:
			err = fmt.Errorf("JSON object: does not have named input: %s", clip(m.key))
		case seen[m.key]:
			err = fmt.Errorf("JSON object: has the named input: %s twice", clip(m.key))
		default:
			err = in.item(&scanner{text: m.value}, m.key)
		}
		if err != nil {
			return asInvalid(err, fmt.Sprintf("Failed to process element: %d key: %s of 'instances' list. Error: INVALID_ARGUMENT: ", n, clip(m.key)))
		}
		seen[m.key] = true
	}
	if len(seen) != len(in.sig) {
		return fmt.Errorf("Failed to process element: %d of 'instances' list. JSON object: %s keys must be equal to: %s",
			n, (&scanner{text: text}).excerpt(), in.names())
	}
	return nil
}

// item adds one example to an input; all examples have one shape.
func (in inputReader) item(c *scanner, name string) error {
	s, err := in.builders[name].item(c)
	if err != nil {
		return err
	}
	first, ok := in.shapes[name]
	switch {
	case !ok:
		if s.rank == maxRank {
			return fmt.Errorf("Encountered a tensor of more than %d dimensions", maxRank)
		}
		in.shapes[name] = s
	case first.elements() != s.elements():
		return fmt.Errorf("Expecting tensor size: %d but got: %d", first.elements(), s.elements())
	case first != s:
		return fmt.Errorf("Expecting shape %s but got: %s", first, s)
	}
	return nil
}

// isObject reports whether the value at the cursor is an object, and not one
// that stands for bytes.
func (s *scanner) isObject() bool {
	if s.peek() != '{' {
		return false
	}
	_, bytes := (&scanner{text: s.text, at: s.at}).base64()
	return !bytes
}

// clip shortens a name for a message.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
