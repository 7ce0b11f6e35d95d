package serving

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// floatsOf are the numbers of a DT_FLOAT tensor, wherever they stand in it.
func floatsOf(t *tensorpb.TensorProto) []float32 {
	raw := t.GetTensorContent()
	if len(raw) == 0 {
		return t.GetFloatVal()
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out
}

// classifications pairs the outputs "classes", strings, and "scores", floats,
// both [N,K]; one of them may be missing.
func classifications(out map[string]*tensorpb.TensorProto, n int) (*servingpb.ClassificationResult, error) {
	classes, scores := out[classesOutput], out[scoresOutput]
	k := int64(-1)
	for _, o := range []struct {
		name   string
		tensor *tensorpb.TensorProto
		dtype  typespb.DataType
	}{{classesOutput, classes, typespb.DataType_DT_STRING}, {scoresOutput, scores, typespb.DataType_DT_FLOAT}} {
		dims := tensorproto.Dims(o.tensor.GetTensorShape())
		switch {
		case o.tensor == nil:
			continue
		case len(dims) != 2:
			return nil, invalid("Expected Tensor shape: [batch_size num_classes] but got %s", shapeText(dims))
		case o.tensor.GetDtype() != o.dtype:
			return nil, invalid("Expected %s Tensor of %v. Got: %v", o.name, o.dtype, o.tensor.GetDtype())
		case dims[0] != int64(n):
			return nil, invalid("Expected %s output batch size of %d. Got: %d", o.name, n, dims[0])
		case k >= 0 && dims[1] != k:
			return nil, invalid("Tensors class and score should match in dim_size(1). Got %d vs. %d", k, dims[1])
		}
		k = dims[1]
	}
	names, values := classes.GetStringVal(), floatsOf(scores)
	if k < 0 || classes != nil && int64(len(names)) != int64(n)*k || scores != nil && int64(len(values)) != int64(n)*k {
		return nil, fmt.Errorf("the model answered %d classes and %d scores for %d examples", len(names), len(values), n)
	}
	result := &servingpb.ClassificationResult{}
	for i := range int64(n) {
		c := &servingpb.Classifications{}
		for j := i * k; j < (i+1)*k; j++ {
			class := &servingpb.Class{}
			if classes != nil {
				class.Label = strings.ToValidUTF8(string(names[j]), "\uFFFD") // as gRPC wants it
			}
			if scores != nil {
				class.Score = values[j]
			}
			c.Classes = append(c.Classes, class)
		}
		result.Classifications = append(result.Classifications, c)
	}
	return result, nil
}

// regressions reads the output "outputs", floats [N] or [N,1].
func regressions(out map[string]*tensorpb.TensorProto, n int) (*servingpb.RegressionResult, error) {
	t := out[valuesOutput]
	dims, values := tensorproto.Dims(t.GetTensorShape()), floatsOf(t)
	switch {
	case len(dims) != 1 && (len(dims) != 2 || dims[1] != 1):
		return nil, invalid("Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got %s", shapeText(dims))
	case dims[0] != int64(n):
		return nil, invalid("Input batch size did not match output batch size: %d vs. %d", n, dims[0])
	case t.GetDtype() != typespb.DataType_DT_FLOAT:
		return nil, invalid("Expected output Tensor of DT_FLOAT.  Got: %v", t.GetDtype())
	case len(values) != n:
		return nil, invalid("Expected output batch size to be %d.  Got: %d", n, len(values))
	}
	result := &servingpb.RegressionResult{}
	for _, x := range values {
		result.Regressions = append(result.Regressions, &servingpb.Regression{Value: x})
	}
	return result, nil
}
