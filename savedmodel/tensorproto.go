package savedmodel

import (
	"fmt"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// maxElements bounds a tensor that comes in by protocol.
const maxElements = 1 << 28

// FromProto turns a tensor message of numbers (bool, integers, half, bfloat16,
// float, double) or strings into a value. The number of elements must be that of
// the shape; nothing is filled up.
func FromProto(p *tensorpb.TensorProto) (*tfgraph.Value, error) {
	shape := tensorproto.Dims(p.GetTensorShape())
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d > maxElements || n*d > maxElements {
			return nil, fmt.Errorf("savedmodel: tensor shape %v is not one of at most %d elements", shape, maxElements)
		}
		n *= d
	}
	if p.GetDtype() == typespb.DataType_DT_STRING {
		list := make([]string, len(p.GetStringVal()))
		for i, s := range p.GetStringVal() {
			list[i] = string(s)
		}
		return tfgraph.StringsOf(list, shape...)
	}
	if tensorproto.Size(p.GetDtype()) == 0 {
		return nil, fmt.Errorf("savedmodel: tensors of type %s are not served", tensorproto.Name(p.GetDtype()))
	}
	raw, err := tensorproto.Numbers(p)
	if err != nil {
		return nil, fmt.Errorf("savedmodel: %w", err)
	}
	return tfgraph.FromBytes(tfgraph.DataType(p.GetDtype()), raw, shape...)
}

// ToProto turns a value into a tensor message, its numbers in the field of their
// type, as TensorFlow Serving answers.
func ToProto(v *tfgraph.Value) (*tensorpb.TensorProto, error) {
	p := &tensorpb.TensorProto{Dtype: typespb.DataType(v.DataType()), TensorShape: tensorproto.Shape(v.Shape())}
	if v.DataType() == tfgraph.String {
		list, err := tfgraph.StringList(v)
		for _, s := range list {
			p.StringVal = append(p.StringVal, []byte(s))
		}
		return p, err
	}
	raw, err := tfgraph.ToBytes(v)
	if err != nil {
		return nil, fmt.Errorf("savedmodel: outputs of type %s are not served: %w", tensorproto.Name(p.GetDtype()), err)
	}
	tensorproto.Spread(p, raw)
	return p, nil
}
