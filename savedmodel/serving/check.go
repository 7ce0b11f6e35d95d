package serving

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/nasnet-go/nasnet/internal/imagegate"
	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// checkInputs holds the inputs of a request against its signature, so that
// TensorFlow sees no tensor that it was not made for: all inputs and no others,
// types, sizes, as many elements as the sizes say, no image that declares more
// pixels than allowed. Numbers are in tensor_content afterwards.
func checkInputs(inputs map[string]*tensorpb.TensorProto, sig *corepb.SignatureDef, l Limits) error {
	if len(inputs) != len(sig.GetInputs()) {
		return inputsDiffer(inputs, sig)
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		info, ok := sig.GetInputs()[name]
		if !ok {
			return invalid("input tensor alias not found in signature: %s. Inputs expected to be in the set {%s}.", clip(name), joined(sig.GetInputs()))
		}
		if err := checkTensor(inputs[name], info, l); err != nil {
			return invalid("input tensor %s: %v", name, err)
		}
		if err := checkImages(name, inputs[name].GetStringVal(), l.MaxPixels); err != nil {
			return invalid("input tensor %s: %v", name, err)
		}
	}
	return nil
}

func joined[V any](m map[string]V) string { return strings.Join(slices.Sorted(maps.Keys(m)), ",") }

// inputsDiffer words TensorFlow Serving's message about missing or further inputs.
func inputsDiffer(inputs map[string]*tensorpb.TensorProto, sig *corepb.SignatureDef) error {
	extra, missing := map[string]bool{}, map[string]bool{}
	for name := range inputs {
		if sig.GetInputs()[name] == nil {
			extra[name] = true
		}
	}
	for name := range sig.GetInputs() {
		if inputs[name] == nil {
			missing[name] = true
		}
	}
	return invalid("input size does not match signature: %d!=%d len({%s}) != len({%s}). Sent extra: {%s}. Missing but required: {%s}.",
		len(inputs), len(sig.GetInputs()), joined(inputs), joined(sig.GetInputs()), joined(extra), joined(missing))
}

// checkTensor holds one tensor against the signature's type and shape.
func checkTensor(t *tensorpb.TensorProto, info *corepb.TensorInfo, l Limits) error {
	if t.GetDtype() != info.GetDtype() {
		return fmt.Errorf("its type is %s, the signature wants %s", tensorproto.Name(t.GetDtype()), tensorproto.Name(info.GetDtype()))
	}
	dims := tensorproto.Dims(t.GetTensorShape())
	if t.GetTensorShape().GetUnknownRank() || len(dims) > maxRank {
		return fmt.Errorf("it has %d dimensions, %d are allowed", len(dims), maxRank)
	}
	size := int64(tensorproto.Size(t.GetDtype()))
	if size == 0 && t.GetDtype() != typespb.DataType_DT_STRING {
		return fmt.Errorf("tensors of type %s are not served", tensorproto.Name(t.GetDtype()))
	}
	n := int64(1)
	for _, d := range dims {
		if d < 1 || d > l.MaxBody || n*d > l.MaxBody/max(size, 1) {
			return fmt.Errorf("its shape %s is not one of 1 to %d elements", shapeText(dims), l.MaxBody/max(size, 1))
		}
		n *= d
	}
	if !fits(dims, info.GetTensorShape()) {
		return fmt.Errorf("its shape is %s, the signature wants %s", shapeText(dims), shapeText(tensorproto.Dims(info.GetTensorShape())))
	}
	if t.GetDtype() == typespb.DataType_DT_STRING {
		return checkStrings(t, n)
	}
	return intoContent(t, n, size)
}

// fits reports whether sizes are the signature's, which leaves those below zero
// open. A signature of one number an example, [-1,1], also takes a vector or
// another matrix: clients of TensorFlow Serving, which does not compare shapes,
// rely on it, in its own first example too.
func fits(dims []int64, want *shapepb.TensorShapeProto) bool {
	w := want.GetDim()
	if want.GetUnknownRank() {
		return true
	}
	if len(w) == 2 && w[1].GetSize() == 1 && (w[0].GetSize() < 0 || len(dims) > 0 && w[0].GetSize() == dims[0]) {
		return len(dims) == 1 || len(dims) == 2
	}
	if len(w) != len(dims) {
		return false
	}
	for i, d := range w {
		if d.GetSize() >= 0 && d.GetSize() != dims[i] {
			return false
		}
	}
	return true
}

