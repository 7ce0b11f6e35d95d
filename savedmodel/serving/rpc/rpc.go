// Package rpc describes TensorFlow Serving's services for gRPC: what clients
// call at the front, and what the front calls at its TensorFlow child. The
// messages are graft's; the service descriptions, which graft lacks, are written
// here by hand.
package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
)

// The services' full names.
const (
	PredictionService = "tensorflow.serving.PredictionService"
	ModelService      = "tensorflow.serving.ModelService"
)

// How the front and its child speak: tensors are megabytes, so they are sent ahead
// and in large pieces, and a message is garbage as soon as it is passed on, so a heap
// may grow to five times what is kept before it is collected.
const (
	Window    = 16 << 20
	Buffer    = 256 << 10
	GCPercent = 400
)

// Predictor answers predictions; a TensorFlow child is one.
type Predictor interface {
	Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error)
}

// Prediction is the whole PredictionService.
type Prediction interface {
	Predictor
	Classify(ctx context.Context, r *servingpb.ClassificationRequest) (*servingpb.ClassificationResponse, error)
	Regress(ctx context.Context, r *servingpb.RegressionRequest) (*servingpb.RegressionResponse, error)
	MultiInference(ctx context.Context, r *servingpb.MultiInferenceRequest) (*servingpb.MultiInferenceResponse, error)
	GetModelMetadata(ctx context.Context, r *servingpb.GetModelMetadataRequest) (*servingpb.GetModelMetadataResponse, error)
}

// Management is the ModelService.
type Management interface {
	GetModelStatus(ctx context.Context, r *servingpb.GetModelStatusRequest) (*servingpb.GetModelStatusResponse, error)
	HandleReloadConfigRequest(ctx context.Context, r *servingpb.ReloadConfigRequest) (*servingpb.ReloadConfigResponse, error)
}

var predict = method(PredictionService, "Predict", Predictor.Predict)

var (
	predictorService = grpc.ServiceDesc{
		ServiceName: PredictionService, HandlerType: (*Predictor)(nil), Metadata: "tensorflow_serving/apis/prediction_service.proto",
		Methods: []grpc.MethodDesc{predict},
	}
	predictionService = grpc.ServiceDesc{
		ServiceName: PredictionService, HandlerType: (*Prediction)(nil), Metadata: "tensorflow_serving/apis/prediction_service.proto",
		Methods: []grpc.MethodDesc{
			predict,
			method(PredictionService, "Classify", Prediction.Classify),
			method(PredictionService, "Regress", Prediction.Regress),
			method(PredictionService, "MultiInference", Prediction.MultiInference),
			method(PredictionService, "GetModelMetadata", Prediction.GetModelMetadata),
		},
	}
	modelService = grpc.ServiceDesc{
		ServiceName: ModelService, HandlerType: (*Management)(nil), Metadata: "tensorflow_serving/apis/model_service.proto",
		Methods: []grpc.MethodDesc{
			method(ModelService, "GetModelStatus", Management.GetModelStatus),
			method(ModelService, "HandleReloadConfigRequest", Management.HandleReloadConfigRequest),
		},
	}
)

// Register makes s serve predictions and nothing else.
func Register(s grpc.ServiceRegistrar, p Predictor) { s.RegisterService(&predictorService, p) }

// RegisterPrediction makes s serve the PredictionService.
func RegisterPrediction(s grpc.ServiceRegistrar, p Prediction) {
	s.RegisterService(&predictionService, p)
}

// RegisterManagement makes s serve the ModelService.
func RegisterManagement(s grpc.ServiceRegistrar, m Management) { s.RegisterService(&modelService, m) }

// method describes a call without streams.
func method[S any, Q any, R proto.Message, P interface {
	*Q
	proto.Message
}](service, name string, f func(S, context.Context, P) (R, error),
) grpc.MethodDesc {
	full := "/" + service + "/" + name
	return grpc.MethodDesc{MethodName: name, Handler: func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := P(new(Q))
		if err := decode(in); err != nil {
			return nil, err
		}
		call := func(ctx context.Context, r any) (any, error) { return f(srv.(S), ctx, r.(P)) }
		if intercept == nil {
			return call(ctx, in)
		}
		return intercept(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: full}, call)
	}}
}

// Client calls the services.
type Client struct{ Conn grpc.ClientConnInterface }

// Predict runs a signature of a model.
func (c Client) Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	return invoke(ctx, c.Conn, PredictionService+"/Predict", r, new(servingpb.PredictResponse))
}

// Classify gives candidates for each Example.
func (c Client) Classify(ctx context.Context, r *servingpb.ClassificationRequest) (*servingpb.ClassificationResponse, error) {
	return invoke(ctx, c.Conn, PredictionService+"/Classify", r, new(servingpb.ClassificationResponse))
}

// Regress gives a number for each Example.
func (c Client) Regress(ctx context.Context, r *servingpb.RegressionRequest) (*servingpb.RegressionResponse, error) {
	return invoke(ctx, c.Conn, PredictionService+"/Regress", r, new(servingpb.RegressionResponse))
}

// MultiInference runs several signatures on the same Examples.
func (c Client) MultiInference(ctx context.Context, r *servingpb.MultiInferenceRequest) (*servingpb.MultiInferenceResponse, error) {
	return invoke(ctx, c.Conn, PredictionService+"/MultiInference", r, new(servingpb.MultiInferenceResponse))
}

// GetModelMetadata gives a model's signatures.
func (c Client) GetModelMetadata(ctx context.Context, r *servingpb.GetModelMetadataRequest) (*servingpb.GetModelMetadataResponse, error) {
	return invoke(ctx, c.Conn, PredictionService+"/GetModelMetadata", r, new(servingpb.GetModelMetadataResponse))
}

// GetModelStatus gives the states of a model's versions.
func (c Client) GetModelStatus(ctx context.Context, r *servingpb.GetModelStatusRequest) (*servingpb.GetModelStatusResponse, error) {
	return invoke(ctx, c.Conn, ModelService+"/GetModelStatus", r, new(servingpb.GetModelStatusResponse))
}

// HandleReloadConfigRequest replaces the list of models.
func (c Client) HandleReloadConfigRequest(ctx context.Context, r *servingpb.ReloadConfigRequest) (*servingpb.ReloadConfigResponse, error) {
	return invoke(ctx, c.Conn, ModelService+"/HandleReloadConfigRequest", r, new(servingpb.ReloadConfigResponse))
}

func invoke[R any](ctx context.Context, conn grpc.ClientConnInterface, method string, in any, out R) (R, error) {
	if err := conn.Invoke(ctx, "/"+method, in, out); err != nil {
		var none R
		return none, err
	}
	return out, nil
}
