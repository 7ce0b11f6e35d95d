package cluster

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	devicepb "github.com/wamuir/graft/tensorflow/core/framework/device_attributes_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// serve answers GetStatus as TensorFlow's worker does, with one CPU.
func serve(t *testing.T, address string, incarnation uint64) (string, *grpc.Server) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "tensorflow.WorkerService", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "GetStatus",
		Handler: func(_ any, _ context.Context, _ func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			d, err := proto.Marshal(&devicepb.DeviceAttributes{Name: "/job:x/device:CPU:0", DeviceType: "CPU", Incarnation: incarnation})
			reply := &emptypb.Empty{}
			reply.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), d))
			return reply, err
		},
	}}}, struct{}{})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String(), s
}

func TestGatherTellsWhoIsThere(t *testing.T) {
	there, _ := serve(t, "127.0.0.1:0", 7)
	gone, err := LocalAddress("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	got, missing := Gather(context.Background(), []string{gone, there}, 0)
	if len(got) != 1 || got[0].Address != there || got[0].Incarnation != 7 || len(got[0].Devices) != 1 || got[0].Devices[0] != "CPU" {
		t.Errorf("there: %+v", got)
	}
	if missing == nil || !strings.Contains(missing.Error(), gone) || strings.Contains(missing.Error(), there) {
		t.Errorf("missing: %v", missing)
	}
}

func TestChangedSeesLossAndRestart(t *testing.T) {
	address, server := serve(t, "127.0.0.1:0", 7)
	workers, missing := Gather(context.Background(), []string{address}, 0)
	if missing != nil {
		t.Fatal(missing)
	}
	if why := Changed(context.Background(), workers, 0); why != "" {
		t.Errorf("nothing changed, got %q", why)
	}
	server.Stop()
	if why := Changed(context.Background(), workers, 0); !strings.Contains(why, "is lost") {
		t.Errorf("lost: got %q", why)
	}
	serve(t, address, 8)
	if why := Changed(context.Background(), workers, 5*time.Second); !strings.Contains(why, "started anew") {
		t.Errorf("restarted: got %q", why)
	}
}

func TestAwaitAndWatchEndWithTheirContext(t *testing.T) {
	address, _ := serve(t, "127.0.0.1:0", 1)
	if got := Await(context.Background(), []string{address}); got != address {
		t.Errorf("await: %q", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if why := Watch(ctx, []Worker{{Address: address}}); why != "" {
		t.Errorf("watch: %q", why)
	}
}
