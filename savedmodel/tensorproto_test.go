package savedmodel

import (
	"bytes"
	"slices"
	"testing"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
	"github.com/nasnet-go/nasnet/tfgraph"
)

func TestPixelsOfAMessage(t *testing.T) {
	shape := &shapepb.TensorShapeProto{Dim: []*shapepb.TensorShapeProto_Dim{{Size: 1}, {Size: 3}}}
	for _, p := range []*tensorpb.TensorProto{
		{Dtype: typespb.DataType_DT_UINT8, TensorShape: shape, TensorContent: []byte{0, 7, 255}},
		{Dtype: typespb.DataType_DT_UINT8, TensorShape: shape, IntVal: []int32{0, 7, 255}},
	} {
		v, err := FromProto(p)
		if err != nil {
			t.Fatal(err)
		}
		data, err := tfgraph.Data[uint8](v)
		if err != nil || !slices.Equal(data, []uint8{0, 7, 255}) || !slices.Equal(v.Shape(), []int64{1, 3}) {
			t.Errorf("%v of shape %v, %v", data, v.Shape(), err)
		}
	}
	for _, p := range []*tensorpb.TensorProto{
		{Dtype: typespb.DataType_DT_UINT8, TensorShape: shape, TensorContent: []byte{0, 7}},
		{Dtype: typespb.DataType_DT_UINT8, TensorShape: shape, IntVal: []int32{0, 7, 256}},
	} {
		if _, err := FromProto(p); err == nil {
			t.Errorf("%v is taken", p)
		}
	}
}

// Every type of number and shape comes back as it went in.
func TestTensorsOfEveryType(t *testing.T) {
	for number := range typespb.DataType_name {
		dtype := typespb.DataType(number)
		size := tensorproto.Size(dtype)
		for _, dims := range [][]int64{{}, {3}, {3, 2}} {
			p := &tensorpb.TensorProto{Dtype: dtype, TensorShape: tensorproto.Shape(dims)}
			n := 1
			for _, d := range dims {
				n *= int(d)
			}
			raw := bytes.Repeat([]byte{1}, n*size)
			if dtype == typespb.DataType_DT_STRING {
				p.StringVal = slices.Repeat([][]byte{[]byte("ab")}, n)
			} else if tensorproto.Spread(p, raw); size == 0 {
				if _, err := FromProto(p); err == nil {
					t.Errorf("%v is taken", dtype)
				}
				continue
			}
			v, err := FromProto(p)
			if err != nil {
				t.Errorf("%v of shape %v: %v", dtype, dims, err)
				continue
			}
			back, err := ToProto(v)
			if err != nil || !proto.Equal(back, p) {
				t.Errorf("%v came back as %v (%v)", p, back, err)
			}
		}
	}
}
