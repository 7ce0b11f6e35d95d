package savedmodel

import (
	"encoding/binary"
	"fmt"
	"math"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// maxElements bounds a tensor that comes in by protocol.
const maxElements = 1 << 28

// FromProto turns a float, uint8 or string tensor message into a value. The number of
// elements must be that of the shape; nothing is filled up.
func FromProto(p *tensorpb.TensorProto) (*tfgraph.Value, error) {
	shape := make([]int64, 0, len(p.GetTensorShape().GetDim()))
	n := int64(1)
	for _, d := range p.GetTensorShape().GetDim() {
		if d.GetSize() < 0 || d.GetSize() > maxElements || n*d.GetSize() > maxElements {
			return nil, fmt.Errorf("savedmodel: tensor shape %v is not one of at most %d elements", p.GetTensorShape().GetDim(), maxElements)
		}
		shape, n = append(shape, d.GetSize()), n*d.GetSize()
	}
	switch p.GetDtype() {
	case typespb.DataType_DT_FLOAT:
		data := p.GetFloatVal()
		if raw := p.GetTensorContent(); len(raw) > 0 {
			if len(raw)%4 != 0 {
				return nil, fmt.Errorf("savedmodel: %d bytes are no whole number of float32", len(raw))
			}
			data = make([]float32, len(raw)/4)
			for i := range data {
				data[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
			}
		}
		return tfgraph.NewValue(data, shape...)
	case typespb.DataType_DT_UINT8:
		data := p.GetTensorContent()
		if len(data) == 0 {
			data = make([]byte, len(p.GetIntVal()))
			for i, x := range p.GetIntVal() {
				if x < 0 || x > math.MaxUint8 {
					return nil, fmt.Errorf("savedmodel: element %d is %d; DT_UINT8 is from 0 to 255", i, x)
				}
				data[i] = byte(x)
			}
		}
		return tfgraph.NewValue(data, shape...)
	case typespb.DataType_DT_STRING:
		if int64(len(p.GetStringVal())) != n || len(shape) != 1 {
			return nil, fmt.Errorf("savedmodel: %d strings for shape %v; want a vector", len(p.GetStringVal()), shape)
		}
		list := make([]string, n)
		for i, s := range p.GetStringVal() {
			list[i] = string(s)
		}
		return tfgraph.Strings(list)
	}
	return nil, fmt.Errorf("savedmodel: tensors of type %v are not served; want DT_FLOAT, DT_UINT8 or DT_STRING", p.GetDtype())
}

// ToProto turns a float32, int64 or string value into a tensor message.
func ToProto(v *tfgraph.Value) (*tensorpb.TensorProto, error) {
	p := &tensorpb.TensorProto{Dtype: typespb.DataType(v.DataType()), TensorShape: &shapepb.TensorShapeProto{}}
	for _, d := range v.Shape() {
		p.TensorShape.Dim = append(p.TensorShape.Dim, &shapepb.TensorShapeProto_Dim{Size: d})
	}
	var err error
	switch v.DataType() {
	case tfgraph.Float32:
		p.FloatVal, err = tfgraph.Data[float32](v)
	case tfgraph.Int64:
		p.Int64Val, err = tfgraph.Data[int64](v)
	case tfgraph.String:
		p.StringVal = flatStrings(p.StringVal, v.Value())
	default:
		err = fmt.Errorf("savedmodel: outputs of type %d are not served", v.DataType())
	}
	return p, err
}

// flatStrings appends the strings of nested lists, in order.
func flatStrings(to [][]byte, v any) [][]byte {
	switch v := v.(type) {
	case string:
		return append(to, []byte(v))
	case []string:
		for _, s := range v {
			to = append(to, []byte(s))
		}
	case [][]string:
		for _, list := range v {
			to = flatStrings(to, list)
		}
	}
	return to
}
