// Package tensorproto moves numbers between the two places where TensorFlow's
// tensor message may hold them:
//
//	tensor_content: bytes, little-endian ◄─ Numbers ── float_val, int_val, …: a field for each kind of type
//	                                      ── Spread ──►
//
// Caveat: strings stay in string_val; complex and quantised numbers and handles
// have no place here.
package tensorproto

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
)

// Size is the bytes of one number in tensor_content, 0 for types that are not
// numbers or have no place here.
func Size(t typespb.DataType) int {
	switch t {
	case typespb.DataType_DT_BOOL, typespb.DataType_DT_INT8, typespb.DataType_DT_UINT8:
		return 1
	case typespb.DataType_DT_INT16, typespb.DataType_DT_UINT16, typespb.DataType_DT_HALF, typespb.DataType_DT_BFLOAT16:
		return 2
	case typespb.DataType_DT_FLOAT, typespb.DataType_DT_INT32, typespb.DataType_DT_UINT32:
		return 4
	case typespb.DataType_DT_DOUBLE, typespb.DataType_DT_INT64, typespb.DataType_DT_UINT64:
		return 8
	}
	return 0
}

// Name is a type as TensorFlow's messages call it, such as float or int32.
func Name(t typespb.DataType) string { return strings.ToLower(strings.TrimPrefix(t.String(), "DT_")) }

// Shape makes the message of sizes.
func Shape(dims []int64) *shapepb.TensorShapeProto {
	s := &shapepb.TensorShapeProto{Dim: make([]*shapepb.TensorShapeProto_Dim, len(dims))}
	for i, d := range dims {
		s.Dim[i] = &shapepb.TensorShapeProto_Dim{Size: d}
	}
	return s
}

// Dims are the sizes in a message.
func Dims(s *shapepb.TensorShapeProto) []int64 {
	dims := make([]int64, len(s.GetDim()))
	for i, d := range s.GetDim() {
		dims[i] = d.GetSize()
	}
	return dims
}

// Numbers are the numbers of a tensor as tensor_content has them: that field if
// it is set, else the field of the type. It fails if one is out of the type's
// range. The type must have a Size.
func Numbers(t *tensorpb.TensorProto) ([]byte, error) {
	if len(t.GetTensorContent()) > 0 {
		return t.GetTensorContent(), nil
	}
	switch t.GetDtype() {
	case typespb.DataType_DT_FLOAT:
		return encoded(t.GetFloatVal(), 4, func(b []byte, x float32) { binary.LittleEndian.PutUint32(b, math.Float32bits(x)) }), nil
	case typespb.DataType_DT_DOUBLE:
		return encoded(t.GetDoubleVal(), 8, func(b []byte, x float64) { binary.LittleEndian.PutUint64(b, math.Float64bits(x)) }), nil
	case typespb.DataType_DT_INT64:
		return encoded(t.GetInt64Val(), 8, func(b []byte, x int64) { binary.LittleEndian.PutUint64(b, uint64(x)) }), nil
	case typespb.DataType_DT_UINT64:
		return encoded(t.GetUint64Val(), 8, binary.LittleEndian.PutUint64), nil
	case typespb.DataType_DT_UINT32:
		return encoded(t.GetUint32Val(), 4, binary.LittleEndian.PutUint32), nil
	case typespb.DataType_DT_BOOL:
		return encoded(t.GetBoolVal(), 1, func(b []byte, x bool) {
			if x {
				b[0] = 1
			}
		}), nil
	case typespb.DataType_DT_HALF, typespb.DataType_DT_BFLOAT16:
		return narrow(t.GetHalfVal(), 2, 0, math.MaxUint16)
	case typespb.DataType_DT_INT32:
		return narrow(t.GetIntVal(), 4, math.MinInt32, math.MaxInt32)
	case typespb.DataType_DT_INT16:
		return narrow(t.GetIntVal(), 2, math.MinInt16, math.MaxInt16)
	case typespb.DataType_DT_UINT16:
		return narrow(t.GetIntVal(), 2, 0, math.MaxUint16)
	case typespb.DataType_DT_INT8:
		return narrow(t.GetIntVal(), 1, math.MinInt8, math.MaxInt8)
	case typespb.DataType_DT_UINT8:
		return narrow(t.GetIntVal(), 1, 0, math.MaxUint8)
	}
	return nil, fmt.Errorf("tensors of type %s are not made of numbers that can be moved", Name(t.GetDtype()))
}

func encoded[T any](list []T, size int, put func([]byte, T)) []byte {
	out := make([]byte, len(list)*size)
	for i, x := range list {
		put(out[i*size:], x)
	}
	return out
}

// narrow writes int32 as the smaller type that they stand for.
func narrow(list []int32, size int, low, high int32) ([]byte, error) {
	out := make([]byte, 0, len(list)*size)
	for i, x := range list {
		if x < low || x > high {
			return nil, fmt.Errorf("element %d is %d; allowed is %d to %d", i, x, low, high)
		}
		for k := range size {
			out = append(out, byte(x>>(8*k)))
		}
	}
	return out, nil
}

// Spread fills the field of t's type with the numbers of raw, as TensorFlow
// Serving answers. The type must have a Size, and raw a multiple of it.
func Spread(t *tensorpb.TensorProto, raw []byte) {
	le := binary.LittleEndian
	switch t.GetDtype() {
	case typespb.DataType_DT_FLOAT:
		t.FloatVal = decoded(raw, 4, func(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) })
	case typespb.DataType_DT_DOUBLE:
		t.DoubleVal = decoded(raw, 8, func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) })
	case typespb.DataType_DT_INT64:
		t.Int64Val = decoded(raw, 8, func(b []byte) int64 { return int64(le.Uint64(b)) })
	case typespb.DataType_DT_UINT64:
		t.Uint64Val = decoded(raw, 8, le.Uint64)
	case typespb.DataType_DT_UINT32:
		t.Uint32Val = decoded(raw, 4, le.Uint32)
	case typespb.DataType_DT_BOOL:
		t.BoolVal = decoded(raw, 1, func(b []byte) bool { return b[0] != 0 })
	case typespb.DataType_DT_HALF, typespb.DataType_DT_BFLOAT16:
		t.HalfVal = decoded(raw, 2, func(b []byte) int32 { return int32(le.Uint16(b)) })
	case typespb.DataType_DT_INT32:
		t.IntVal = decoded(raw, 4, func(b []byte) int32 { return int32(le.Uint32(b)) })
	case typespb.DataType_DT_INT16:
		t.IntVal = decoded(raw, 2, func(b []byte) int32 { return int32(int16(le.Uint16(b))) })
	case typespb.DataType_DT_UINT16:
		t.IntVal = decoded(raw, 2, func(b []byte) int32 { return int32(le.Uint16(b)) })
	case typespb.DataType_DT_INT8:
		t.IntVal = decoded(raw, 1, func(b []byte) int32 { return int32(int8(b[0])) })
	case typespb.DataType_DT_UINT8:
		t.IntVal = decoded(raw, 1, func(b []byte) int32 { return int32(b[0]) })
	}
}

func decoded[T any](raw []byte, size int, get func([]byte) T) []T {
	out := make([]T, len(raw)/size)
	for i := range out {
		out[i] = get(raw[i*size:])
	}
	return out
}

// Clear empties the fields of numbers, tensor_content apart.
func Clear(t *tensorpb.TensorProto) {
	t.FloatVal, t.DoubleVal, t.IntVal, t.Int64Val, t.BoolVal, t.HalfVal, t.Uint32Val, t.Uint64Val = nil, nil, nil, nil, nil, nil, nil, nil
}
