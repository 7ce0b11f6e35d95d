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

// restHandler is replaced by the protocol half's.
type restHandler struct {
	models Models
	limits Limits
}

func newREST(models Models, limits Limits) http.Handler {
	s := &restHandler{models, limits.fill()}
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

func (s *restHandler) answer(w http.ResponseWriter, r *http.Request) ([]byte, int) {
	m := route.FindStringSubmatch(r.URL.Path)
	if m == nil {
		if strings.HasPrefix(strings.ToLower(r.URL.Path), "/v1/") {
			return fault(400, "Malformed request: %s %s", r.Method, r.URL.Path)
		}
		return fault(404, "Not found: %s", r.URL.Path)
	}
	name, version, metadata, verb := m[1], m[2], m[3], m[4]
	spec := &servingpb.ModelSpec{Name: name}
	if version != "" {
		n, err := strconv.ParseInt(version, 10, 64)
		if err != nil {
			return fault(400, "%v", err)
		}
		spec.VersionChoice = &servingpb.ModelSpec_Version{Version: wrapperspb.Int64(n)}
	}
	if r.Method == http.MethodGet && verb == "" && metadata == "" {
		return s.status(spec)
	}
	held, err := s.models.Find(spec)
	if err != nil {
		return fault(httpCode(err), "%s", status.Convert(err).Message())
	}
	defer held.Release()
	switch {
	case r.Method == http.MethodGet && verb == "" && metadata != "":
		return s.metadata(held)
	case r.Method == http.MethodPost && verb == "predict" && metadata == "":
		return s.predict(w, r, held)
	}
	return fault(400, "Malformed request: %s %s", r.Method, r.URL.Path)
}

// status is GetModelStatusResponse as JSON.
func (s *restHandler) status(spec *servingpb.ModelSpec) ([]byte, int) {
	list, err := s.models.Status(spec)
	if err != nil {
		return fault(httpCode(err), "%s", status.Convert(err).Message())
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, Multiline: true, EmitUnpopulated: true}.Marshal(&servingpb.GetModelStatusResponse{ModelVersionStatus: list})
	if err != nil {
		return fault(500, "%v", err)
	}
	return text, 200
}

// metadata is the model's signatures as JSON.
func (s *restHandler) metadata(held Held) ([]byte, int) {
	defs := map[string]json.RawMessage{}
	for name, sig := range held.Signatures() {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(sig)
		if err != nil {
			return fault(500, "%v", err)
		}
		defs[name] = text
	}
	doc := map[string]any{
		"model_spec": map[string]string{"name": held.Name(), "signature_name": "", "version": strconv.FormatInt(held.Version(), 10)},
		"metadata":   map[string]any{"signature_def": map[string]any{"signature_def": defs}},
	}
	text, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return fault(500, "%v", err)
	}
	return append(text, '\n'), 200
}

// body reads a request, plain or gzipped, both sizes capped.
func (s *restHandler) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var in io.Reader = http.MaxBytesReader(w, r.Body, s.limits.MaxBody)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = z
	}
	raw, err := io.ReadAll(io.LimitReader(in, s.limits.MaxBody+1))
	if err == nil && int64(len(raw)) > s.limits.MaxBody {
		err = &http.MaxBytesError{Limit: s.limits.MaxBody}
	}
	return raw, err
}

func (s *restHandler) predict(w http.ResponseWriter, r *http.Request, held Held) ([]byte, int) {
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
	sig, ok := held.Signatures()[doc.signature]
	if !ok {
		return fault(400, "Serving signature key %q not found.", doc.signature)
	}
	inputs, err := doc.tensors(sig, s.limits.MaxPixels)
	if err != nil {
		return fault(400, "%v", err)
	}
	out, err := held.Predict(r.Context(), &servingpb.PredictRequest{
		ModelSpec: &servingpb.ModelSpec{Name: held.Name(), SignatureName: doc.signature, VersionChoice: &servingpb.ModelSpec_Version{Version: wrapperspb.Int64(held.Version())}},
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