func checkStrings(t *tensorpb.TensorProto, n int64) error {
	if int64(len(t.GetStringVal())) != n {
		return fmt.Errorf("it has %d strings, its shape %s wants %d", len(t.GetStringVal()), shapeText(tensorproto.Dims(t.GetTensorShape())), n)
	}
	if len(t.GetTensorContent()) > 0 {
		return fmt.Errorf("strings stand in tensor_content; they belong in string_val")
	}
	return nil
}

// intoContent moves the numbers of a tensor into tensor_content. One number
// alone stands for all n, as TensorFlow has it.
func intoContent(t *tensorpb.TensorProto, n, size int64) error {
	content, err := tensorproto.Numbers(t)
	if err != nil {
		return err
	}
	if int64(len(content)) == size && n > 1 && len(t.GetTensorContent()) == 0 {
		content = bytes.Repeat(content, int(n))
	}
	if int64(len(content)) != n*size {
		return fmt.Errorf("it has %d elements, its shape %s wants %d", int64(len(content))/size, shapeText(tensorproto.Dims(t.GetTensorShape())), n)
	}
	t.TensorContent = content
	tensorproto.Clear(t)
	return nil
}

// checkImages judges encoded images before TensorFlow decodes them. Strings of
// an input such as image_bytes must be images. Others may be anything;
// images among them, also in serialized tf.Examples, must pass.
func checkImages(name string, list [][]byte, maxPixels int64) error {
	must := strings.Contains(strings.ToLower(name), "image") && strings.HasSuffix(name, "_bytes")
	for i, s := range list {
		if err := checkImage(s, must, maxPixels); err != nil {
			return fmt.Errorf("its element %d: %w", i, err)
		}
	}
	return nil
}

func checkImage(s []byte, must bool, maxPixels int64) error {
	if must || isImage(s) {
		_, err := imagegate.Inspect(s, maxPixels)
		return err
	}
	return eachBytesFeature(s, func(value []byte) error {
		if isImage(value) {
			if _, err := imagegate.Inspect(value, maxPixels); err != nil {
				return fmt.Errorf("an image in its Example: %w", err)
			}
		}
		return nil
	})
}

// isImage goes by the first bytes. "BM" alone is a word too, so a bitmap must
// also have its header's zeros.
func isImage(s []byte) bool {
	for _, magic := range []string{"\xff\xd8\xff", "\x89PNG\r\n\x1a\n", "GIF8"} {
		if bytes.HasPrefix(s, []byte(magic)) {
			return true
		}
	}
	return bytes.HasPrefix(s, []byte("BM")) && len(s) > 10 && bytes.Equal(s[6:10], make([]byte, 4)) ||
		bytes.HasPrefix(s, []byte("RIFF")) && len(s) > 12 && string(s[8:12]) == "WEBP"
}

// Field numbers on the way from a tf.train.Example to a feature's bytes:
// Example.features, Features.feature, FeatureEntry.value, Feature.bytes_list,
// BytesList.value.
var bytesPath = []protowire.Number{1, 1, 2, 1, 1}

// eachBytesFeature calls f with the bytes features of a serialized Example,
// without unpacking it. What is no Example has none.
func eachBytesFeature(s []byte, f func(value []byte) error) error {
	return follow(s, bytesPath, f)
}

func follow(s []byte, path []protowire.Number, f func([]byte) error) error {
	if len(path) == 0 {
		return f(s)
	}
	for len(s) > 0 {
		number, kind, n := protowire.ConsumeTag(s)
		if n < 0 {
			return nil
		}
		s = s[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, s); n < 0 {
				return nil
			}
			s = s[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(s)
		if n < 0 {
			return nil
		}
		if number == path[0] {
			if err := follow(value, path[1:], f); err != nil {
				return err
			}
		}
		s = s[n:]
	}
	return nil
}
