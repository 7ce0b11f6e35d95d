package serving

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
)

// predictor answers predictions.
type predictor interface {
	Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error)
	ready() bool
}

// Server serves models over REST and gRPC.
type Server struct {
	o       Options
	tls     *tls.Config // nil: without
	manager *manager
	metrics *metrics
	bearer  bearer

	rest   net.Listener // nil: no REST
	grpcs  []net.Listener
	http   *http.Server
	grpc   *grpc.Server
	health *health.Server
	served chan error
	polls  sync.WaitGroup
	life   context.Context
	cancel context.CancelFunc
	going  atomic.Bool // Shutdown has begun
}

// Start serves the configured models. It listens at once, and returns when each
// model has a version that answers, or has none. A version that cannot be loaded
// is an error when its retries are spent. Call Shutdown in the end.
func Start(ctx context.Context, o Options, starter Starter) (*Server, error) {
	o = o.fill()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	config, err := o.models()
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, metrics: newMetrics(), bearer: newBearer(o.Token), served: make(chan error, 4)}
	if s.tls, err = o.tlsConfig(); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	s.life, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.manager = newManager(ctx, s.managing(starter))
	s.metrics.watch(s.manager)
	s.serveREST()
	s.serveGRPC()
	if err := s.manager.Reload(ctx, config); err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("serving: %w", err), s.Shutdown(end))
	}
	s.healthy(true)
	if o.ModelConfigFile != "" && o.ModelConfigPoll > 0 {
		s.polls.Go(s.pollConfig)
	}
	return s, nil
}

// managing are the manager's options.
func (s *Server) managing(starter Starter) managerOptions {
	o := s.o
	l := &loader{starter: starter, threads: o.Threads, warmups: max(0, o.Warmups), batching: o.Batching, own: o.BatchingPerModel, metrics: s.metrics, log: o.Log}
	if o.Batching != nil {
		l.slots = make(chan struct{}, o.Batching.Threads)
	}
	return managerOptions{
		Open: l.open, Retries: max(0, o.LoadRetries), Wait: max(0, o.LoadWait), Poll: max(0, o.Poll), Loads: o.Loads,
		UnavailableLabels: o.UnavailableLabels, Observe: s.metrics.predicted, Log: o.Log,
	}
}

// listen opens every address, or none.
func (s *Server) listen() error {
	var err error
	open := func(network, address, flag string) net.Listener {
		if err != nil {
			return nil
		}
		var l net.Listener
		if l, err = net.Listen(network, address); err != nil {
			err = fmt.Errorf("serving: %w; choose another --%s", err, flag)
		}
		return l
	}
	port := func(n int) string { return net.JoinHostPort(s.o.Host, strconv.Itoa(n)) }
	if s.o.RESTPort >= 0 {
		s.rest = open("tcp", port(s.o.RESTPort), "rest_api_port")
	}
	if s.o.GRPCPort >= 0 {
		s.grpcs = append(s.grpcs, open("tcp", port(s.o.GRPCPort), "port"))
	}
	if s.o.GRPCSocket != "" {
		_ = os.Remove(s.o.GRPCSocket) // of a server that was killed
		s.grpcs = append(s.grpcs, open("unix", s.o.GRPCSocket, "grpc_socket_path"))
	}
	if err != nil {
		s.unlisten()
	}
	return err
}

func (s *Server) unlisten() {
	for _, l := range append(s.grpcs, s.rest) {
		if l != nil {
			_ = l.Close()
		}
	}
}

// serveREST answers HTTP. A client has ten seconds for its headers and the
// timeout of a call for everything that it sends; an answer may take as long to be
// read.
func (s *Server) serveREST() {
	if s.rest == nil {
		return
	}
	s.http = &http.Server{
		Handler: s.handler(), TLSConfig: s.tls, ErrorLog: log.New(s.o.Log, "", 0),
		ReadHeaderTimeout: min(10*time.Second, s.o.RESTTimeout), ReadTimeout: s.o.RESTTimeout, WriteTimeout: 10*time.Second + 3*s.o.RESTTimeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	go func() {
		if s.tls != nil {
			s.served <- s.http.ServeTLS(s.rest, "", "")
			return
		}
		s.served <- s.http.Serve(s.rest)
	}()
}

// handler is everything behind the HTTP address.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	if s.o.MetricsPath != "-" {
		mux.Handle("GET /metrics", s.metrics.handler())
		if s.o.MetricsPath != "/metrics" {
			mux.Handle("GET "+s.o.MetricsPath, s.metrics.handler())
		}
	}
	rest := s.metrics.http(s.unready(s.deadline(newREST(s.manager, s.o.Limits))))
	plain := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" { // the mux alone would redirect paths that REST must refuse
			mux.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
	return s.cors(s.bearer.http(plain))
}

