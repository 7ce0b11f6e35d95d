package serving

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
)

// halfPlusTwo is TensorFlow Serving's own test model: y = x/2 + 2. Its signature
// "size" tells the length of images instead.
type halfPlusTwo struct{ down bool }

func (h *halfPlusTwo) ready() bool { return !h.down }

func (h *halfPlusTwo) Predict(_ context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	if h.down {
		return nil, status.Error(codes.Unavailable, "loading")
	}
	if r.GetModelSpec().GetSignatureName() == "size" {
		in := r.GetInputs()["image_bytes"]
		out := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_INT64, TensorShape: in.GetTensorShape()}
		for _, s := range in.GetStringVal() {
			out.Int64Val = append(out.Int64Val, int64(len(s)))
		}
		return &servingpb.PredictResponse{Outputs: map[string]*tensorpb.TensorProto{"size": out}}, nil
	}
	in := r.GetInputs()["x"]
	out := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_FLOAT, TensorShape: in.GetTensorShape()}
	for _, x := range in.GetFloatVal() {
		out.FloatVal = append(out.FloatVal, x/2+2)
	}
	return &servingpb.PredictResponse{Outputs: map[string]*tensorpb.TensorProto{"y": out}}, nil
}

func info(t typespb.DataType, dims ...int64) *corepb.TensorInfo {
	s := &shapepb.TensorShapeProto{}
	for _, d := range dims {
		s.Dim = append(s.Dim, &shapepb.TensorShapeProto_Dim{Size: d})
	}
	return &corepb.TensorInfo{Dtype: t, TensorShape: s}
}

func serve(t *testing.T, p predictor) string {
	t.Helper()
	sigs := map[string]*corepb.SignatureDef{
		"serving_default": {Inputs: map[string]*corepb.TensorInfo{"x": info(typespb.DataType_DT_FLOAT, -1)}},
		"size":            {Inputs: map[string]*corepb.TensorInfo{"image_bytes": info(typespb.DataType_DT_STRING, -1)}},
	}
	base := t.TempDir()
	if err := os.Mkdir(filepath.Join(base, "123"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := newManager(t.Context(), managerOptions{Open: func(context.Context, versionID) (backend, error) { return &fixed{p, sigs}, nil }})
	t.Cleanup(m.close)
	if err := m.Reload(t.Context(), OneModel("default", base)); err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(newREST(m, Limits{MaxBody: 1 << 20}))
	t.Cleanup(h.Close)
	return h.URL
}

// fixed is a backend that is always there.
type fixed struct {
	predictor
	sigs map[string]*corepb.SignatureDef
}

func (f *fixed) signatureDefs() map[string]*corepb.SignatureDef { return f.sigs }
func (f *fixed) stop()                                          {}

func ask(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type %q", ct)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func TestPredictLikeTensorFlowServing(t *testing.T) {
	url := serve(t, &halfPlusTwo{})
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"POST", "/v1/models/default:predict", `{"instances": [1.0, 2.0, 5.0]}`, 200, `{"predictions": [2.5, 3.0, 4.5]}`},
		{"POST", "/V1/Models/default/versions/123:predict", `{"instances": [{"x": 1}, {"x": 2e0}]}`, 200, `{"predictions": [2.5, 3.0]}`},
		{"POST", "/v1/models/default:predict", `{"inputs": [1, 2, 5]}`, 200, `{"outputs": [2.5, 3.0, 4.5]}`},
		{"POST", "/v1/models/default:predict", `{"signature_name": "serving_default", "inputs": {"x": [0]}}`, 200, `{"outputs": [2.0]}`},
		{"POST", "/v1/models/default:predict", `{"instances": [NaN, Infinity, -Infinity]}`, 200, `{"predictions": [NaN, Infinity, -Infinity]}`},
		{"POST", "/v1/models/default:PREDICT", `{"instances": [1]}`, 400, "Malformed request: POST /v1/models/default:PREDICT"},
		{"POST", "/v1/models/default:predict", `{}`, 400, "Missing 'inputs' or 'instances' key"},
		{"POST", "/v1/models/default:predict", `{"instances": [1], "inputs": [1]}`, 400, "both"},
		{"POST", "/v1/models/default:predict", `{"instances": [[1]]}`, 400, "the signature wants"},
		{"POST", "/v1/models/default:predict", `{"instances": [1, [2]]}`, 400, "unexpected size or level"},
		{"POST", "/v1/models/default:predict", `{"instances": ["a"]}`, 400, "not a number"},
		{"POST", "/v1/models/default:predict", `{"instances": [1`, 400, "JSON Parse error"},
		{"POST", "/v1/models/default:predict", `[1]`, 400, "not object"},
		{"POST", "/v1/models/default:predict", `{"signature_name": "no", "instances": [1]}`, 400, "not found"},
		{"POST", "/v1/models/default:predict", `{"inputs": {"z": [1]}}`, 400, `"x"`},
		{"POST", "/v1/models/other:predict", `{"instances": [1]}`, 404, "other"},
		{"POST", "/v1/models/default/versions/7:predict", `{"instances": [1]}`, 404, "default"},
		{"GET", "/v1/models/default", "", 200, `"state": "AVAILABLE"`},
		{"GET", "/v1/models/default/metadata", "", 200, `"serving_default"`},
		{"GET", "/v1/nothing", "", 400, "Malformed request: GET /v1/nothing"},
		{"GET", "/", "", 404, "Not found"},
	} {
		code, text := ask(t, c.method, url+c.path, c.body)
		if code != c.code || !strings.Contains(text, c.want) && !strings.Contains(text, strings.Trim(fmt.Sprintf("%q", c.want), `"`)) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, code, text, c.code, c.want)
		}
		if code != 200 {
			var doc struct{ Error string }
			if json.Unmarshal([]byte(text), &doc) != nil || doc.Error == "" {
				t.Errorf("%s: no error document: %s", c.path, text)
			}
		}
	}
}

