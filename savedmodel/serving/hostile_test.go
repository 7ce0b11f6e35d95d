package serving

import (
	"context"
	"net"
	"net/http"
	"slices"
	"testing"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/nasnet-go/nasnet/savedmodel/serving/hostile"
	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
)

// dial serves the twin through gRPC and connects to it.
func dial(t testing.TB, m *twin) (rpc.Client, *grpc.ClientConn) {
	t.Helper()
	limits := Limits{MaxBody: 2 << 20}.fill()
	listener := bufconn.Listen(1 << 20)
	s := grpc.NewServer()
	health := newGRPC(m, limits).register(s)
	go func() { _ = s.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:twin", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		health.Shutdown()
		_ = conn.Close()
		s.Stop()
		if n, b := m.held.Load(), limits.budget.used.Load(); n != 0 || b != 0 {
			t.Errorf("%d models are still held, %d bytes are still counted", n, b)
		}
	})
	return rpc.Client{Conn: conn}, conn
}

var target = hostile.Target{
	Model: "default", Floats: "serving_default", Input: "x", Bytes: "size", Classify: "classify_x_to_y", ImageKey: "image", MaxBody: 2 << 20,
}

func TestHostileRequestsAreRefused(t *testing.T) {
	m := &twin{}
	url := serve(t, m)
	list, err := hostile.REST(target)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range list {
		r, err := h.HTTP(url)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Errorf("%s: %v", h.Name, err)
			continue
		}
		_ = resp.Body.Close()
		if !slices.Contains(h.Codes, resp.StatusCode) {
			t.Errorf("%s: %d, want one of %v; it begins with %.100q", h.Name, resp.StatusCode, h.Codes, h.Body)
		}
	}
	if n := m.requests.Load(); n != 0 {
		t.Errorf("%d of %d hostile requests reached the model", n, len(list))
	}
}

func TestHostileTensorsAreRefused(t *testing.T) {
	m := &twin{}
	client, _ := dial(t, m)
	list, err := hostile.GRPC(target)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range list {
		_, err := client.Predict(t.Context(), r)
		if c := status.Code(err); c != codes.InvalidArgument && c != codes.FailedPrecondition {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := m.requests.Load(); n != 0 {
		t.Errorf("%d of %d hostile requests reached the model", n, len(list))
	}
	if _, err := client.Predict(t.Context(), &servingpb.PredictRequest{}); status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != "Missing ModelSpec" {
		t.Error(err)
	}
}
