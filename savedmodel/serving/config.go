package serving

import (
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"

	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// Options configures a server. Names in brackets are those of
// tensorflow_model_server's flags. A zero field is its default.
type Options struct {
	ModelName       string        // (model_name) in the URL; default "default"
	ModelBasePath   string        // (model_base_path) directory with one numbered directory a version
	ModelConfigFile string        // (model_config_file) instead of the two: ModelServerConfig as text
	ModelConfigPoll time.Duration // (model_config_file_poll_wait_seconds) between readings of it; 0: once

	Host        string        // address to listen on; default 127.0.0.1
	RESTPort    int           // (rest_api_port) 0: a free one; -1: none
	GRPCPort    int           // (port) 0: a free one; -1: none
	GRPCSocket  string        // (grpc_socket_path) a Unix socket for gRPC, beside the port
	RESTTimeout time.Duration // (rest_api_timeout_in_ms) of a REST call; default 30 s
	CORS        bool          // (rest_api_enable_cors_support)
	NoHealth    bool          // without the gRPC health service (enable_grpc_healthcheck_service)
	Streams     int           // gRPC calls at once on one connection; default 256
	MetricsPath string        // of Prometheus' text, beside /metrics; default that of TensorFlow Serving; "-": no metrics

	// DrainDelay is how long a server that ends still takes new requests, while it
	// tells probes that it is going: load balancers need a moment to notice.
	DrainDelay time.Duration

	Token     string // that clients must show
	Insecure  bool   // allow an address that is not loopback without a token
	TLS       TLS
	SSLConfig string // (ssl_config_file) instead of TLS

	Limits   Limits
	Threads  api.Threads // of TensorFlow; default: as many operations at once as there are cores, each with one thread
	Batching *Batching   // (enable_batching) nil: requests are computed one by one
	// BatchingPerModel reads batching_params.pbtxt of a version
	// (enable_per_model_batching_parameters).
	BatchingPerModel bool

	Poll              time.Duration // (file_system_poll_wait_seconds) between looks for versions; default 1 s; negative: one look
	LoadRetries       int           // (max_num_load_retries) after a load failed; default 5; negative: none
	LoadWait          time.Duration // (load_retry_interval_micros) between them; default 1 min; negative: none
	Loads             int           // (num_load_threads) at once; default 1
	Warmups           int           // (num_request_iterations_for_warmup) of each record; default 1; negative: no warm-up
	UnavailableLabels bool          // (allow_version_labels_for_unavailable_models)

	Log zerolog.Logger
}

func orDefault[T comparable](value *T, other T) {
	var zero T
	if *value == zero {
		*value = other
	}
}

func (o Options) fill() Options {
	orDefault(&o.ModelName, "default")
	orDefault(&o.Host, "127.0.0.1")
	orDefault(&o.RESTTimeout, 30*time.Second)
	orDefault(&o.Streams, 256)
	orDefault(&o.MetricsPath, metricsPath)
	orDefault(&o.Poll, time.Second)
	orDefault(&o.LoadRetries, 5)
	orDefault(&o.LoadWait, time.Minute)
	orDefault(&o.Warmups, 1)
	if o.Threads.InterOp == 0 && o.Threads.IntraOp == 0 {
		o.Threads.IntraOp = 1
	}
	o.Limits = o.Limits.fill()
	return o
}

// Validate tells all faults at once.
func (o Options) Validate() error {
	o = o.fill()
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("serving: "+format, args...))
		}
	}
	errs = append(errs, guardHost(o.Host, o.Token, o.Insecure))
	fault(o.RESTPort < -1 || o.RESTPort > 65535, "REST port %d; want -1 to 65535", o.RESTPort)
	fault(o.GRPCPort < -1 || o.GRPCPort > 65535, "gRPC port %d; want -1 to 65535", o.GRPCPort)
	fault(o.RESTPort > 0 && o.RESTPort == o.GRPCPort, "--rest_api_port and --port are both %d; REST and gRPC need a port each", o.RESTPort)
	fault(o.RESTPort == -1 && o.GRPCPort == -1 && o.GRPCSocket == "", "neither REST nor gRPC has a port")
	fault(o.RESTTimeout < 0, "the REST timeout is negative")
	fault(o.ModelBasePath == "" && o.ModelConfigFile == "", "no model: give --model_base_path, such as runs/quickstart/export, or --model_config_file")
	if o.Batching != nil {
		errs = append(errs, o.Batching.faults()...)
	}
	_, err := o.tlsConfig()
	return errors.Join(append(errs, err)...)
}

// models reads which models are to be served.
func (o Options) models() (*configpb.ModelServerConfig, error) {
	if o.ModelConfigFile != "" {
		return ReadModelConfig(o.ModelConfigFile)
	}
	base, err := filepath.Abs(o.ModelBasePath)
	if err != nil {
		return nil, fmt.Errorf("serving: %w", err)
	}
	return OneModel(o.ModelName, base), nil
}

func (o Options) tlsConfig() (*tls.Config, error) {
	switch {
	case o.SSLConfig != "" && o.TLS != TLS{}:
		return nil, errors.New("serving: give --ssl_config_file or the --tls_ flags, not both")
	case o.SSLConfig != "":
		return readSSLConfig(o.SSLConfig)
	}
	return o.TLS.config()
}
