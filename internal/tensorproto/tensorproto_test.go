package tensorproto

import (
	"bytes"
	"testing"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
)

// Whatever bytes a tensor holds come back through the field of its type.
func FuzzNumbers(f *testing.F) {
	for dtype := range typespb.DataType_name {
		f.Add(dtype, []byte{0, 1, 0x7f, 0x80, 0xff, 0x3c, 0xfe, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	}
	f.Fuzz(func(t *testing.T, dtype int32, raw []byte) {
		p := &tensorpb.TensorProto{Dtype: typespb.DataType(dtype)}
		size := Size(p.GetDtype())
		if size == 0 {
			if _, err := Numbers(p); err == nil {
				t.Fatalf("%v has no size and yet numbers", p.GetDtype())
			}
			return
		}
		raw = raw[:len(raw)/size*size]
		if p.GetDtype() == typespb.DataType_DT_BOOL {
			for i := range raw {
				raw[i] &= 1
			}
		}
		Spread(p, raw)
		if len(p.GetTensorContent()) != 0 {
			t.Fatal("content is set")
		}
		back, err := Numbers(p)
		if err != nil || !bytes.Equal(back, raw) {
			t.Fatalf("%v: % x came back as % x (%v)", p.GetDtype(), raw, back, err)
		}
		Clear(p)
		if back, err = Numbers(p); err != nil || len(back) != 0 {
			t.Fatalf("%v: % x is left (%v)", p.GetDtype(), back, err)
		}
	})
}

func TestOutOfRange(t *testing.T) {
	for dtype, list := range map[typespb.DataType][]int32{
		typespb.DataType_DT_UINT8: {-1, 256}, typespb.DataType_DT_INT8: {-129, 128}, typespb.DataType_DT_UINT16: {-1, 65536}, typespb.DataType_DT_INT16: {-32769, 32768},
	} {
		for _, x := range list {
			if _, err := Numbers(&tensorpb.TensorProto{Dtype: dtype, IntVal: []int32{x}}); err == nil {
				t.Errorf("%v takes %d", dtype, x)
			}
		}
	}
}
