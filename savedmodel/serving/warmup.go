package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// maxWarmups bounds the records of a warm-up file, as TensorFlow Serving does.
const maxWarmups = 1000

// warmUp sends the requests of a version's warm-up file, each so many times. A
// version without such a file needs none.
func warmUp(ctx context.Context, dir string, times int, sigs map[string]*corepb.SignatureDef, predict func(context.Context, *servingpb.PredictRequest) (*servingpb.PredictResponse, error)) error {
	path := filepath.Join(dir, "assets.extra", "tf_serving_warmup_requests")
	records, err := tfrecord.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	defer records.Close()
	for n := 0; ; n++ {
		raw, err := records.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("warm-up: %w; the file must be in TFRecord format", err)
		}
		if n == maxWarmups {
			return fmt.Errorf("warm-up: number of warmup records exceeds the maximum (%d) at %s", maxWarmups, path)
		}
		requests, err := warmupRequests(raw, sigs)
		if err != nil {
			return fmt.Errorf("warm-up: record %d of %s: %w", n, path, err)
		}
		for range max(1, times) {
			for _, r := range requests {
				if _, err := predict(ctx, r); err != nil {
					return fmt.Errorf("warm-up: record %d of %s: %w", n, path, err)
				}
			}
		}
	}
}

// warmupRequests are the predictions that a PredictionLog comes down to.
func warmupRequests(raw []byte, sigs map[string]*corepb.SignatureDef) ([]*servingpb.PredictRequest, error) {
	var l servingpb.PredictionLog
	if err := proto.Unmarshal(raw, &l); err != nil {
		return nil, fmt.Errorf("it is no PredictionLog: %w", err)
	}
	switch l := l.GetLogType().(type) {
	case *servingpb.PredictionLog_PredictLog:
		return []*servingpb.PredictRequest{l.PredictLog.GetRequest()}, nil
	case *servingpb.PredictionLog_ClassifyLog:
		r := l.ClassifyLog.GetRequest()
		return onExamples(r.GetInput(), sigs, r.GetModelSpec())
	case *servingpb.PredictionLog_RegressLog:
		r := l.RegressLog.GetRequest()
		return onExamples(r.GetInput(), sigs, r.GetModelSpec())
	case *servingpb.PredictionLog_MultiInferenceLog:
		r := l.MultiInferenceLog.GetRequest()
		var specs []*servingpb.ModelSpec
		for _, t := range r.GetTasks() {
			specs = append(specs, t.GetModelSpec())
		}
		return onExamples(r.GetInput(), sigs, specs...)
	}
	return nil, fmt.Errorf("it holds a %T; want a predict, classify, regress or multi_inference log", l.GetLogType())
}

// onExamples feeds tf.Examples to signatures of one string input.
func onExamples(in *servingpb.Input, sigs map[string]*corepb.SignatureDef, specs ...*servingpb.ModelSpec) ([]*servingpb.PredictRequest, error) {
	list := in.GetExampleList().GetExamples()
	if w := in.GetExampleListWithContext(); w != nil {
		for _, e := range w.GetExamples() {
			whole := proto.CloneOf(w.GetContext())
			proto.Merge(whole, e)
			list = append(list, whole)
		}
	}
	t := &tensorpb.TensorProto{
		Dtype: typespb.DataType_DT_STRING, TensorShape: &shapepb.TensorShapeProto{Dim: []*shapepb.TensorShapeProto_Dim{{Size: int64(len(list))}}},
	}
	for _, e := range list {
		raw, err := proto.Marshal(e)
		if err != nil {
			return nil, err
		}
		t.StringVal = append(t.StringVal, raw)
	}
	var requests []*servingpb.PredictRequest
	for _, spec := range specs {
		sig, ok := sigs[signatureName(spec)]
		if !ok || len(sig.GetInputs()) != 1 {
			return nil, fmt.Errorf("the model has no signature %q with one input", signatureName(spec))
		}
		for name := range sig.GetInputs() {
			requests = append(requests, &servingpb.PredictRequest{ModelSpec: spec, Inputs: map[string]*tensorpb.TensorProto{name: t}})
		}
	}
	return requests, nil
}