func TestWhileTheEngineIsDown(t *testing.T) {
	url := serve(t, &halfPlusTwo{down: true})
	if code, text := ask(t, "POST", url+"/v1/models/default:predict", `{"instances": [1]}`); code != 503 {
		t.Errorf("%d %s", code, text)
	}
	if code, text := ask(t, "GET", url+"/v1/models/default", ""); code != 200 || !strings.Contains(text, "LOADING") {
		t.Errorf("%d %s", code, text)
	}
}

func encodedPNG(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, size, size))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bomb is a PNG of a few bytes that declares 20,000 x 20,000 pixels.
func bomb(t *testing.T) []byte {
	raw := encodedPNG(t, 1)
	binary.BigEndian.PutUint32(raw[16:], 20000)
	binary.BigEndian.PutUint32(raw[20:], 20000)
	binary.BigEndian.PutUint32(raw[29:], crc32.ChecksumIEEE(raw[12:29]))
	return raw
}

func TestImagesAreJudgedBeforeTheyAreDecoded(t *testing.T) {
	url := serve(t, &halfPlusTwo{}) + "/v1/models/default:predict"
	body := func(raw []byte) string {
		return fmt.Sprintf(`{"signature_name": "size", "instances": [{"b64": "%s"}]}`, base64.StdEncoding.EncodeToString(raw))
	}
	good := encodedPNG(t, 9)
	if code, text := ask(t, "POST", url, body(good)); code != 200 || text != fmt.Sprintf(`{"predictions": [%d]}`, len(good)) {
		t.Errorf("%d %s", code, text)
	}
	for name, raw := range map[string][]byte{"bomb": bomb(t), "cut": good[:len(good)/2], "text": []byte("hello"), "nothing": nil} {
		if code, text := ask(t, "POST", url, body(raw)); code != 400 {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
}

func TestHostileRequestsAreRefused(t *testing.T) {
	url := serve(t, &halfPlusTwo{}) + "/v1/models/default:predict"
	deep := func(n int) string { return strings.Repeat("[", n) + "1" + strings.Repeat("]", n) }
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(bytes.Repeat([]byte(" "), 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body string
		code int
		gzip bool
	}{
		"250,000 lists deep":         {`{"instances": ` + deep(250000) + `}`, 400, false},
		"250,000 lists deep, unread": {`{"other": ` + deep(250000) + `, "instances": [1]}`, 400, false},
		"only opening brackets":      {`{"instances": ` + strings.Repeat("[", 500000), 400, false},
		"larger than allowed":        {`{"instances": [` + strings.Repeat("1,", 1<<20) + `1]}`, 413, false},
		"a gzip bomb":                {z.String(), 413, true},
		"a bad gzip":                 {"no gzip", 400, true},
	} {
		var header []string
		if c.gzip {
			header = []string{"Content-Encoding", "gzip"}
		}
		if code, text := ask(t, "POST", url, c.body, header...); code != c.code {
			t.Errorf("%s: %d %.200s, want %d", name, code, text, c.code)
		}
	}
}

func TestFloatsSurviveTheWayOut(t *testing.T) {
	for _, x := range []float32{0, 1, -2.5, 1e-30, math.MaxFloat32, math.SmallestNonzeroFloat32, 1.0 / 3} {
		text := string(appendFloat(nil, x))
		var back float32
		if _, err := fmt.Sscan(text, &back); err != nil || back != x || !strings.ContainsAny(text, ".e") {
			t.Errorf("%g was written %s and read %g (%v)", x, text, back, err)
		}
	}
}

// What parses as a tensor has the shape it says.
func FuzzTensorOf(f *testing.F) {
	for _, s := range []string{"[[1,2],[3,4]]", "1", "[[[NaN]]]", "[1,[2]]", `[{"b64":"YQ=="}]`, "[", "[1 2]", "]]"} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, isStrings bool) {
		x, err := tensorOf(text, isStrings)
		if err != nil {
			return
		}
		n := int64(1)
		for _, d := range x.shape {
			n *= d
		}
		if n != int64(len(x.floats)+len(x.strings)) {
			t.Fatalf("%q: shape %v with %d elements", text, x.shape, len(x.floats)+len(x.strings))
		}
	})
}

func FuzzParsePredict(f *testing.F) {
	f.Add([]byte(`{"signature_name": "a\u0041", "instances": [{"x": 1}]}`))
	f.Add([]byte(`{"inputs": {"x": [[1]]}}`))
	sig := &corepb.SignatureDef{Inputs: map[string]*corepb.TensorInfo{"x": info(typespb.DataType_DT_FLOAT, -1, -1)}}
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := parsePredict(body); err == nil {
			_, _ = r.tensors(sig, 1000)
		}
	})
}
