package serving

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// route is TensorFlow Serving's (model_servers/http_rest_api_handler.cc): the
// path without regard to case, the verb with.
var route = regexp.MustCompile(`^(?i:/v1/models/)([^/:]+)(?:(?i:/versions/)(\d+))?(?:(?i:(/metadata))|:(\w+))?$`)

// httpCodes are the states of gRPC in HTTP's terms (util/net_http of serving).
var httpCodes = map[codes.Code]int{
	codes.InvalidArgument: 400, codes.FailedPrecondition: 400, codes.OutOfRange: 400, codes.Unauthenticated: 401,
	codes.PermissionDenied: 403, codes.NotFound: 404, codes.AlreadyExists: 409, codes.Aborted: 409, codes.ResourceExhausted: 429,
	codes.Canceled: 499, codes.Unimplemented: 501, codes.Unavailable: 503, codes.DeadlineExceeded: 504,
}

func httpCode(err error) int {
	if c, ok := httpCodes[status.Code(err)]; ok {
		return c
	}
	return 500
}

func (s *Server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, code := s.answer(w, r)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write(body) // the client may have left
	})
}

// fault is the error document.
func fault(code int, format string, args ...any) ([]byte, int) {
	text, err := json.Marshal(map[string]string{"error": fmt.Sprintf(format, args...)})
	if err != nil {
		text = []byte(`{"error": "internal"}`)
	}
	return append(text, '\n'), code
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) ([]byte, int) {
	m := route.FindStringSubmatch(r.URL.Path)
	if m == nil {
		if strings.HasPrefix(strings.ToLower(r.URL.Path), "/v1/") {
			return fault(400, "Malformed request: %s %s", r.Method, r.URL.Path)
		}
		return fault(404, "Not found: %s", r.URL.Path)
	}
	name, version, metadata, verb := m[1], m[2], m[3], m[4]
	if name != s.o.ModelName || version != "" && version != strconv.FormatInt(s.version, 10) {
		return fault(404, "Could not find any versions of model %s", name)
	}
	switch {
	case r.Method == http.MethodGet && verb == "" && metadata != "":
		return s.metadata()
	case r.Method == http.MethodGet && verb == "":
		return s.status()
	case r.Method == http.MethodPost && verb == "predict" && metadata == "":
		return s.predict(w, r)
	}
	return fault(400, "Malformed request: %s %s", r.Method, r.URL.Path)
}

// status is GetModelStatusResponse as JSON.
func (s *Server) status() ([]byte, int) {
	state, code := "AVAILABLE", 200
	if !s.predictor.ready() {
		state = "LOADING"
	}
	text := fmt.Sprintf("{\n \"model_version_status\": [\n  {\n   \"version\": \"%d\",\n   \"state\": \"%s\",\n   \"status\": {\n    \"error_code\": \"OK\",\n    \"error_message\": \"\"\n   }\n  }\n ]\n}\n", s.version, state)
	return []byte(text), code
}

// metadata is the model's signatures as JSON.
func (s *Server) metadata() ([]byte, int) {
	defs := map[string]json.RawMessage{}
	for name, sig := range s.signatures {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(sig)
		if err != nil {
			return fault(500, "%v", err)
		}
		defs[name] = text
	}
	doc := map[string]any{
		"model_spec": map[string]string{"name": s.o.ModelName, "signature_name": "", "version": strconv.FormatInt(s.version, 10)},
		"metadata":   map[string]any{"signature_def": map[string]any{"signature_def": defs}},
	}
	text, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return fault(500, "%v", err)
	}
	return append(text, '\n'), 200
}

// body reads a request, plain or gzipped, both sizes capped.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var in io.Reader = http.MaxBytesReader(w, r.Body, s.o.MaxBody)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = z
	}
	raw, err := io.ReadAll(io.LimitReader(in, s.o.MaxBody+1))
	if err == nil && int64(len(raw)) > s.o.MaxBody {
		err = &http.MaxBytesError{Limit: s.o.MaxBody}
	}
	return raw, err
}

func (s *Server) predict(w http.ResponseWriter, r *http.Request) ([]byte, int) {
	raw, err := s.body(w, r)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fault(413, "the request is larger than %d bytes", large.Limit)
	}
	if err != nil {
		return fault(400, "the request cannot be read: %v", err)
	}
	doc, err := parsePredict(raw)
	if err != nil {
		return fault(400, "%v", err)
	}
	if doc.signature == "" {
		doc.signature = "serving_default"
	}
	sig, ok := s.signatures[doc.signature]
	if !ok {
		return fault(400, "Serving signature key %q not found.", doc.signature)
	}
	inputs, err := doc.tensors(sig, s.o.MaxPixels)
	if err != nil {
		return fault(400, "%v", err)
	}
	out, err := s.predictor.Predict(r.Context(), &servingpb.PredictRequest{
		ModelSpec: &servingpb.ModelSpec{Name: s.o.ModelName, SignatureName: doc.signature, VersionChoice: &servingpb.ModelSpec_Version{Version: wrapperspb.Int64(s.version)}},
		Inputs:    inputs,
	})
	if err != nil {
		return fault(httpCode(err), "%s", status.Convert(err).Message())
	}
	text, err := reply(out.GetOutputs(), doc.instances != nil)
	if err != nil {
		return fault(500, "%v", err)
	}
	return text, 200
}

// Signatures are the served model's, by name.
func (s *Server) Signatures() map[string]*corepb.SignatureDef { return s.signatures }
