package serving

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"testing"

	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
)

func spec(signature string) *servingpb.ModelSpec {
	return &servingpb.ModelSpec{Name: "default", SignatureName: signature}
}

// isSpec reports whether a reply names what answered.
func isSpec(s *servingpb.ModelSpec, signature string) bool {
	return s.GetName() == "default" && s.GetVersion().GetValue() == 123 && s.GetSignatureName() == signature
}

func numbers(dims []int64, list ...float32) *tensorpb.TensorProto {
	return &tensorpb.TensorProto{Dtype: float, TensorShape: tensorproto.Shape(dims), FloatVal: list}
}

func examples(list ...float32) *servingpb.Input {
	e := &servingpb.ExampleList{}
	for _, x := range list {
		e.Examples = append(e.Examples, &examplepb.Example{Features: &examplepb.Features{Feature: map[string]*examplepb.Feature{
			"x": {Kind: &examplepb.Feature_FloatList{FloatList: &examplepb.FloatList{Value: []float32{x}}}},
		}}})
	}
	return &servingpb.Input{Kind: &servingpb.Input_ExampleList{ExampleList: e}}
}

func TestPredictByGRPC(t *testing.T) {
	client, _ := dial(t, &twin{})
	for _, signature := range []string{"", "serving_default"} {
		for _, filter := range [][]string{nil, {"y"}} {
			out, err := client.Predict(t.Context(), &servingpb.PredictRequest{
				ModelSpec: spec(signature), Inputs: map[string]*tensorpb.TensorProto{"x": numbers([]int64{1}, 2)}, OutputFilter: filter,
			})
			if err != nil {
				t.Fatal(err)
			}
			if y := out.GetOutputs()["y"]; len(out.GetOutputs()) != 1 || !slices.Equal(y.GetFloatVal(), []float32{3}) || !isSpec(out.GetModelSpec(), "serving_default") {
				t.Errorf("%v", out)
			}
		}
	}
}

// Numbers come in any of the forms that TensorFlow's clients write.
func TestFormsOfATensor(t *testing.T) {
	m := &twin{}
	client, _ := dial(t, m)
	content := numbers([]int64{2, 1})
	content.TensorContent = []byte{0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x3f}
	for name, x := range map[string]*tensorpb.TensorProto{
		"content": content, "values": numbers([]int64{2, 1}, 1, 1), "one value for all": numbers([]int64{2, 1}, 1),
	} {
		out, err := client.Predict(t.Context(), &servingpb.PredictRequest{ModelSpec: spec(""), Inputs: map[string]*tensorpb.TensorProto{"x": x}})
		if err != nil || !slices.Equal(out.GetOutputs()["y"].GetFloatVal(), []float32{2.5, 2.5}) {
			t.Errorf("%s: %v, %v", name, out, err)
		}
		if got := m.last.Load().GetInputs()["x"]; !bytes.Equal(got.GetTensorContent(), content.TensorContent) || len(got.GetFloatVal()) != 0 {
			t.Errorf("%s: the model was asked with %v", name, got)
		}
	}
}

