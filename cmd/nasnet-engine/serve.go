package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// backend answers predictions with one loaded SavedModel. Not more runs are under
// way than there are threads for: further ones would take memory, and finish no
// sooner. Messages are converted meanwhile.
type backend struct {
	r    api.ServeRequest
	m    *savedmodel.Model
	runs chan struct{} // a token for each
}

// runsAtOnce is how many runs of a model may be under way.
func runsAtOnce(m *savedmodel.Model, t api.Threads) int {
	switch {
	case m.OneRunAtATime:
		return 1
	case t.InterOp > 0:
		return t.InterOp
	}
	return runtime.NumCPU()
}

// serveBackend answers on the socket until the front stops it. It says "ready"
// as a note once it listens.
func serveBackend(ctx context.Context, r api.ServeRequest, emit emitter) (struct{}, error) {
	m, err := savedmodel.Load(r.ModelDir, sessionOptions(r.Threads))
	if err != nil {
		return struct{}{}, err
	}
	defer m.Close()
	listener, err := net.Listen("unix", r.Socket)
	if err != nil {
		return struct{}{}, fmt.Errorf("serve-backend: %w", err)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(rpc.GCPercent)
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.InitialWindowSize(rpc.Window), grpc.InitialConnWindowSize(rpc.Window), grpc.ReadBufferSize(rpc.Buffer), grpc.WriteBufferSize(rpc.Buffer))
	rpc.Register(s, backend{r, m, make(chan struct{}, runsAtOnce(m, r.Threads))})
	stop := context.AfterFunc(ctx, s.GracefulStop)
	defer stop()
	emit(engine.Note("ready"))
	if err := s.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return struct{}{}, fmt.Errorf("serve-backend: %w", err)
	}
	return struct{}{}, nil
}

// Predict runs a signature; without a name, the default one.
func (b backend) Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	name := r.GetModelSpec().GetSignatureName()
	if name == "" {
		name = defaultSignature
	}
	inputs := map[string]*tfgraph.Value{}
	for key, p := range r.GetInputs() {
		v, err := savedmodel.FromProto(p)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "input %s: %v", key, err)
		}
		inputs[key] = v
	}
	var want []string
	if len(r.GetOutputFilter()) > 0 {
		want = r.GetOutputFilter()
	}
	names, values, err := b.compute(ctx, name, inputs, want)
	if ctx.Err() != nil {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	out := &servingpb.PredictResponse{Outputs: map[string]*tensorpb.TensorProto{}, ModelSpec: &servingpb.ModelSpec{
		Name: b.r.Name, SignatureName: name, VersionChoice: &servingpb.ModelSpec_Version{Version: wrapperspb.Int64(b.r.Version)},
	}}
	for i, key := range names {
		if out.Outputs[key], err = savedmodel.ToProto(values[i]); err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
	}
	return out, nil
}

// compute runs a signature when its turn has come, unless nobody waits for the
// answer any more.
func (b backend) compute(ctx context.Context, name string, inputs map[string]*tfgraph.Value, want []string) ([]string, []*tfgraph.Value, error) {
	select {
	case b.runs <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() { <-b.runs }()
	return b.m.Run(name, inputs, want)
}
