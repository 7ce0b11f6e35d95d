package serving

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// Options configures a server. Names in brackets are those of
// tensorflow_model_server's flags.
type Options struct {
	ModelName     string      // (model_name) in the URL; default "default"
	ModelBasePath string      // (model_base_path) directory with one numbered directory a version
	RESTPort      int         // (rest_api_port) 0: a free one
	Host          string      // address to listen on; default 127.0.0.1
	Insecure      bool        // allow an address that is not loopback
	MaxBody       int64       // bytes of a request; default 64 MiB
	MaxPixels     int64       // an encoded image may declare; default 50 million
	Threads       api.Threads // of TensorFlow
	Log           zerolog.Logger
}

// Server serves one version of one model.
type Server struct {
	o          Options
	version    int64
	signatures map[string]*corepb.SignatureDef
	child      *child
	listener   net.Listener
	http       *http.Server
	cancel     context.CancelFunc
	served     chan error
}

// Start serves the newest version below the model's base path. It returns when
// predictions are answered. Call Shutdown in the end.
func Start(ctx context.Context, o Options, starter Starter) (*Server, error) {
	o = o.fill()
	if err := o.validate(); err != nil {
		return nil, err
	}
	version, dir, err := Newest(o.ModelBasePath)
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, version: version, served: make(chan error, 1)}
	if s.signatures, err = readSignatures(dir); err != nil {
		return nil, err
	}
	if s.listener, err = net.Listen("tcp", net.JoinHostPort(o.Host, strconv.Itoa(o.RESTPort))); err != nil {
		return nil, fmt.Errorf("serving: %w; choose another --rest_api_port, or 0 for a free one", err)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	r := api.ServeRequest{ModelDir: dir, Name: o.ModelName, Version: version, Threads: o.Threads}
	if s.child, err = startChild(life, starter, r, o.Log); err != nil {
		cancel()
		return nil, errors.Join(err, s.listener.Close())
	}
	s.http = &http.Server{
		Handler: newREST(&single{o.ModelName, version, s.signatures, s.child}, Limits{MaxBody: o.MaxBody, MaxPixels: o.MaxPixels}), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	go func() { s.served <- s.http.Serve(s.listener) }()
	return s, nil
}

func (o Options) fill() Options {
	if o.ModelName == "" {
		o.ModelName = "default"
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 64 << 20
	}
	if o.MaxPixels <= 0 {
		o.MaxPixels = 50_000_000
	}
	return o
}

func (o Options) validate() error {
	ip := net.ParseIP(o.Host)
	loopback := o.Host == "localhost" || ip != nil && ip.IsLoopback()
	if !loopback && !o.Insecure {
		return fmt.Errorf("serving: %s is not a loopback address and requests are not authenticated; give --insecure if the network around it is trusted", o.Host)
	}
	return nil
}

// URL is the base address of the REST interface.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Version is the model's version that is served.
func (s *Server) Version() int64 { return s.version }

// Done receives the error with which serving ended.
func (s *Server) Done() <-chan error { return s.served }

// Shutdown finishes the requests under way, then ends the engine.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	s.cancel()
	<-s.child.done
	return err
}

// Newest returns the highest numbered version below base. Names that are no
// numbers are passed over, as TensorFlow Serving does.
func Newest(base string) (int64, string, error) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return 0, "", fmt.Errorf("serving: model base path: %w", err)
	}
	best, dir := int64(-1), ""
	for _, e := range entries {
		if v, err := strconv.ParseInt(e.Name(), 10, 64); err == nil && e.IsDir() && v > best {
			best, dir = v, filepath.Join(base, e.Name())
		}
	}
	if best < 0 {
		return 0, "", fmt.Errorf("serving: %s has no version: no directory in it is named by a number; `nasnet export` writes one", base)
	}
	return best, dir, nil
}

// readSignatures reads a SavedModel's signatures without TensorFlow.
func readSignatures(dir string) (map[string]*corepb.SignatureDef, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "saved_model.pb"))
	if err != nil {
		return nil, fmt.Errorf("serving: %s is not a SavedModel: %w", dir, err)
	}
	var pb corepb.SavedModel
	if err := proto.Unmarshal(raw, &pb); err != nil {
		return nil, fmt.Errorf("serving: %s: saved_model.pb is damaged: %w", dir, err)
	}
	for _, g := range pb.GetMetaGraphs() {
		for _, tag := range g.GetMetaInfoDef().GetTags() {
			if tag == "serve" {
				return g.GetSignatureDef(), nil
			}
		}
	}
	return nil, fmt.Errorf("serving: %s has no graph tagged \"serve\"", dir)
}

// Signatures are the served model's, by name.
func (s *Server) Signatures() map[string]*corepb.SignatureDef { return s.signatures }
