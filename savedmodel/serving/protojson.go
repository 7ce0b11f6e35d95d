package serving

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// appendJSON writes a message as protobuf's C++ library does for TensorFlow
// Serving: names as in the .proto file, fields without presence always, those of
// a oneof last, 64-bit integers as strings, one space a level. (Go's own printer
// varies its spaces on purpose.)
func appendJSON(b []byte, m protoreflect.Message, indent int) []byte {
	if v, ok := m.Interface().(*wrapperspb.Int64Value); ok {
		return strconv.AppendQuote(b, strconv.FormatInt(v.GetValue(), 10))
	}
	var plain, chosen []protoreflect.FieldDescriptor
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		switch {
		case f.ContainingOneof() != nil && m.Has(f):
			chosen = append(chosen, f)
		case f.ContainingOneof() == nil && (m.Has(f) || !f.HasPresence()):
			plain = append(plain, f)
		}
	}
	return appendList(b, "{}", indent, append(plain, chosen...), func(b []byte, f protoreflect.FieldDescriptor) []byte {
		b = append(appendQuoted(b, []byte(f.Name())), ": "...)
		v := m.Get(f)
		switch {
		case f.IsMap():
			return appendMap(b, f, v.Map(), indent+1)
		case f.IsList():
			list := make([]protoreflect.Value, v.List().Len())
			for i := range list {
				list[i] = v.List().Get(i)
			}
			return appendList(b, "[]", indent+1, list, func(b []byte, v protoreflect.Value) []byte { return appendValue(b, f, v, indent+2) })
		}
		return appendValue(b, f, v, indent+1)
	})
}

// appendList writes brackets and what f writes for each element, a line each.
func appendList[T any](b []byte, brackets string, indent int, list []T, f func(b []byte, x T) []byte) []byte {
	b = append(b, brackets[0])
	for i, x := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, '\n'), strings.Repeat(" ", indent+1)...)
		b = f(b, x)
	}
	if len(list) > 0 {
		b = append(append(b, '\n'), strings.Repeat(" ", indent)...)
	}
	return append(b, brackets[1])
}

func appendMap(b []byte, f protoreflect.FieldDescriptor, m protoreflect.Map, indent int) []byte {
	values := map[string]protoreflect.Value{}
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		values[k.String()] = v
		return true
	})
	return appendList(b, "{}", indent, sortedKeys(values), func(b []byte, key string) []byte {
		b = append(appendQuoted(b, []byte(key)), ": "...)
		return appendValue(b, f.MapValue(), values[key], indent+1)
	})
}

func appendValue(b []byte, f protoreflect.FieldDescriptor, v protoreflect.Value, indent int) []byte {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return appendJSON(b, v.Message(), indent)
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return appendQuoted(b, []byte(e.Name()))
		}
		return strconv.AppendInt(b, int64(v.Enum()), 10)
	case protoreflect.Int64Kind, protoreflect.Uint64Kind:
		return appendQuoted(b, []byte(v.String()))
	case protoreflect.StringKind:
		return appendQuoted(b, []byte(v.String()))
	}
	return fmt.Append(b, v.Interface()) // bool and small integers; signatures and states have no others
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// statusReply is GetModelStatusResponse as JSON.
func statusReply(versions []*servingpb.ModelVersionStatus) []byte {
	r := &servingpb.GetModelStatusResponse{}
	for _, v := range versions {
		v = proto.CloneOf(v)
		if v.GetStatus() == nil {
			v.Status = &servingpb.StatusProto{}
		}
		r.ModelVersionStatus = append(r.ModelVersionStatus, v)
	}
	return append(appendJSON(nil, r.ProtoReflect(), 0), '\n')
}

// metadataReply is GetModelMetadataResponse as JSON, put together of parts as
// TensorFlow Serving does. Default values of inputs are left out, as it has done
// since its version 2.20.
func metadataReply(spec *servingpb.ModelSpec, signatures *servingpb.SignatureDefMap) []byte {
	plain := proto.CloneOf(signatures)
	for _, sig := range plain.GetSignatureDef() {
		sig.Defaults = nil
	}
	b := appendJSON([]byte("{\n\"model_spec\":"), spec.ProtoReflect(), 0)
	b = append(b, "\n,\n\"metadata\": {\"signature_def\": "...)
	b = appendJSON(b, plain.ProtoReflect(), 0)
	return append(b, "\n}\n}\n"...)
}
