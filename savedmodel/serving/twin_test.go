package serving

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sync/atomic"

	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// twin is Models without TensorFlow: TensorFlow Serving's own test model, y =
// x/2 + 2 and y3 = x2/2 + 3, as version 123 of "default", and a few signatures
// that show how requests arrive.
type twin struct {
	down     bool             // the engine is away
	labels   map[string]int64 // of versions
	held     atomic.Int64     // Find without Release
	requests atomic.Int64
	last     atomic.Pointer[servingpb.PredictRequest]
	reloaded *configpb.ModelServerConfig
}

const twinVersion = 123

func (t *twin) Find(spec *servingpb.ModelSpec) (Held, error) {
	if spec.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "ModelSpec has no name specified.")
	}
	version := int64(twinVersion)
	switch v := spec.GetVersionChoice().(type) {
	case *servingpb.ModelSpec_VersionLabel:
		var ok bool
		if version, ok = t.labels[v.VersionLabel]; !ok {
			return nil, status.Errorf(codes.InvalidArgument, "Unrecognized servable version label: %s", v.VersionLabel)
		}
	case *servingpb.ModelSpec_Version:
		version = v.Version.GetValue()
	}
	if spec.GetName() != "default" || version != twinVersion {
		return nil, status.Errorf(codes.NotFound, "Servable not found for request: Latest(%s)", spec.GetName())
	}
	t.held.Add(1)
	return &twinHeld{t}, nil
}

func (t *twin) Status(spec *servingpb.ModelSpec) ([]*servingpb.ModelVersionStatus, error) {
	if spec.GetName() != "default" {
		return nil, status.Errorf(codes.NotFound, "Could not find any versions of model %s", spec.GetName())
	}
	state := servingpb.ModelVersionStatus_AVAILABLE
	if t.down {
		state = servingpb.ModelVersionStatus_LOADING
	}
	return []*servingpb.ModelVersionStatus{{Version: twinVersion, State: state, Status: &servingpb.StatusProto{}}}, nil
}

func (t *twin) Reload(_ context.Context, c *configpb.ModelServerConfig) error {
	t.reloaded = c
	if len(c.GetModelConfigList().GetConfig()) == 0 {
		return status.Error(codes.InvalidArgument, "empty")
	}
	return nil
}

type twinHeld struct{ *twin }

func (h *twinHeld) Name() string                                { return "default" }
func (h *twinHeld) Version() int64                              { return twinVersion }
func (h *twinHeld) Release()                                    { h.held.Add(-1) }
func (h *twinHeld) Signatures() map[string]*corepb.SignatureDef { return twinSignatures }

func info(name string, t typespb.DataType, dims ...int64) *corepb.TensorInfo {
	s := tensorproto.Shape(dims)
	s.UnknownRank = dims == nil
	return &corepb.TensorInfo{Encoding: &corepb.TensorInfo_Name{Name: name}, Dtype: t, TensorShape: s}
}

const float, text = typespb.DataType_DT_FLOAT, typespb.DataType_DT_STRING

type (
	signatureDef = corepb.SignatureDef
	tensorProto  = tensorpb.TensorProto
)

