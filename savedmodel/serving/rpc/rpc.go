// Package rpc describes TensorFlow Serving's PredictionService for gRPC, as far
// as the front and its TensorFlow child speak it. The messages are graft's; the
// service descriptions, which graft lacks, are written here by hand.
package rpc

import (
	"context"

	"google.golang.org/grpc"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
)

const predictMethod = "/tensorflow.serving.PredictionService/Predict"

// Predictor answers predictions.
type Predictor interface {
	Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error)
}

var service = grpc.ServiceDesc{
	ServiceName: "tensorflow.serving.PredictionService",
	HandlerType: (*Predictor)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Predict", Handler: handlePredict}},
	Metadata:    "tensorflow_serving/apis/prediction_service.proto",
}

// Register makes s serve p.
func Register(s grpc.ServiceRegistrar, p Predictor) { s.RegisterService(&service, p) }

func handlePredict(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	in := new(servingpb.PredictRequest)
	if err := decode(in); err != nil {
		return nil, err
	}
	call := func(ctx context.Context, r any) (any, error) {
		return srv.(Predictor).Predict(ctx, r.(*servingpb.PredictRequest))
	}
	if intercept == nil {
		return call(ctx, in)
	}
	return intercept(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: predictMethod}, call)
}

// Client calls a PredictionService.
type Client struct{ Conn grpc.ClientConnInterface }

// Predict calls the service.
func (c Client) Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	out := new(servingpb.PredictResponse)
	if err := c.Conn.Invoke(ctx, predictMethod, r, out); err != nil {
		return nil, err
	}
	return out, nil
}
