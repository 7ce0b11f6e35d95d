package serving

import (
	"fmt"
	"strconv"

	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
)

// examples reads the body of a :classify or :regress call.
func (r request) examples() (*servingpb.Input, error) {
	var context *examplepb.Example
	if text, ok := r.field("context"); ok {
		var err error
		if context, err = exampleOf(&scanner{text: text}); err != nil {
			return nil, err
		}
	}
	text, ok := r.field("examples")
	switch {
	case !ok:
		return nil, r.malformed("When method is classify, key 'examples' is expected and was not found")
	case text[0] != '[':
		return nil, r.malformed("Expecting 'examples' value to be an list/array")
	case isEmptyList(text):
		return nil, r.malformed("'examples' value is an empty array")
	}
	var list []*examplepb.Example
	c := &scanner{text: text, at: 1}
	for end := false; !end; {
		e, err := exampleOf(c)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		end = c.peek() == ']'
		c.at++ // the comma or the bracket
	}
	if context != nil {
		return &servingpb.Input{Kind: &servingpb.Input_ExampleListWithContext{
			ExampleListWithContext: &servingpb.ExampleListWithContext{Context: context, Examples: list},
		}}, nil
	}
	return &servingpb.Input{Kind: &servingpb.Input_ExampleList{ExampleList: &servingpb.ExampleList{Examples: list}}}, nil
}

// exampleOf reads an object of features, each a value or a list of values.
func exampleOf(c *scanner) (*examplepb.Example, error) {
	if c.peek() != '{' {
		return nil, fmt.Errorf("Example must be JSON object but got JSON %s", c.typeName())
	}
	_, fields, err := c.document()
	if err != nil {
		return nil, err
	}
	features := map[string]*examplepb.Feature{}
	for _, m := range fields {
		f := feature{name: m.key}
		v := &scanner{text: m.value}
		if m.value[0] != '[' {
			err = f.add(v)
		} else if !isEmptyList(m.value) {
			v.at = 1
			for end := false; !end && err == nil; {
				err = f.add(v)
				end = v.peek() == ']'
				v.at++ // the comma or the bracket
			}
		}
		if err != nil {
			return nil, err
		}
		features[m.key] = f.proto()
	}
	return &examplepb.Example{Features: &examplepb.Features{Feature: features}}, nil
}

// feature collects the values of one feature, which are of one kind.
type feature struct {
	name   string
	kind   string // "", bytes, float or int64: how messages call it
	bytes  [][]byte
	floats []float32
	ints   []int64
}

func (f *feature) proto() *examplepb.Feature {
	switch f.kind {
	case "bytes":
		return &examplepb.Feature{Kind: &examplepb.Feature_BytesList{BytesList: &examplepb.BytesList{Value: f.bytes}}}
	case "float":
		return &examplepb.Feature{Kind: &examplepb.Feature_FloatList{FloatList: &examplepb.FloatList{Value: f.floats}}}
	case "int64":
		return &examplepb.Feature{Kind: &examplepb.Feature_Int64List{Int64List: &examplepb.Int64List{Value: f.ints}}}
	}
	return &examplepb.Feature{}
}

// is settles the kind, or holds a further value against it.
func (f *feature) is(kind string) error {
	if f.kind != "" && f.kind != kind {
		return fmt.Errorf("Unexpected element type in feature: %s expecting type: %s", clip(f.name), f.kind)
	}
	f.kind = kind
	return nil
}

func (f *feature) add(c *scanner) error {
	switch k := c.peek(); k {
	case '"':
		s, err := unquote(c.scalar())
		f.bytes = append(f.bytes, []byte(s))
		return firstError(f.is("bytes"), err)
	case '{':
		if text, ok := c.base64(); ok {
			raw, err := decodeBase64(text)
			f.bytes = append(f.bytes, raw)
			return firstError(f.is("bytes"), err)
		}
	case 't', 'f':
		c.scalar()
		f.ints = append(f.ints, map[byte]int64{'t': 1}[k])
		return f.is("int64")
	case '[', 'n':
	default:
		return f.number(c)
	}
	return fmt.Errorf("Feature: %s has element with unexpected JSON type: %s", clip(f.name), c.typeName())
}

// number adds a float or, if the text has neither point nor exponent, an integer.
func (f *feature) number(c *scanner) error {
	word, _ := c.number()
	if i, err := strconv.ParseInt(textOf(word), 10, 64); err == nil {
		f.ints = append(f.ints, i)
		return f.is("int64")
	}
	if _, err := strconv.ParseUint(textOf(word), 10, 64); err == nil {
		return firstError(f.is("int64"), fmt.Errorf("Feature: %s has uint64_t element. Only int64_t is supported.", clip(f.name)))
	}
	f.floats = append(f.floats, float32(parseFloat(word, 32)))
	return f.is("float")
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
