package serving

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The routes are TensorFlow Serving's (model_servers/http_rest_api_util.cc):
// paths are taken without regard to case, but a verb must be in lower case.
var (
	getRoute  = regexp.MustCompile(`(?i)^/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?$`)
	postRoute = regexp.MustCompile(`(?i)^/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)$`)
)

// httpCodes are the states of gRPC in HTTP's terms (model_servers/http_server.cc).
var httpCodes = map[codes.Code]int{
	codes.OK: 200, codes.InvalidArgument: 400, codes.FailedPrecondition: 400, codes.OutOfRange: 400, codes.Unauthenticated: 401,
	codes.PermissionDenied: 403, codes.NotFound: 404, codes.AlreadyExists: 409, codes.Aborted: 409, codes.ResourceExhausted: 429,
	codes.Canceled: 499, codes.Unimplemented: 501, codes.Unavailable: 503, codes.DeadlineExceeded: 504,
}

func httpCode(err error) int {
	var large *tooLargeError
	if errors.As(err, &large) {
		return http.StatusRequestEntityTooLarge
	}
	if c, ok := httpCodes[status.Code(err)]; ok {
		return c
	}
	return 500
}

// tooLargeError refuses a body; HTTP has a code of its own for it.
type tooLargeError struct{ limit int64 }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("The request is larger than %d bytes", e.limit)
}

// rest is TensorFlow Serving's REST interface.
type rest struct{ front }

// newREST answers under /v1/. Limits that were filled before are shared with
// others that got them.
func newREST(models Models, limits Limits) http.Handler {
	return rest{front{models, limits.fill()}}
}

func (h rest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := h.answer(w, r)
	code := 200
	if err != nil {
		code = httpCode(err)
		body = errorReply(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may have left
}

func errorReply(err error) []byte {
	message := err.Error()
	if s, ok := status.FromError(err); ok {
		message = s.Message()
	}
	w := &writer{}
	w.begin(true)
	w.key("error")
	w.text([]byte(strings.ToValidUTF8(message, "\uFFFD")))
	w.end()
	return w.out
}

func (h rest) answer(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	path := r.URL.EscapedPath()
	if len(path) < 4 || !strings.EqualFold(path[:4], "/v1/") {
		return nil, status.Errorf(codes.NotFound, "Not found: %s", path)
	}
	var m []string
	switch r.Method {
	case http.MethodOptions: // a browser asks before it asks
		if o := r.Header.Get("Origin"); !strings.Contains(o, "http://") && !strings.Contains(o, "https://") {
			return nil, status.Error(codes.FailedPrecondition, "Origin header is missing in CORS preflight")
		}
		return nil, nil
	case http.MethodGet:
		m = getRoute.FindStringSubmatch(path)
	case http.MethodPost:
		m = postRoute.FindStringSubmatch(path)
	}
	if m == nil {
		return nil, invalid("Malformed request: %s %s", r.Method, path)
	}
	spec, err := specOf(m)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Method == http.MethodGet && spec.GetName() == "":
		return nil, invalid("Missing model name in request.")
	case r.Method == http.MethodGet && m[4] == "metadata":
		reply, signatures, err := h.metadata(r.Context(), spec)
		if err != nil {
			return nil, err
		}
		return metadataReply(reply.GetModelSpec(), signatures), nil
	case r.Method == http.MethodGet:
		versions, err := h.models.Status(spec)
		if err != nil {
			return nil, stateOf(r.Context(), err)
		}
		return statusReply(versions), nil
	case !slices.Contains([]string{"predict", "classify", "regress"}, m[4]):
		return nil, invalid("Malformed request: %s %s", r.Method, path)
	}
	return h.post(w, r, spec, m[4])
}

// specOf reads the model's name, version and label of a route.
func specOf(m []string) (*servingpb.ModelSpec, error) {
	spec := &servingpb.ModelSpec{Name: unescape(m[1])}
	switch {
	case m[2] != "":
		v, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			return nil, invalid("Failed to convert version: %s to numeric.", clip(m[2]))
		}
		spec.VersionChoice = &servingpb.ModelSpec_Version{Version: wrapperspb.Int64(v)}
	case m[3] != "":
		spec.VersionChoice = &servingpb.ModelSpec_VersionLabel{VersionLabel: unescape(m[3])}
	}
	return spec, nil
}