// deadline ends a call's context when its time is over.
func (s *Server) deadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.o.RESTTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// unready answers probes that the server is going, when it is.
func (s *Server) unready(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.going.Load() && r.Method == http.MethodGet && !strings.HasSuffix(r.URL.Path, "/metadata") {
			writeFault(w, http.StatusServiceUnavailable, "the server is shutting down")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// cors lets scripts of every origin ask, where that is wanted.
func (s *Server) cors(next http.Handler) http.Handler {
	if !s.o.CORS {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", "GET,POST")
		h.Set("Access-Control-Allow-Headers", "Accept,Authorization,Content-Type")
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusOK)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) serveGRPC() {
	if len(s.grpcs) == 0 {
		return
	}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(min(s.o.Limits.MaxBody, math.MaxInt32))), grpc.MaxSendMsgSize(math.MaxInt32), grpc.MaxConcurrentStreams(uint32(s.o.Streams)),
		grpc.InitialWindowSize(rpc.Window), grpc.InitialConnWindowSize(rpc.Window), grpc.ConnectionTimeout(10 * time.Second), grpc.MaxHeaderListSize(64 << 10),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.ChainUnaryInterceptor(s.bearer.unary, s.metrics.unary), grpc.ChainStreamInterceptor(s.bearer.stream),
	}
	if s.tls != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(s.tls.Clone())))
	}
	s.grpc = grpc.NewServer(options...)
	front := newGRPC(s.manager, s.o.Limits)
	rpc.RegisterPrediction(s.grpc, front)
	rpc.RegisterManagement(s.grpc, front)
	if !s.o.NoHealth {
		s.health = health.NewServer()
		healthpb.RegisterHealthServer(s.grpc, s.health)
		s.healthy(false)
	}
	for _, l := range s.grpcs {
		go func() { s.served <- s.grpc.Serve(l) }()
	}
}

// healthy sets what the health service answers.
func (s *Server) healthy(yes bool) {
	if s.health == nil {
		return
	}
	state := healthpb.HealthCheckResponse_NOT_SERVING
	if yes {
		state = healthpb.HealthCheckResponse_SERVING
	}
	for _, name := range []string{"", "ModelService", "PredictionService", rpc.PredictionService, rpc.ModelService} {
		s.health.SetServingStatus(name, state)
	}
}

// pollConfig reads the model configuration anew from time to time.
func (s *Server) pollConfig() {
	last, err := os.ReadFile(s.o.ModelConfigFile)
	if err != nil {
		s.o.Log.Error().Err(err).Msg("the model configuration cannot be read")
	}
	tick := time.NewTicker(s.o.ModelConfigPoll)
	defer tick.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-tick.C:
		}
		text, err := os.ReadFile(s.o.ModelConfigFile)
		if err == nil && bytes.Equal(text, last) {
			continue
		}
		if err == nil {
			last = text
			err = s.reload()
		}
		if err != nil {
			s.o.Log.Error().Err(err).Msg("the model configuration was not taken over; the models stay as they are")
		}
	}
}

func (s *Server) reload() error {
	config, err := ReadModelConfig(s.o.ModelConfigFile)
	if err != nil {
		return err
	}
	return s.manager.Reload(s.life, config)
}

// URL is the base address of the REST interface, or "".
func (s *Server) URL() string {
	if s.rest == nil {
		return ""
	}
	if s.tls != nil {
		return "https://" + s.rest.Addr().String()
	}
	return "http://" + s.rest.Addr().String()
}

// GRPC is the address of the gRPC interface, HOST:PORT or the socket's path, or "".
func (s *Server) GRPC() string {
	if len(s.grpcs) == 0 {
		return ""
	}
	return s.grpcs[0].Addr().String()
}

// Models are what is served.
func (s *Server) Models() Models { return s.manager }

// Versions are the newest available version of each model; 0 where there is none.
func (s *Server) Versions() map[string]int64 { return s.manager.newestVersions() }

// Done receives the error with which serving ended.
func (s *Server) Done() <-chan error { return s.served }

// Shutdown tells probes that the server is going, finishes the requests under
// way for as long as ctx lasts, and ends the engines.
func (s *Server) Shutdown(ctx context.Context) error {
	s.going.Store(true)
	s.healthy(false)
	s.cancel()
	s.polls.Wait()
	select {
	case <-time.After(s.o.DrainDelay):
	case <-ctx.Done():
	}
	var both sync.WaitGroup
	var rest error
	both.Go(func() {
		if s.http == nil {
			return
		}
		if rest = s.http.Shutdown(ctx); rest != nil {
			rest = errors.Join(rest, s.http.Close())
		}
	})
	both.Go(func() { s.stopGRPC(ctx) })
	both.Wait()
	s.manager.close()
	if s.o.GRPCSocket != "" {
		_ = os.Remove(s.o.GRPCSocket)
	}
	return rest
}

func (s *Server) stopGRPC(ctx context.Context) {
	if s.grpc == nil {
		return
	}
	stop := context.AfterFunc(ctx, s.grpc.Stop)
	defer stop()
	s.grpc.GracefulStop()
}