func TestTypesByGRPC(t *testing.T) {
	m := &twin{}
	client, _ := dial(t, m)
	for dtype, c := range map[typespb.DataType]struct {
		in   *tensorpb.TensorProto
		want []byte
	}{
		typespb.DataType_DT_DOUBLE:   {&tensorpb.TensorProto{DoubleVal: []float64{1}}, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}},
		typespb.DataType_DT_BOOL:     {&tensorpb.TensorProto{BoolVal: []bool{true}}, []byte{1}},
		typespb.DataType_DT_HALF:     {&tensorpb.TensorProto{HalfVal: []int32{0x3c00}}, []byte{0, 0x3c}},
		typespb.DataType_DT_BFLOAT16: {&tensorpb.TensorProto{HalfVal: []int32{0x3f80}}, []byte{0x80, 0x3f}},
		typespb.DataType_DT_INT8:     {&tensorpb.TensorProto{IntVal: []int32{-2}}, []byte{0xfe}},
		typespb.DataType_DT_INT16:    {&tensorpb.TensorProto{IntVal: []int32{-2}}, []byte{0xfe, 0xff}},
		typespb.DataType_DT_INT32:    {&tensorpb.TensorProto{IntVal: []int32{-2}}, []byte{0xfe, 0xff, 0xff, 0xff}},
		typespb.DataType_DT_INT64:    {&tensorpb.TensorProto{Int64Val: []int64{-2}}, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		typespb.DataType_DT_UINT8:    {&tensorpb.TensorProto{IntVal: []int32{255}}, []byte{255}},
		typespb.DataType_DT_UINT16:   {&tensorpb.TensorProto{IntVal: []int32{65535}}, []byte{255, 255}},
		typespb.DataType_DT_UINT32:   {&tensorpb.TensorProto{Uint32Val: []uint32{1}}, []byte{1, 0, 0, 0}},
		typespb.DataType_DT_UINT64:   {&tensorpb.TensorProto{Uint64Val: []uint64{1}}, []byte{1, 0, 0, 0, 0, 0, 0, 0}},
	} {
		c.in.Dtype, c.in.TensorShape = dtype, tensorproto.Shape(nil)
		r := &servingpb.PredictRequest{ModelSpec: spec("echo_" + tensorproto.Name(dtype)), Inputs: map[string]*tensorpb.TensorProto{"v": c.in}}
		if _, err := client.Predict(t.Context(), r); err != nil {
			t.Errorf("%v: %v", dtype, err)
		} else if got := m.last.Load().GetInputs()["v"].GetTensorContent(); !bytes.Equal(got, c.want) {
			t.Errorf("%v: % x, want % x", dtype, got, c.want)
		}
		for _, wide := range []int32{math.MaxInt32, math.MinInt32} {
			if c.in.IntVal == nil && c.in.HalfVal == nil || dtype == typespb.DataType_DT_INT32 {
				continue
			}
			c.in.IntVal, c.in.HalfVal = []int32{wide}, []int32{wide}
			if _, err := client.Predict(t.Context(), r); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%v takes %d: %v", dtype, wide, err)
			}
		}
	}
}

