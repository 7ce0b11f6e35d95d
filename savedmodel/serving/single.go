package serving

import (
	"context"

	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// single is Models of one version of one model, which a child serves.
type single struct {
	name       string
	version    int64
	signatures map[string]*corepb.SignatureDef
	child      *child
}

func (s *single) Name() string                                { return s.name }
func (s *single) Version() int64                              { return s.version }
func (s *single) Signatures() map[string]*corepb.SignatureDef { return s.signatures }
func (s *single) Release()                                    {}

func (s *single) Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	return s.child.Predict(ctx, r)
}

func (s *single) Find(spec *servingpb.ModelSpec) (Held, error) {
	switch v := spec.GetVersionChoice().(type) {
	case *servingpb.ModelSpec_VersionLabel:
		return nil, invalid("Unrecognized servable version label: %s", v.VersionLabel)
	case *servingpb.ModelSpec_Version:
		if v.Version.GetValue() != s.version {
			return nil, status.Errorf(codes.NotFound, "Servable not found for request: Specific(%s, %d)", spec.GetName(), v.Version.GetValue())
		}
	}
	if spec.GetName() != s.name {
		return nil, status.Errorf(codes.NotFound, "Servable not found for request: Latest(%s)", spec.GetName())
	}
	return s, nil
}

func (s *single) Status(spec *servingpb.ModelSpec) ([]*servingpb.ModelVersionStatus, error) {
	if spec.GetName() != s.name {
		return nil, status.Errorf(codes.NotFound, "Could not find any versions of model %s", spec.GetName())
	}
	if v, ok := spec.GetVersionChoice().(*servingpb.ModelSpec_Version); ok && v.Version.GetValue() != s.version {
		return nil, status.Errorf(codes.NotFound, "Could not find version %d of model %s", v.Version.GetValue(), spec.GetName())
	}
	state := servingpb.ModelVersionStatus_AVAILABLE
	if !s.child.ready() {
		state = servingpb.ModelVersionStatus_LOADING
	}
	return []*servingpb.ModelVersionStatus{{Version: s.version, State: state}}, nil
}

func (s *single) Reload(context.Context, *configpb.ModelServerConfig) error {
	return unimplemented("this server serves one model for its life")
}
