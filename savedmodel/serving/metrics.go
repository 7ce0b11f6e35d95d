package serving

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"
	codepb "github.com/wamuir/graft/tensorflow/tsl/protobuf/for_core_protos_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// metricsPath is TensorFlow Serving's (util/prometheus_exporter.cc).
const metricsPath = "/monitoring/prometheus/metrics"

// ReadMonitoring reads a --monitoring_config_file: the metrics' path, or none.
func ReadMonitoring(path string) (string, error) {
	c := &configpb.MonitoringConfig{}
	if err := readTextProto(path, c); err != nil {
		return "", err
	}
	switch p := c.GetPrometheusConfig(); {
	case !p.GetEnable():
		return "", nil
	case p.GetPath() == "":
		return metricsPath, nil
	default:
		return "/" + strings.TrimPrefix(p.GetPath(), "/"), nil
	}
}

// metrics counts under TensorFlow Serving's names where it has one
// (servables/tensorflow/util.cc, batching/batching_util.h); ours begin with
// nasnet_serving. Times are in microseconds, as there.
type metrics struct {
	registry *prometheus.Registry
	known    func(model string) bool // names that are not served are not kept

	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	runtime  *prometheus.HistogramVec
	deaths   *prometheus.CounterVec

	queuing   *prometheus.HistogramVec
	runs      prometheus.Counter
	inputRows prometheus.Histogram
	batchRows prometheus.Histogram
	padding   *prometheus.HistogramVec
	together  *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), known: func(string) bool { return true }}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	times, rows := prometheus.ExponentialBuckets(10, 1.8, 33), prometheus.ExponentialBuckets(1, 2, 14)
	const tfs, batching = ":tensorflow:serving:", ":tensorflow:serving:batching_session:"
	m.requests = counter(tfs+"request_count", "The total number of requests.", "model_name", "status")
	m.latency = histogram(tfs+"request_latency", "Wall time in microseconds of a request.", times, "model_name", "API", "entrypoint")
	m.runtime = histogram(tfs+"runtime_latency", "Wall time in microseconds in the TensorFlow process, waiting for a batch included.", times, "model_name", "API", "runtime")
	m.queuing = histogram(batching+"queuing_latency", "Wall time in microseconds spent in queuing.", prometheus.ExponentialBuckets(100, 1.2, 52), "thread_pool_name")
	m.runs = counter(batching+"wrapped_run_count", "Batches that were computed.").WithLabelValues()
	m.inputRows = histogram(batching+"input_batch_size", "Rows of requests in a batch.", rows).WithLabelValues().(prometheus.Histogram)
	m.batchRows = histogram(batching+"processed_batch_size", "Rows of a batch, filled up.", rows).WithLabelValues().(prometheus.Histogram)
	m.padding = histogram(batching+"padding_size", "Rows that a batch was filled up with.", rows, "execution_batch_size")
	m.together = histogram("nasnet_serving_batch_requests", "Requests that were computed together.", rows, "model_name")
	m.deaths = counter("nasnet_serving_engine_deaths_total", "TensorFlow processes that ended unasked and were started again.", "model_name")
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func (m *metrics) predicted(model string, took time.Duration) {
	m.runtime.WithLabelValues(model, "Predict", "TF1").Observe(micros(took))
}

func (m *metrics) batch(model string, requests, rows, filled int) {
	m.runs.Inc()
	m.inputRows.Observe(float64(rows))
	m.batchRows.Observe(float64(filled))
	m.together.WithLabelValues(model).Observe(float64(requests))
	if filled > rows {
		m.padding.WithLabelValues(strconv.Itoa(filled)).Observe(float64(filled - rows))
	}
}

func (m *metrics) queued(_ string, waited time.Duration) {
	m.queuing.WithLabelValues("model_server_batch_threads").Observe(micros(waited))
}

// request counts a finished one. code is a name of tensorflow.error.Code.
func (m *metrics) request(model, api, entrypoint, code string, took time.Duration) {
	if !m.known(model) {
		model = "" // a name from outside: it must not make a metric of its own
	}
	m.requests.WithLabelValues(model, code).Inc()
	if code == "OK" {
		m.latency.WithLabelValues(model, api, entrypoint).Observe(micros(took))
	}
}

// handler serves the metrics as text.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// inference finds model and verb of a REST call that computes.
var inference = regexp.MustCompile(`^(?i:/v1/models/)([^/:]+)[^:]*:(predict|classify|regress)$`)

// codeOfHTTP are the states behind HTTP's codes.
var codeOfHTTP = map[int]string{
	200: "OK", 400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 408: "DEADLINE_EXCEEDED", 409: "ABORTED",
	413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}

// http counts REST calls.
func (m *metrics) http(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		match := inference.FindStringSubmatch(r.URL.Path)
		if match == nil {
			next.ServeHTTP(w, r)
			return
		}
		begin, seen := time.Now(), &codeWriter{ResponseWriter: w, code: 200}
		next.ServeHTTP(seen, r)
		code, ok := codeOfHTTP[seen.code]
		if !ok {
			code = "INTERNAL"
		}
		name, err := url.PathUnescape(match[1])
		if err != nil {
			name = match[1]
		}
		m.request(name, apis[match[2]], "REST", code, time.Since(begin))
	})
}

// apis are the verbs of REST as gRPC calls them.
var apis = map[string]string{"predict": "Predict", "classify": "Classify", "regress": "Regress"}

// codeWriter remembers the code of an answer.
type codeWriter struct {
	http.ResponseWriter
	code int
}

func (w *codeWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *codeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// unary counts gRPC calls that compute.
func (m *metrics) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	begin := time.Now()
	out, err := next(ctx, r)
	if model, ok := modelOfCall(r); ok {
		code := codepb.Code(status.Code(err)).String()
		m.request(model, info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:], "GRPC", code, time.Since(begin))
	}
	return out, err
}

// modelOfCall is the model that a call of PredictionService names.
func modelOfCall(r any) (string, bool) {
	switch r := r.(type) {
	case *servingpb.GetModelMetadataRequest:
		return "", false
	case interface{ GetModelSpec() *servingpb.ModelSpec }:
		_, isStatus := r.(*servingpb.GetModelStatusRequest)
		return r.GetModelSpec().GetName(), !isStatus
	case *servingpb.MultiInferenceRequest:
		if len(r.GetTasks()) > 0 {
			return r.GetTasks()[0].GetModelSpec().GetName(), true
		}
	}
	return "", false
}

// watch counts the versions of m in each state when somebody asks.
func (m *metrics) watch(of *manager) {
	m.known = of.serves
	m.registry.MustRegister(&versionStates{of, prometheus.NewDesc("nasnet_serving_versions", "Versions in each state.", []string{"model_name", "state"}, nil)})
}

type versionStates struct {
	of   *manager
	desc *prometheus.Desc
}

func (v *versionStates) Describe(to chan<- *prometheus.Desc) { to <- v.desc }

func (v *versionStates) Collect(to chan<- prometheus.Metric) {
	for name, states := range v.of.counts() {
		for state, n := range states {
			to <- prometheus.MustNewConstMetric(v.desc, prometheus.GaugeValue, float64(n), name, state)
		}
	}
}