// unescape decodes per cent signs; what is no escape stays.
func unescape(s string) string {
	if t, err := url.PathUnescape(s); err == nil {
		return strings.ToValidUTF8(t, "\uFFFD")
	}
	return s
}

func (h rest) post(w http.ResponseWriter, r *http.Request, spec *servingpb.ModelSpec, verb string) ([]byte, error) {
	l := &lease{budget: h.limits.budget}
	defer l.end()
	body, err := h.body(w, r, l)
	if err != nil {
		return nil, err
	}
	doc, err := parseRequest(body)
	if err != nil {
		return nil, asInvalid(err, "")
	}
	spec.SignatureName = doc.signature
	if verb == "predict" {
		return h.predictJSON(r.Context(), spec, doc, l)
	}
	in, err := doc.examples()
	if err != nil {
		return nil, asInvalid(err, "")
	}
	if verb == "classify" {
		out, err := h.classify(r.Context(), spec, in)
		if err != nil {
			return nil, err
		}
		return classificationReply(out.GetResult()), nil
	}
	out, err := h.regress(r.Context(), spec, in)
	if err != nil {
		return nil, err
	}
	return regressionReply(out.GetResult()), nil
}

func (h rest) predictJSON(ctx context.Context, spec *servingpb.ModelSpec, doc request, l *lease) ([]byte, error) {
	m, err := h.models.Find(spec)
	if err != nil {
		return nil, stateOf(ctx, err)
	}
	defer m.Release()
	name := signatureName(spec)
	sig, ok := m.Signatures()[name]
	switch {
	case !ok:
		return nil, invalid("Serving signature name: \"%s\" not found in signature def", clip(name))
	case len(sig.GetInputs()) == 0:
		return nil, invalid("Failed to get input map for signature: %s", name)
	}
	inputs, rows, err := doc.tensors(sig, l)
	if err != nil {
		return nil, asInvalid(err, "")
	}
	out, err := h.predict(ctx, m, name, sig, inputs, nil)
	if err != nil {
		return nil, err
	}
	return reply(out.GetOutputs(), rows)
}

// body reads a request, plain or gzipped. Both sizes are capped, and what has
// come counts against the budget from then on.
func (h rest) body(w http.ResponseWriter, r *http.Request, l *lease) ([]byte, error) {
	limit := h.limits.MaxBody
	if r.ContentLength > limit {
		return nil, &tooLargeError{limit}
	}
	var in io.Reader = http.MaxBytesReader(w, r.Body, limit)
	hint := max(r.ContentLength, 0)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		packed, err := readAll(in, hint, limit, l)
		if err != nil {
			return nil, err
		}
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, unreadable(err, limit)
		}
		if unpackedSize(packed) > limit {
			return nil, &tooLargeError{limit}
		}
		in, hint = z, 4*int64(len(packed))
	default:
		return nil, invalid("The request is packed as %s; gzip is known", clip(encoding))
	}
	return readAll(in, hint, limit, l)
}

// unpackedSize is what the last four bytes of a gzip file say that it holds (RFC
// 1952), so that most bombs are refused without the time to unpack them. Whoever
// lies is found out while unpacking; so is a size that nothing packs so small.
func unpackedSize(packed []byte) int64 {
	const best = 1032 // times: deflate cannot do better
	size := int64(binary.LittleEndian.Uint32(packed[len(packed)-4:]))
	if size > best*int64(len(packed)) {
		return 0
	}
	return size
}

// readAll reads up to limit bytes. It begins with a buffer for the size that the
// client claims, but trusts no claim for more than a mebibyte.
func readAll(in io.Reader, hint, limit int64, l *lease) ([]byte, error) {
	size := min(hint+1, 1<<20, limit+1)
	if err := l.take(size); err != nil {
		return nil, err
	}
	buffer := make([]byte, 0, size)
	for {
		n, err := in.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		switch {
		case int64(len(buffer)) > limit:
			return nil, &tooLargeError{limit}
		case err == io.EOF:
			return buffer, nil
		case err != nil:
			return nil, unreadable(err, limit)
		case len(buffer) == cap(buffer):
			more := max(512, int64(len(buffer)))
			if err := l.take(more); err != nil {
				return nil, err
			}
			buffer = append(make([]byte, 0, int64(len(buffer))+more), buffer...)
		}
	}
}

func unreadable(err error, limit int64) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &tooLargeError{limit}
	}
	return invalid("The request cannot be read: %v", err)
}
