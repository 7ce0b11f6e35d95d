package hostile

import (
	"math"

	handlepb "github.com/wamuir/graft/tensorflow/core/framework/resource_handle_go_proto"
	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
)

// GRPC are Predict requests that must be refused with INVALID_ARGUMENT or
// FAILED_PRECONDITION, by name.
func GRPC(t Target) (map[string]*servingpb.PredictRequest, error) {
	list := map[string]*servingpb.PredictRequest{}
	if t.Floats != "" {
		for name, tensor := range tensors() {
			list[name] = predict(t, t.Floats, map[string]*tensorpb.TensorProto{t.Input: tensor})
		}
		list["no inputs"] = predict(t, t.Floats, nil)
		list["nothing as an input"] = predict(t, t.Floats, map[string]*tensorpb.TensorProto{t.Input: {}})
		list["an unknown input"] = predict(t, t.Floats, map[string]*tensorpb.TensorProto{"no such input": tensor(typespb.DataType_DT_FLOAT, 1)})
		list["an unknown signature"] = predict(t, "no such signature", nil)
	}
	images, err := Images()
	if err != nil {
		return nil, err
	}
	for name, raw := range images {
		if t.Bytes != "" {
			x := tensor(typespb.DataType_DT_STRING, 1)
			x.StringVal = [][]byte{raw}
			list[name] = predict(t, t.Bytes, map[string]*tensorpb.TensorProto{"image_bytes": x})
		}
	}
	return list, nil
}

func predict(t Target, signature string, inputs map[string]*tensorpb.TensorProto) *servingpb.PredictRequest {
	return &servingpb.PredictRequest{ModelSpec: &servingpb.ModelSpec{Name: t.Model, SignatureName: signature}, Inputs: inputs}
}

func tensor(dtype typespb.DataType, dims ...int64) *tensorpb.TensorProto {
	s := &shapepb.TensorShapeProto{}
	for _, d := range dims {
		s.Dim = append(s.Dim, &shapepb.TensorShapeProto_Dim{Size: d})
	}
	return &tensorpb.TensorProto{Dtype: dtype, TensorShape: s}
}

// tensors lie about themselves; none of them is large.
func tensors() map[string]*tensorpb.TensorProto {
	floats := func(n int, dims ...int64) *tensorpb.TensorProto {
		t := tensor(typespb.DataType_DT_FLOAT, dims...)
		t.FloatVal = make([]float32, n)
		return t
	}
	odd := tensor(typespb.DataType_DT_FLOAT, 1)
	odd.TensorContent = []byte{1, 2, 3}
	unknown := floats(1)
	unknown.TensorShape.UnknownRank = true
	list := map[string]*tensorpb.TensorProto{
		"1e9 elements by one value": floats(1, 1_000_000_000), "1e9 elements without values": floats(0, 1_000_000_000), "1e9 examples of one element": floats(2, 1_000_000_000, 1),
		"more elements than there are numbers": floats(1, math.MaxInt32, math.MaxInt32, math.MaxInt32), "a product that overflows to 1": floats(1, 1<<32, 1<<32),
		"a product that overflows to 0": floats(0, 1<<62, 4), "a negative size": floats(1, -1), "two negative sizes": floats(1, -1, -1), "the smallest size": floats(1, math.MinInt64),
		"no elements": floats(0, 0), "fewer values": floats(2, 3), "more values": floats(3, 2), "254 dimensions": floats(1, make([]int64, 254)...), "odd content": odd, "unknown rank": unknown,
	}
	for _, dtype := range []typespb.DataType{
		typespb.DataType_DT_RESOURCE, typespb.DataType_DT_VARIANT, typespb.DataType_DT_STRING, typespb.DataType_DT_COMPLEX64, typespb.DataType_DT_QINT8,
		typespb.DataType_DT_FLOAT_REF, typespb.DataType_DT_INVALID, 9999,
	} {
		t := tensor(dtype, 1)
		t.TensorContent = make([]byte, 8)
		t.ResourceHandleVal = []*handlepb.ResourceHandleProto{{Device: "/cpu:0", Name: "x", HashCode: 1}}
		list["of type "+dtype.String()] = t
	}
	return list
}