// twinSignatures are those of saved_model_half_plus_two_cpu, and echoes.
var twinSignatures = func() map[string]*corepb.SignatureDef {
	type infos = map[string]*corepb.TensorInfo
	def := func(method string, in, out infos) *corepb.SignatureDef {
		//lint:ignore SA1019 deprecated for writers, but metadata shows it
		return &corepb.SignatureDef{MethodName: "tensorflow/serving/" + method, Inputs: in, Outputs: out}
	}
	example, x, x2 := info("tf_example:0", text), info("x:0", float, -1, 1), info("x2:0", float, -1, 1)
	y, y2, y3 := info("y:0", float, -1, 1), info("y2:0", float, -1, 1), info("y3:0", float, -1, 1)
	all := map[string]*corepb.SignatureDef{
		"serving_default":   def("predict", infos{"x": x}, infos{"y": y}),
		"classify_x_to_y":   def("classify", infos{"inputs": example}, infos{"scores": y}),
		"classify_x2_to_y3": def("classify", infos{"inputs": x2}, infos{"scores": y3}),
		"regress_x_to_y":    def("regress", infos{"inputs": example}, infos{"outputs": y}),
		"regress_x_to_y2":   def("regress", infos{"inputs": example}, infos{"outputs": y2}),
		"regress_x2_to_y3":  def("regress", infos{"inputs": x2}, infos{"outputs": y3}),
		"size":              def("predict", infos{"image_bytes": info("i:0", text, -1)}, infos{"size": info("s:0", typespb.DataType_DT_INT64, -1)}),
		"pictures":          def("predict", infos{"images": info("p:0", float, -1, 32, 32, 3)}, infos{"images": info("p:0", float, -1, 32, 32, 3)}),
	}
	for _, t := range []typespb.DataType{
		float, text, typespb.DataType_DT_DOUBLE, typespb.DataType_DT_BOOL, typespb.DataType_DT_HALF, typespb.DataType_DT_BFLOAT16,
		typespb.DataType_DT_INT8, typespb.DataType_DT_INT16, typespb.DataType_DT_INT32, typespb.DataType_DT_INT64,
		typespb.DataType_DT_UINT8, typespb.DataType_DT_UINT16, typespb.DataType_DT_UINT32, typespb.DataType_DT_UINT64,
	} {
		all["echo_"+tensorproto.Name(t)] = def("predict", infos{"v": info("v:0", t)}, infos{"v": info("v:0", t)})
	}
	few := infos{"int32_tensor": info("v:0", typespb.DataType_DT_INT32), "string_tensor": info("v:0", text), "string_bytes": info("v:0", text)}
	all["echo_few"] = def("predict", few, few)
	return all
}()

func (h *twinHeld) Predict(_ context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	h.requests.Add(1)
	h.last.Store(r)
	if h.down {
		return nil, status.Error(codes.Unavailable, "the model is being loaded again; try again in a moment")
	}
	name := r.GetModelSpec().GetSignatureName()
	out := map[string]*tensorpb.TensorProto{}
	sig := twinSignatures[name]
	for key, in := range r.GetInputs() {
		switch {
		case name == "size":
			sizes := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_INT64, TensorShape: in.GetTensorShape()}
			for _, s := range in.GetStringVal() {
				sizes.Int64Val = append(sizes.Int64Val, int64(len(s)))
			}
			out["size"] = sizes
		case name == "pictures" || len(name) > 5 && name[:5] == "echo_":
			out[key] = in
		default:
			for result, info := range sig.GetOutputs() {
				y, err := halfPlus(info.GetName(), in)
				if err != nil {
					return nil, err
				}
				out[result] = y
			}
		}
	}
	if f := r.GetOutputFilter(); len(f) > 0 {
		for key := range out {
			if !slices.Contains(f, key) {
				delete(out, key)
			}
		}
	}
	return &servingpb.PredictResponse{Outputs: out}, nil
}

// halfPlus is x/2 + 2, or + 3, of numbers or of the feature x of Examples.
func halfPlus(output string, in *tensorpb.TensorProto) (*tensorpb.TensorProto, error) {
	add := float32(3)
	if output == "y:0" {
		add = 2
	}
	out := &tensorpb.TensorProto{Dtype: float, TensorShape: in.GetTensorShape()}
	for i := 0; i < len(in.GetTensorContent()); i += 4 {
		x := math.Float32frombits(binary.LittleEndian.Uint32(in.GetTensorContent()[i:]))
		out.FloatVal = append(out.FloatVal, x/2+add)
	}
	if in.GetDtype() != text {
		return out, nil
	}
	out.TensorShape = tensorproto.Shape([]int64{int64(len(in.GetStringVal())), 1})
	for _, s := range in.GetStringVal() {
		var e examplepb.Example
		if err := proto.Unmarshal(s, &e); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "Could not parse example input: %v", err)
		}
		x := e.GetFeatures().GetFeature()["x"].GetFloatList().GetValue()
		if len(x) != 1 {
			return nil, status.Error(codes.InvalidArgument, "Feature: x (data type: float) is required but could not be found.")
		}
		out.FloatVal = append(out.FloatVal, x[0]/2+add)
	}
	return out, nil
}
