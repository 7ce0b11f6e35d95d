package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/nasnet-go/nasnet/savedmodel/serving"
)

// serveFlags are those of tensorflow_model_server (model_servers/main.cc), by
// their names, and some of ours.
type serveFlags struct {
	o               serving.Options
	batching, warm  bool
	batchingFile    string
	configPoll      int
	poll            int
	retryMicros     int64
	restTimeout     int
	monitoring      string
	session         int
	precision       string
	xlaCPU, xlaGPU  bool
	health          bool
	token           remoteOptions
	showVersion     bool
	channels        string
	iterations      int
	tags            string
	maxBody, pixels int64
}

func newServeFlags() *serveFlags { return &serveFlags{} }

func (f *serveFlags) register(s *pflag.FlagSet) {
	o := &f.o
	s.StringVar(&o.ModelName, "model_name", "default", "name in the URL")
	s.StringVar(&o.ModelBasePath, "model_base_path", "", "directory with one numbered directory a version")
	s.StringVar(&o.ModelConfigFile, "model_config_file", "", "ModelServerConfig as text: several models, version policies, labels; instead of the two above")
	s.IntVar(&f.configPoll, "model_config_file_poll_wait_seconds", 0, "seconds between readings of that file; 0: it is read once")
	s.IntVar(&f.poll, "file_system_poll_wait_seconds", 1, "seconds between looks for new versions; 0: one look")
	s.IntVar(&o.LoadRetries, "max_num_load_retries", 5, "times that a version which could not be loaded is tried again")
	s.Int64Var(&f.retryMicros, "load_retry_interval_micros", 60_000_000, "microseconds between them; a version whose files change is tried at once")
	s.IntVar(&o.Loads, "num_load_threads", 1, "versions that are loaded at once")
	s.BoolVar(&o.UnavailableLabels, "allow_version_labels_for_unavailable_models", false, "labels may name versions that are not there yet")
	s.BoolVar(&f.warm, "enable_model_warmup", true, "send a version's warm-up requests before it is available")
	s.IntVar(&f.iterations, "num_request_iterations_for_warmup", 1, "times that each is sent")

	s.StringVar(&o.Host, "host", "127.0.0.1", "address to listen on; any but a loopback address needs --token_file or --insecure")
	s.IntVar(&o.RESTPort, "rest_api_port", 8501, "REST port; 0: a free one; -1: none")
	s.IntVar(&o.GRPCPort, "port", 8500, "gRPC port; 0: a free one; -1: none")
	s.StringVar(&o.GRPCSocket, "grpc_socket_path", "", "Unix socket for gRPC too")
	s.IntVar(&f.restTimeout, "rest_api_timeout_in_ms", 30_000, "milliseconds that a REST call may take")
	s.BoolVar(&o.CORS, "rest_api_enable_cors_support", false, "let browsers' scripts of every origin ask")
	s.BoolVar(&f.health, "enable_grpc_healthcheck_service", true, "the standard gRPC health service (TensorFlow Serving's default is off)")
	s.StringVar(&f.channels, "grpc_channel_arguments", "", "grpc.max_concurrent_streams=N is understood")
	s.DurationVar(&o.DrainDelay, "drain_delay", 0, "how long new requests are still taken after SIGTERM, while probes are told that the server is going")
	s.StringVar(&f.monitoring, "monitoring_config_file", "", "MonitoringConfig as text: the metrics' path, or none; without it both /metrics and TensorFlow Serving's path")

	s.StringVar(&f.token.token, "token", "", "that clients must show as bearer token; other users of the machine can see it, --token_file not")
	s.StringVar(&f.token.tokenFile, "token_file", "", "file with that token, one line")
	s.BoolVar(&o.Insecure, "insecure", false, "allow an address that is not loopback without a token")
	s.StringVar(&o.TLS.Cert, "tls_cert", "", "PEM file of the server's certificate")
	s.StringVar(&o.TLS.Key, "tls_key", "", "PEM file of its key")
	s.StringVar(&o.TLS.ClientCA, "tls_client_ca", "", "PEM file of the authority from which clients must have a certificate")
	s.StringVar(&o.SSLConfig, "ssl_config_file", "", "SSLConfig as text, instead of the three above")
	s.Int64Var(&f.maxBody, "max_body_bytes", 64<<20, "bytes of one request, as sent and unpacked")
	s.Int64Var(&f.pixels, "max_pixels", 50_000_000, "pixels that an encoded image may declare")

	s.BoolVar(&f.batching, "enable_batching", false, "compute requests together")
	s.StringVar(&f.batchingFile, "batching_parameters_file", "", "BatchingParameters as text; without it values for CPUs")
	s.BoolVar(&o.BatchingPerModel, "enable_per_model_batching_parameters", false, "a version may bring batching_params.pbtxt")
	s.IntVar(&o.Threads.InterOp, "tensorflow_inter_op_parallelism", 0, "operations at once; 0: one a core")
	s.IntVar(&o.Threads.IntraOp, "tensorflow_intra_op_parallelism", 0, "threads of one operation; 0: one, or one a core where the other is set")
	s.IntVar(&f.session, "tensorflow_session_parallelism", 0, "both of them at once")
	s.StringVar(&f.precision, "mixed_precision", "", "bfloat16 | fp16: compute in it where the processor can")
	s.BoolVar(&f.xlaCPU, "xla_cpu_compilation_enabled", false, "compile with XLA")
	s.BoolVar(&f.xlaGPU, "xla_gpu_compilation_enabled", false, "compile with XLA")
	s.StringVar(&f.tags, "saved_model_tags", "serve", "tags of the graph; only \"serve\" is there")

	s.BoolVar(&f.showVersion, "version", false, "print the version")
	f.ignored(s)
	refused(s)
}

