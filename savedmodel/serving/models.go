package serving

import (
	"context"

	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"
)

// Models are what a server serves. Its errors are gRPC states with TensorFlow
// Serving's codes and wording, whatever the transport that asks.
type Models interface {
	// Find holds the version that a request names by number or by label; without
	// either, the newest one that is available.
	Find(spec *servingpb.ModelSpec) (Held, error)
	// Status tells the state of each version that spec fits, newest first.
	Status(spec *servingpb.ModelSpec) ([]*servingpb.ModelVersionStatus, error)
	// Reload replaces the list of models: what it leaves out is unloaded. It
	// returns when each model named has a version available, or cannot have one.
	Reload(ctx context.Context, config *configpb.ModelServerConfig) error
}

// Held is one loaded version of a model, which stays loaded until Release.
type Held interface {
	Name() string
	Version() int64
	Signatures() map[string]*corepb.SignatureDef
	// Predict runs a signature. The request has been checked against it; it may
	// be run together with others of its kind.
	Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error)
	Release()
}
