package serving

import (
	"fmt"
	"strings"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"

	"github.com/nasnet-go/nasnet/internal/imagegate"
)

// predictRequest is the body of a :predict call, tensors still as text.
type predictRequest struct {
	signature string
	instances []byte // row format
	inputs    []byte // column format
}

func parsePredict(body []byte) (predictRequest, error) {
	var r predictRequest
	p := &parser{text: body}
	if p.peek() != '{' {
		return r, fmt.Errorf("JSON Value: Type: is not object")
	}
	err := p.fields(func(key string) error {
		var err error
		switch key {
		case "signature_name":
			r.signature, err = p.str()
		case "instances":
			r.instances, err = p.span(maxRank + maxNesting)
		case "inputs":
			r.inputs, err = p.span(maxRank + maxNesting)
		default:
			_, err = p.span(maxNesting)
		}
		return err
	})
	switch {
	case err != nil:
		return r, err
	case p.peek() != 0:
		return r, p.fail("The document root must not be followed by other values")
	case r.instances == nil && r.inputs == nil:
		return r, fmt.Errorf("Missing 'inputs' or 'instances' key")
	case r.instances != nil && r.inputs != nil:
		return r, fmt.Errorf("Not formatted correctly: both 'inputs' and 'instances' are given")
	}
	return r, nil
}

// tensors turns the body into the signature's inputs, checked against it.
func (r predictRequest) tensors(sig *corepb.SignatureDef, maxPixels int64) (map[string]*tensorpb.TensorProto, error) {
	var texts map[string][]byte
	var err error
	if r.instances != nil {
		texts, err = columns(r.instances, sig)
	} else {
		texts, err = named(r.inputs, sig)
	}
	if err != nil {
		return nil, err
	}
	out := map[string]*tensorpb.TensorProto{}
	for name, info := range sig.GetInputs() {
		text, ok := texts[name]
		if !ok {
			return nil, fmt.Errorf("the input %q of the signature is missing", name)
		}
		if out[name], err = toProto(name, text, info, maxPixels); err != nil {
			return nil, err
		}
	}
	for name := range texts {
		if _, ok := sig.GetInputs()[name]; !ok {
			return nil, fmt.Errorf("the signature has no input %q", clip(name))
		}
	}
	return out, nil
}

// named reads the column format: an object of inputs, or the only input's value.
func named(text []byte, sig *corepb.SignatureDef) (map[string][]byte, error) {
	p := &parser{text: text}
	if p.peek() == '{' && !isBytes(text) {
		out := map[string][]byte{}
		return out, p.fields(func(key string) error {
			v, err := p.span(maxRank + 2)
			out[key] = v
			return err
		})
	}
	name, err := only(sig)
	return map[string][]byte{name: text}, err
}

func isBytes(text []byte) bool {
	p := &parser{text: text}
	p.at = 0
	if !p.take('{') {
		return false
	}
	key, err := p.str()
	return err == nil && key == "b64"
}

func only(sig *corepb.SignatureDef) (string, error) {
	for name := range sig.GetInputs() {
		if len(sig.GetInputs()) == 1 {
			return name, nil
		}
	}
	return "", fmt.Errorf("the signature has %d inputs: each value must be an object that names them", len(sig.GetInputs()))
}

// columns turns the row format, a list with one entry an example, into one text
// an input. With a single input the list is that input's tensor already.
func columns(text []byte, sig *corepb.SignatureDef) (map[string][]byte, error) {
	p := &parser{text: text}
	if !p.take('[') {
		return nil, fmt.Errorf("'instances' must be a list")
	}
	if p.peek() == ']' {
		return nil, fmt.Errorf("'instances' is an empty list")
	}
	if p.peek() != '{' || isBytes(text[p.at:]) {
		name, err := only(sig)
		return map[string][]byte{name: text}, err
	}
	lists := map[string]*strings.Builder{}
	for row := 0; ; row++ {
		seen := 0
		err := p.fields(func(key string) error {
			v, err := p.span(maxRank + 2)
			if err != nil {
				return err
			}
			b, ok := lists[key]
			if !ok {
				if row > 0 {
					return fmt.Errorf("instance %d names the input %q, earlier ones do not", row, clip(key))
				}
				b = &strings.Builder{}
				b.WriteByte('[')
				lists[key] = b
			} else if row > 0 {
				b.WriteByte(',')
			}
			seen++
			b.Write(v)
			return nil
		})
		if err == nil && seen != len(lists) {
			err = fmt.Errorf("instance %d does not have the inputs of the first one", row)
		}
		if err != nil {
			return nil, err
		}
		if p.take(']') {
			break
		}
		if err := p.want(','); err != nil {
			return nil, err
		}
	}
	out := map[string][]byte{}
	for name, b := range lists {
		out[name] = []byte(b.String() + "]")
	}
	return out, nil
}

// toProto parses one input and holds it against the signature's type and shape.
func toProto(name string, text []byte, info *corepb.TensorInfo, maxPixels int64) (*tensorpb.TensorProto, error) {
	switch info.GetDtype() {
	case typespb.DataType_DT_STRING, typespb.DataType_DT_FLOAT, typespb.DataType_DT_UINT8:
	default:
		return nil, fmt.Errorf("input %q: tensors of type %v are not served", name, info.GetDtype())
	}
	t, err := tensorOf(text, info.GetDtype() == typespb.DataType_DT_STRING)
	if err != nil {
		return nil, fmt.Errorf("input %q: %w", name, err)
	}
	dims := info.GetTensorShape().GetDim()
	fits := info.GetTensorShape().GetUnknownRank() || len(dims) == len(t.shape)
	for i, d := range dims {
		fits = fits && (d.GetSize() < 0 || d.GetSize() == t.shape[i])
	}
	if !fits {
		return nil, fmt.Errorf("input %q: shape %v; the signature wants %s", name, t.shape, shapeText(info.GetTensorShape()))
	}
	for i, s := range t.strings {
		if !strings.HasSuffix(name, "_bytes") {
			break
		}
		if _, err := imagegate.Inspect(s, maxPixels); err != nil {
			return nil, fmt.Errorf("input %q, image %d: %w", name, i, err)
		}
	}
	p := &tensorpb.TensorProto{Dtype: info.GetDtype(), TensorShape: &shapepb.TensorShapeProto{}, FloatVal: t.floats, StringVal: t.strings}
	for _, d := range t.shape {
		p.TensorShape.Dim = append(p.TensorShape.Dim, &shapepb.TensorShapeProto_Dim{Size: d})
	}
	if info.GetDtype() == typespb.DataType_DT_UINT8 {
		p.FloatVal = nil
		if p.TensorContent, err = pixels(t.floats); err != nil {
			return nil, fmt.Errorf("input %q: %w", name, err)
		}
	}
	return p, nil
}

// pixels are numbers as the bytes they must be.
func pixels(numbers []float32) ([]byte, error) {
	out := make([]byte, len(numbers))
	for i, x := range numbers {
		if !(x >= 0 && x <= 255) || x != float32(byte(x)) {
			return nil, fmt.Errorf("element %d is %g; pixels are whole numbers from 0 to 255", i, x)
		}
		out[i] = byte(x)
	}
	return out, nil
}

func shapeText(s *shapepb.TensorShapeProto) string {
	parts := make([]string, len(s.GetDim()))
	for i, d := range s.GetDim() {
		parts[i] = fmt.Sprint(d.GetSize())
	}
	return "[" + strings.Join(parts, " ") + "]"
}
