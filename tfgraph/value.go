package tfgraph

import (
	"bytes"
	"fmt"
	"runtime"
	"unsafe"

	tf "github.com/wamuir/graft/tensorflow"
)

// Number is an element type that values are made of here.
type Number interface {
	~float32 | ~float64 | ~int32 | ~int64 | ~uint8
}

// NewValue returns a value of data, row-major, in the given shape; a scalar has
// no sizes. It fails if the sizes do not multiply to len(data).
func NewValue[T Number](data []T, shape ...int64) (*Value, error) {
	if n := elements(shape); n != int64(len(data)) {
		return nil, fmt.Errorf("tfgraph: %d elements do not fill shape %v", len(data), shape)
	}
	var raw []byte
	if len(data) > 0 {
		raw = unsafe.Slice((*byte)(unsafe.Pointer(&data[0])), len(data)*int(unsafe.Sizeof(data[0])))
	}
	v, err := tf.ReadTensor(dtypeOf[T](), shape, bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("tfgraph: value of shape %v: %w", shape, err)
	}
	return v, nil
}

// Scalar returns a value without dimensions.
func Scalar[T Number](x T) *Value {
	v, err := NewValue([]T{x})
	if err != nil { // one element always fills no sizes
		panic(err)
	}
	return v
}

// Strings returns a string value of shape [len(list)].
func Strings(list []string) (*Value, error) { return tf.NewTensor(list) }

// StringScalar returns a string value without dimensions.
func StringScalar(x string) (*Value, error) { return tf.NewTensor(x) }

func dtypeOf[T Number]() DataType {
	switch any(*new(T)).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case int32:
		return Int32
	case int64:
		return Int64
	}
	return Uint8
}

// Data returns a copy of v's elements, row-major. It fails if they are of
// another type.
func Data[T Number](v *Value) ([]T, error) {
	defer runtime.KeepAlive(v) // graft reads C memory that v's finalizer frees, without holding v
	if v.DataType() != dtypeOf[T]() {
		return nil, fmt.Errorf("tfgraph: value is of type %d, not %T", v.DataType(), *new(T))
	}
	data := make([]T, elements(v.Shape()))
	if len(data) == 0 {
		return data, nil
	}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&data[0])), len(data)*int(unsafe.Sizeof(data[0])))
	if _, err := v.WriteContentsTo(&fill{raw}); err != nil {
		return nil, fmt.Errorf("tfgraph: read value: %w", err)
	}
	return data, nil
}

// fill is a writer into a buffer of fixed size.
type fill struct{ rest []byte }

func (f *fill) Write(p []byte) (int, error) {
	n := copy(f.rest, p)
	f.rest = f.rest[n:]
	return n, nil
}

// Bytes returns about how much memory a value holds, at least 256.
func Bytes(v *Value) int64 {
	size := int64(8)
	switch v.DataType() {
	case Uint8, Bool:
		size = 1
	case Half, Bfloat16:
		size = 2
	case Float32, Int32:
		size = 4
	case String:
		size = 64
	}
	return max(256, size*elements(v.Shape()))
}

func elements(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

// Convert casts float32 values to another floating type, as TensorFlow rounds.
func Convert(values []*Value, to DataType) ([]*Value, error) {
	g := New()
	feeds, cast := Feeds{}, make([]Tensor, len(values))
	for i, v := range values {
		x := Placeholder(g.Root(), fmt.Sprintf("value_%d", i), Float32, v.Shape())
		feeds[x], cast[i] = v, Cast(g.Root(), x, to)
	}
	sess, err := NewSession(g, SessionOptions{Grappler: GrapplerOff})
	if err != nil {
		return nil, err
	}
	defer sess.Close()
	return sess.Run(feeds, cast)
}