func TestRefusalsByGRPC(t *testing.T) {
	client, _ := dial(t, &twin{})
	x := map[string]*tensorpb.TensorProto{"x": numbers([]int64{1}, 2)}
	version := spec("")
	version.VersionChoice = &servingpb.ModelSpec_Version{Version: wrapperspb.Int64(7)}
	for want, r := range map[string]*servingpb.PredictRequest{
		`FailedPrecondition Serving signature key "no" not found.`:                                                                  {ModelSpec: spec("no"), Inputs: x},
		`InvalidArgument ModelSpec has no name specified.`:                                                                          {ModelSpec: &servingpb.ModelSpec{}, Inputs: x},
		`NotFound Servable not found for request: Latest(default)`:                                                                  {ModelSpec: version, Inputs: x},
		`InvalidArgument output tensor alias not found in signature: z Outputs expected to be in the set {y}.`:                      {ModelSpec: spec(""), Inputs: x, OutputFilter: []string{"z"}},
		`InvalidArgument duplicate output tensor alias: y`:                                                                          {ModelSpec: spec(""), Inputs: x, OutputFilter: []string{"y", "y"}},
		`InvalidArgument input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.`: {ModelSpec: spec("")},
	} {
		_, err := client.Predict(t.Context(), r)
		if got := status.Code(err).String() + " " + status.Convert(err).Message(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

func TestExamplesByGRPC(t *testing.T) {
	client, _ := dial(t, &twin{})
	c, err := client.Classify(t.Context(), &servingpb.ClassificationRequest{ModelSpec: spec("classify_x_to_y"), Input: examples(2)})
	if err != nil || !isSpec(c.GetModelSpec(), "classify_x_to_y") || len(c.GetResult().GetClassifications()) != 1 ||
		len(c.GetResult().GetClassifications()[0].GetClasses()) != 1 || c.GetResult().GetClassifications()[0].GetClasses()[0].GetScore() != 3 {
		t.Errorf("%v, %v", c, err)
	}
	r, err := client.Regress(t.Context(), &servingpb.RegressionRequest{ModelSpec: spec("regress_x_to_y"), Input: examples(2, 4)})
	if err != nil || !isSpec(r.GetModelSpec(), "regress_x_to_y") || len(r.GetResult().GetRegressions()) != 2 || r.GetResult().GetRegressions()[1].GetValue() != 4 {
		t.Errorf("%v, %v", r, err)
	}
	for _, in := range []*servingpb.Input{nil, {}, examples()} {
		if _, err := client.Regress(t.Context(), &servingpb.RegressionRequest{ModelSpec: spec("regress_x_to_y"), Input: in}); status.Convert(err).Message() != "Input is empty." {
			t.Errorf("%v: %v", in, err)
		}
	}
	if _, err := client.Classify(t.Context(), &servingpb.ClassificationRequest{Input: examples(2)}); status.Convert(err).Message() != "Missing ModelSpec" {
		t.Error(err)
	}
}

func task(signature, method string) *servingpb.InferenceTask {
	return &servingpb.InferenceTask{ModelSpec: spec(signature), MethodName: "tensorflow/serving/" + method}
}

func TestMultiInference(t *testing.T) {
	client, _ := dial(t, &twin{})
	out, err := client.MultiInference(t.Context(), &servingpb.MultiInferenceRequest{
		Tasks: []*servingpb.InferenceTask{task("regress_x_to_y", "regress"), task("classify_x_to_y", "classify")}, Input: examples(2),
	})
	if err != nil || len(out.GetResults()) != 2 {
		t.Fatalf("%v, %v", out, err)
	}
	first, second := out.GetResults()[0], out.GetResults()[1]
	if first.GetRegressionResult().GetRegressions()[0].GetValue() != 3 || !isSpec(first.GetModelSpec(), "regress_x_to_y") ||
		second.GetClassificationResult().GetClassifications()[0].GetClasses()[0].GetScore() != 3 || !isSpec(second.GetModelSpec(), "classify_x_to_y") {
		t.Errorf("%v", out)
	}
	other := task("regress_x_to_y", "regress")
	other.ModelSpec.Name = "other"
	for want, tasks := range map[string][]*servingpb.InferenceTask{
		"ModelSpec has no name specified.":                                           nil,
		"Duplicate evaluation of signature: regress_x_to_y":                          {task("regress_x_to_y", "regress"), task("regress_x_to_y", "regress")},
		"Requested signature not found in model graph: no":                           {task("no", "regress")},
		"Unsupported signature method_name: tensorflow/serving/predict":              {task("serving_default", "predict")},
		"All ModelSpecs in a MultiInferenceRequest must access the same model name.": {task("regress_x_to_y", "regress"), other},
		"No regression inputs found in SignatureDef: its input is x":                 {task("serving_default", "regress")},
	} {
		_, err := client.MultiInference(t.Context(), &servingpb.MultiInferenceRequest{Tasks: tasks, Input: examples(2)})
		if status.Convert(err).Message() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestModelServiceAndMetadata(t *testing.T) {
	m := &twin{}
	client, conn := dial(t, m)
	s, err := client.GetModelStatus(t.Context(), &servingpb.GetModelStatusRequest{ModelSpec: spec("")})
	if v := s.GetModelVersionStatus(); err != nil || len(v) != 1 || v[0].GetVersion() != 123 || v[0].GetState() != servingpb.ModelVersionStatus_AVAILABLE || v[0].GetStatus().GetErrorCode() != 0 {
		t.Errorf("%v, %v", s, err)
	}
	meta, err := client.GetModelMetadata(t.Context(), &servingpb.GetModelMetadataRequest{ModelSpec: spec(""), MetadataField: []string{"signature_def"}})
	if err != nil || !isSpec(meta.GetModelSpec(), "") || len(meta.GetMetadata()) != 1 {
		t.Fatalf("%v, %v", meta, err)
	}
	var defs servingpb.SignatureDefMap
	if err := meta.GetMetadata()["signature_def"].UnmarshalTo(&defs); err != nil || !maps.EqualFunc(defs.GetSignatureDef(), twinSignatures, func(a, b *signatureDef) bool { return proto.Equal(a, b) }) {
		t.Errorf("%v, %v", &defs, err)
	}
	for _, field := range [][]string{nil, {"other"}} {
		if _, err := client.GetModelMetadata(t.Context(), &servingpb.GetModelMetadataRequest{ModelSpec: spec(""), MetadataField: field}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", field, err)
		}
	}
	list := &configpb.ModelServerConfig{Config: &configpb.ModelServerConfig_ModelConfigList{ModelConfigList: &configpb.ModelConfigList{Config: []*configpb.ModelConfig{{Name: "b"}}}}}
	if _, err := client.HandleReloadConfigRequest(t.Context(), &servingpb.ReloadConfigRequest{Config: list}); err != nil || !proto.Equal(m.reloaded, list) {
		t.Errorf("%v, %v", m.reloaded, err)
	}
	if _, err := client.HandleReloadConfigRequest(t.Context(), &servingpb.ReloadConfigRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
	for _, name := range []string{"", "ModelService", "PredictionService", rpc.PredictionService} {
		h, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil || h.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", name, h, err)
		}
	}
}

func TestGRPCWhileTheEngineIsDown(t *testing.T) {
	client, _ := dial(t, &twin{down: true})
	if _, err := client.Regress(t.Context(), &servingpb.RegressionRequest{ModelSpec: spec("regress_x_to_y"), Input: examples(2)}); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}