// ignored are flags that ask for what is so anyway, or that concern threads which
// Go has none of.
func (f *serveFlags) ignored(s *pflag.FlagSet) {
	hidden := func(name string) { _ = s.MarkHidden(name) } // it is there
	for _, name := range []string{"rest_api_num_threads", "grpc_max_threads", "num_unload_threads", "num_tflite_pools", "num_tflite_interpreters_per_pool"} {
		s.Int(name, 0, "accepted, without effect")
		hidden(name)
	}
	for _, name := range []string{"flush_filesystem_caches", "remove_unused_fields_from_bundle_metagraph", "skip_initialize_tpu", "enable_signature_method_name_check"} {
		s.Bool(name, false, "accepted, without effect")
		hidden(name)
	}
}

// refusals are flags of tensorflow_model_server that we cannot honour, and why.
var refusals = map[string]string{
	"use_alts_credentials":                   "ALTS exists on Google's machines only; use --ssl_config_file",
	"platform_config_file":                   "there is one platform here, TensorFlow; use --enable_batching and the --tensorflow_ flags",
	"tensorflow_session_config_file":         "a whole ConfigProto is not taken over; use the --tensorflow_ flags",
	"thread_pool_factory_config_file":        "thread pools cannot be replaced",
	"prefer_tflite_model":                    "TensorFlow Lite is not linked; export a SavedModel",
	"enable_profiler":                        "there is no profiler service; `nasnet bench infer --profile` tells where the time goes",
	"per_process_gpu_memory_fraction":        "GPU memory is taken as it is needed; a fraction cannot be set",
	"enable_serialization_as_tensor_content": "answers carry typed values, which every client reads",
}

func refused(s *pflag.FlagSet) {
	for name := range refusals {
		switch name {
		case "use_alts_credentials", "prefer_tflite_model", "enable_profiler", "enable_serialization_as_tensor_content":
			s.Bool(name, false, "not supported: "+refusals[name])
		case "per_process_gpu_memory_fraction":
			s.Float64(name, 0, "not supported: "+refusals[name])
		default:
			s.String(name, "", "not supported: "+refusals[name])
		}
		_ = s.MarkHidden(name)
	}
}

