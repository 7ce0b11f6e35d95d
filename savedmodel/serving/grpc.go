package serving

import (
	"context"
	"slices"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
)

// grpcFront is TensorFlow Serving's gRPC interface.
type grpcFront struct{ front }

func newGRPC(models Models, limits Limits) grpcFront {
	return grpcFront{front{models, limits.fill()}}
}

// register makes s answer for models: PredictionService, ModelService, and
// gRPC's health service, which knows both by TensorFlow Serving's names and the
// server as "". The caller ends its answers with Shutdown.
func (g grpcFront) register(s *grpc.Server) *health.Server {
	rpc.RegisterPrediction(s, g)
	rpc.RegisterManagement(s, g)
	h := health.NewServer()
	for _, name := range []string{"", "PredictionService", "ModelService", rpc.PredictionService, rpc.ModelService} {
		h.SetServingStatus(name, healthpb.HealthCheckResponse_SERVING)
	}
	healthpb.RegisterHealthServer(s, h)
	return h
}

// within counts a request against the budget while f works.
func within[R any](g grpcFront, ctx context.Context, r proto.Message, spec *servingpb.ModelSpec, f func() (R, error)) (out R, err error) {
	if spec == nil {
		return out, invalid("Missing ModelSpec")
	}
	l := &lease{budget: g.limits.budget}
	defer l.end()
	if err := l.take(int64(proto.Size(r))); err != nil {
		return out, err
	}
	if out, err = f(); err != nil {
		var none R
		return none, stateOf(ctx, err)
	}
	return out, nil
}

// Predict runs a signature. Its numbers may come in tensor_content or in the
// field of their type, as TensorFlow's clients write them.
func (g grpcFront) Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	return within(g, ctx, r, r.GetModelSpec(), func() (*servingpb.PredictResponse, error) {
		m, err := g.models.Find(r.GetModelSpec())
		if err != nil {
			return nil, err
		}
		defer m.Release()
		name := signatureName(r.GetModelSpec())
		sig, ok := m.Signatures()[name]
		if !ok {
			return nil, status.Errorf(codes.FailedPrecondition, "Serving signature key \"%s\" not found.", clip(name))
		}
		return g.predict(ctx, m, name, sig, r.GetInputs(), r.GetOutputFilter())
	})
}

// Classify gives candidates for each Example.
func (g grpcFront) Classify(ctx context.Context, r *servingpb.ClassificationRequest) (*servingpb.ClassificationResponse, error) {
	return within(g, ctx, r, r.GetModelSpec(), func() (*servingpb.ClassificationResponse, error) {
		return g.classify(ctx, r.GetModelSpec(), r.GetInput())
	})
}

// Regress gives a number for each Example.
func (g grpcFront) Regress(ctx context.Context, r *servingpb.RegressionRequest) (*servingpb.RegressionResponse, error) {
	return within(g, ctx, r, r.GetModelSpec(), func() (*servingpb.RegressionResponse, error) {
		return g.regress(ctx, r.GetModelSpec(), r.GetInput())
	})
}

// MultiInference runs several signatures on the same Examples.
func (g grpcFront) MultiInference(ctx context.Context, r *servingpb.MultiInferenceRequest) (*servingpb.MultiInferenceResponse, error) {
	return within(g, ctx, r, &servingpb.ModelSpec{}, func() (*servingpb.MultiInferenceResponse, error) { return g.infer(ctx, r) })
}

// GetModelMetadata gives a model's signatures, the only metadata there is.
func (g grpcFront) GetModelMetadata(ctx context.Context, r *servingpb.GetModelMetadataRequest) (*servingpb.GetModelMetadataResponse, error) {
	return within(g, ctx, r, r.GetModelSpec(), func() (*servingpb.GetModelMetadataResponse, error) {
		if len(r.GetMetadataField()) == 0 {
			return nil, invalid("GetModelMetadataRequest must specify at least one metadata_field")
		}
		if i := slices.IndexFunc(r.GetMetadataField(), func(f string) bool { return f != signaturesField }); i >= 0 {
			return nil, invalid("Metadata field %s is not supported", clip(r.GetMetadataField()[i]))
		}
		out, _, err := g.metadata(ctx, r.GetModelSpec())
		return out, err
	})
}

// GetModelStatus gives the states of a model's versions.
func (g grpcFront) GetModelStatus(ctx context.Context, r *servingpb.GetModelStatusRequest) (*servingpb.GetModelStatusResponse, error) {
	return within(g, ctx, r, r.GetModelSpec(), func() (*servingpb.GetModelStatusResponse, error) {
		versions, err := g.models.Status(r.GetModelSpec())
		return &servingpb.GetModelStatusResponse{ModelVersionStatus: versions}, err
	})
}

// HandleReloadConfigRequest replaces the list of models.
func (g grpcFront) HandleReloadConfigRequest(ctx context.Context, r *servingpb.ReloadConfigRequest) (*servingpb.ReloadConfigResponse, error) {
	return within(g, ctx, r, &servingpb.ModelSpec{}, func() (*servingpb.ReloadConfigResponse, error) {
		if r.GetConfig().GetModelConfigList() == nil {
			return nil, invalid("ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported")
		}
		if len(r.GetMetricNames()) > 0 {
			return nil, unimplemented("metric_names: the increase of a metric is not told; read /monitoring/prometheus/metrics")
		}
		if err := g.models.Reload(ctx, r.GetConfig()); err != nil {
			return nil, err
		}
		return &servingpb.ReloadConfigResponse{Status: &servingpb.StatusProto{}}, nil
	})
}
