package savedmodel

import (
	"bytes"
	"fmt"

	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// WarmupFile is where TensorFlow Serving looks for requests that it sends to a
// model before it is available: the first request of a signature pays for
// TensorFlow's graph optimisation, which takes seconds.
const WarmupFile = "tf_serving_warmup_requests" // in assets.extra

// Warmup collects requests for WarmupFile.
type Warmup struct {
	Model string // its name
	logs  []*servingpb.PredictionLog
	err   error
}

// Predict adds a request of a signature with one input.
func (w *Warmup) Predict(signature, input string, value *tfgraph.Value) {
	p, err := ToProto(value)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("savedmodel: warm-up of %s: %w", signature, err)
	}
	request := &servingpb.PredictRequest{ModelSpec: w.spec(signature), Inputs: map[string]*tensorpb.TensorProto{input: p}}
	w.logs = append(w.logs, &servingpb.PredictionLog{LogType: &servingpb.PredictionLog_PredictLog{PredictLog: &servingpb.PredictLog{Request: request}}})
}

// Classify adds a request of a classification signature.
func (w *Warmup) Classify(signature string, examples ...*examplepb.Example) {
	request := &servingpb.ClassificationRequest{ModelSpec: w.spec(signature), Input: &servingpb.Input{
		Kind: &servingpb.Input_ExampleList{ExampleList: &servingpb.ExampleList{Examples: examples}},
	}}
	w.logs = append(w.logs, &servingpb.PredictionLog{LogType: &servingpb.PredictionLog_ClassifyLog{ClassifyLog: &servingpb.ClassifyLog{Request: request}}})
}

func (w *Warmup) spec(signature string) *servingpb.ModelSpec {
	return &servingpb.ModelSpec{Name: w.Model, SignatureName: signature}
}

// File is the content of WarmupFile: a PredictionLog a record.
func (w *Warmup) File() ([]byte, error) {
	var out bytes.Buffer
	records := tfrecord.NewWriter(&out)
	for _, l := range w.logs {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(l)
		if err == nil && w.err == nil {
			err = records.Write(raw)
		}
		if err != nil && w.err == nil {
			w.err = fmt.Errorf("savedmodel: warm-up: %w", err)
		}
	}
	return out.Bytes(), w.err
}

// ImageExample is the tf.train.Example of an encoded image, under the key that
// the classification signature reads.
func ImageExample(key string, encoded []byte) *examplepb.Example {
	return &examplepb.Example{Features: &examplepb.Features{Feature: map[string]*examplepb.Feature{
		key: {Kind: &examplepb.Feature_BytesList{BytesList: &examplepb.BytesList{Value: [][]byte{encoded}}}},
	}}}
}
