package serving

import (
	"fmt"
	"strings"

	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// elementSize is the bytes of one number in tensor_content, 0 for types that are
// not made of numbers or are not served: strings, handles, complex and quantised
// numbers.
func elementSize(t typespb.DataType) int {
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

// dtypeName is a type as TensorFlow's messages call it, such as float or int32.
func dtypeName(t typespb.DataType) string {
	return strings.ToLower(strings.TrimPrefix(t.String(), "DT_"))
}

func shapeProto(dims []int64) *shapepb.TensorShapeProto {
	s := &shapepb.TensorShapeProto{Dim: make([]*shapepb.TensorShapeProto_Dim, len(dims))}
	for i, d := range dims {
		s.Dim[i] = &shapepb.TensorShapeProto_Dim{Size: d}
	}
	return s
}

func dimsOf(s *shapepb.TensorShapeProto) []int64 {
	dims := make([]int64, len(s.GetDim()))
	for i, d := range s.GetDim() {
		dims[i] = d.GetSize()
	}
	return dims
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func unimplemented(format string, args ...any) error {
	return status.Errorf(codes.Unimplemented, format, args...)
}

// asInvalid gives an error without a state that of a wrong request, behind a
// prefix as TensorFlow Serving nests its messages.
func asInvalid(err error, prefix string) error {
	if s, ok := status.FromError(err); ok {
		if prefix == "" {
			return err
		}
		return status.Error(s.Code(), prefix+s.Message())
	}
	return status.Error(codes.InvalidArgument, prefix+fmt.Sprint(err))
}