// options are the server's. Faults are told all at once.
func (f *serveFlags) options(s *pflag.FlagSet) (serving.Options, error) {
	o := f.o
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	s.Visit(func(given *pflag.Flag) {
		if why, ok := refusals[given.Name]; ok && !slices.Contains([]string{"false", "0", ""}, given.Value.String()) {
			fault(true, "--%s is not supported: %s", given.Name, why)
		}
	})
	fault(f.tags != "serve", "--saved_model_tags %s: only graphs tagged \"serve\" are loaded", f.tags)
	fault(o.ModelBasePath == "" && o.ModelConfigFile == "", "give --model_base_path, such as runs/quickstart/export, or --model_config_file")
	fault(f.batchingFile != "" && !f.batching, "--batching_parameters_file needs --enable_batching")
	fault(o.BatchingPerModel && !f.batching, "--enable_per_model_batching_parameters needs --enable_batching")
	fault(f.restTimeout < 1, "--rest_api_timeout_in_ms is %d; want 1 or more", f.restTimeout)
	fault(f.session > 0 && (o.Threads.InterOp > 0 || o.Threads.IntraOp > 0), "give --tensorflow_session_parallelism or the other two --tensorflow_ flags, not all")
	if f.session > 0 {
		o.Threads.InterOp, o.Threads.IntraOp = f.session, f.session
	} else if o.Threads.InterOp == 0 && o.Threads.IntraOp == 0 {
		o.Threads.InterOp, o.Threads.IntraOp = runtime.NumCPU(), 1
	}
	o.Threads.XLA = f.xlaCPU || f.xlaGPU
	switch f.precision {
	case "":
	case "bfloat16", "bf16":
		o.Threads.Precision = "bf16"
	case "fp16", "float16":
		o.Threads.Precision = "fp16"
	default:
		fault(true, "--mixed_precision %q; want bfloat16 or fp16", f.precision)
	}
	o.RESTTimeout = time.Duration(f.restTimeout) * time.Millisecond
	o.ModelConfigPoll = time.Duration(f.configPoll) * time.Second
	o.Limits = serving.Limits{MaxBody: f.maxBody, MaxPixels: f.pixels}
	o.NoHealth = !f.health
	o.Poll, o.LoadWait = unlessNone(f.poll, time.Second), unlessNone(f.retryMicros, time.Microsecond)
	o.LoadRetries, o.Warmups = unlessNone(o.LoadRetries, 1), unlessNone(f.iterations, 1)
	if !f.warm {
		o.Warmups = -1
	}
	faults = append(faults, f.files(&o), f.streams(&o))
	if err := errors.Join(faults...); err != nil {
		return o, usagef("serve: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return o, nil
}

// unlessNone is n units; 0 is none, which Options write as a negative number.
func unlessNone[N, Unit ~int | ~int64](n N, unit Unit) Unit {
	if n <= 0 {
		return -1
	}
	return Unit(n) * unit
}

// files reads what flags name.
func (f *serveFlags) files(o *serving.Options) error {
	var errs []error
	if f.batching {
		b := serving.DefaultBatching()
		if f.batchingFile != "" {
			var err error
			b, err = serving.ReadBatching(f.batchingFile)
			errs = append(errs, err)
		}
		o.Batching = &b
	}
	if f.monitoring != "" {
		path, err := serving.ReadMonitoring(f.monitoring)
		if path == "" {
			path = "-"
		}
		o.MetricsPath = path
		errs = append(errs, err)
	}
	o.Token = f.token.token
	if f.token.tokenFile != "" {
		var err error
		o.Token, err = serving.ReadToken(f.token.tokenFile)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (f *serveFlags) streams(o *serving.Options) error {
	for _, arg := range strings.FieldsFunc(f.channels, func(r rune) bool { return r == ',' }) {
		var n int
		if _, err := fmt.Sscanf(arg, "grpc.max_concurrent_streams=%d", &n); err != nil || n < 1 || n > math.MaxInt32 {
			return fmt.Errorf("--grpc_channel_arguments %s is not supported; want grpc.max_concurrent_streams=N", arg)
		}
		o.Streams = n
	}
	return nil
}
