package serving

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// serve answers for the twin at the returned address. In the end nothing may be
// held and no byte be counted.
func serve(t *testing.T, m *twin) string {
	t.Helper()
	limits := Limits{MaxBody: 2 << 20}.fill()
	h := httptest.NewServer(newREST(m, limits))
	t.Cleanup(func() {
		h.Close()
		if n, b := m.held.Load(), limits.budget.used.Load(); n != 0 || b != 0 {
			t.Errorf("%d models are still held, %d bytes are still counted", n, b)
		}
	})
	return h.URL
}

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
	return resp.StatusCode, string(text)
}

// message is the text of an error document.
func message(t *testing.T, body string) string {
	t.Helper()
	var doc map[string]string
	if err := json.Unmarshal([]byte(body), &doc); err != nil || len(doc) != 1 || doc["error"] == "" {
		t.Errorf("no error document: %s (%v)", body, err)
	}
	return doc["error"]
}

// Routes as http_rest_api_handler_test.cc of TensorFlow Serving tries them.
func TestRoutes(t *testing.T) {
	url := serve(t, &twin{labels: map[string]int64{"stable": twinVersion}})
	for _, c := range []struct {
		method, path string
		code         int
		want         string
	}{
		{"GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"},
		{"POST", "/v1/foo", 400, "Malformed request: POST /v1/foo"},
		{"PUT", "/v1/models/default", 400, "Malformed request: PUT /v1/models/default"},
		{"GET", "/v1/models", 400, "Missing model name in request."},
		{"GET", "/v1/models/debug/model_name", 400, "Malformed request"},
		{"POST", "/v1/models", 400, "Malformed request"},
		{"GET", "/v1/models/default:predict", 400, "Malformed request"},
		{"POST", "/v1/models/default/version/50:regress", 400, "Malformed request"},
		{"POST", "/v1/models/default/versions/HELLO:regress", 400, "Malformed request"},
		{"POST", "/v1/models/default/versions/18446744073709551615:regress", 400, "Failed to convert version: 18446744073709551615 to numeric."},
		{"POST", "/v1/models/default/metadata", 400, "Malformed request"},
		{"POST", "/v1/models/default/versions/123/labels/stable:regress", 400, "Malformed request"},
		{"POST", "/v1/models/default:PREDICT", 400, "Malformed request"},
		{"POST", "/v1/models/default:explain", 400, "Malformed request"},
		{"POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"},
		{"POST", "/v1/models/default99:predict", 404, "Servable not found"},
		{"POST", "/v1/models/default/versions/7:predict", 404, "Servable not found"},
		{"POST", "/v1/models/default/labels/new:predict", 400, "Unrecognized servable version label: new"},
		{"GET", "/v1/models/other", 404, "Could not find any versions of model other"},
		{"GET", "/v1/models/other/metadata", 404, "Servable not found"},
		{"GET", "/index", 404, "Not found: /index"},
		{"GET", "/", 404, "Not found: /"},
		{"OPTIONS", "/v1/models/default:predict", 400, "Origin header is missing in CORS preflight"},
	} {
		code, body := ask(t, c.method, url+c.path, `{"instances": [1]}`)
		if text := message(t, body); code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, code, text, c.code, c.want)
		}
	}
	for _, path := range []string{
		"/v1/models/default:predict", "/V1/Models/default/Versions/123:predict", "/v1/models/default/labels/stable:predict",
		"/v1/models/%64efault:predict", "/v1/models/default/labels/%73table:predict", "/v1/models/default:predict?x=1",
	} {
		if code, body := ask(t, "POST", url+path, `{"instances": [1.0]}`); code != 200 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, body := ask(t, "OPTIONS", url+"/v1/models/default", "", "Origin", "https://example.org"); code != 200 || body != "" {
		t.Errorf("%d %s", code, body)
	}
}

// Replies byte for byte, as TensorFlow Serving lays them out.
func TestReplies(t *testing.T) {
	url := serve(t, &twin{})
	for _, c := range []struct{ verb, body, want string }{
		{"predict", `{"instances": [1.0, 2.0, 5.0]}`, "{\n    \"predictions\": [2.5, 3.0, 4.5\n    ]\n}"},
		{"predict", `{"instances": [{"x": 1}, {"x": 2e0}]}`, "{\n    \"predictions\": [2.5, 3.0\n    ]\n}"},
		{"predict", `{"instances": [[1.0, 2.0], [3.0, 4.0]]}`, "{\n    \"predictions\": [[2.5, 3.0], [3.5, 4.0]\n    ]\n}"},
		{"predict", `{"inputs": [1, 2, 5]}`, "{\n    \"outputs\": [\n        2.5,\n        3.0,\n        4.5\n    ]\n}"},
		{"predict", `{"signature_name": "serving_default", "inputs": {"x": [0]}}`, "{\n    \"outputs\": [\n        2.0\n    ]\n}"},
		{"predict", `{"instances": [NaN, Infinity, -Infinity]}`, "{\n    \"predictions\": [NaN, Infinity, -Infinity\n    ]\n}"},
		{"predict", `{"instances": [1.0]} and more`, "{\n    \"predictions\": [2.5\n    ]\n}"},
		{
			"predict", `{"signature_name": "echo_few", "instances": [{"int32_tensor": [1, 2], "string_tensor": "a", "string_bytes": {"b64": "aGVsbG8="}}]}`,
			"{\n    \"predictions\": [\n        {\n            \"int32_tensor\": [1, 2],\n            \"string_bytes\": {\n                \"b64\": \"aGVsbG8=\"\n            },\n            \"string_tensor\": \"a\"\n        }\n    ]\n}",
		},
		{"classify", `{"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}`, "{\n    \"results\": [[[\"\", 3.0]]\n    ]\n}"},
		{"regress", `{"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}, {"x": 1.0}]}`, "{\n    \"results\": [42.0, 2.5]\n}"},
		{"regress", `{"signature_name": "regress_x_to_y2", "context": {"x": 4.0}, "examples": [{"z": "a"}, {}]}`, "{\n    \"results\": [5.0, 5.0]\n}"},
	} {
		code, body := ask(t, "POST", url+"/v1/models/default:"+c.verb, c.body)
		if code != 200 || body != c.want {
			t.Errorf("%s %s: %d\n%s\nwant\n%s", c.verb, c.body, code, body, c.want)
		}
	}
}

// Requests that TensorFlow Serving's json_tensor_test.cc and its handler's test
// refuse, and others, with the messages of its source.
func TestErrors(t *testing.T) {
	url := serve(t, &twin{})
	for _, c := range []struct{ verb, body, want string }{
		{"predict", ``, "JSON Parse error: The document is empty"},
		{"predict", `  `, "JSON Parse error: The document is empty. at offset: 2"},
		{"predict", `instances = [1, 2]`, "JSON Parse error: Invalid value. at offset: 0"},
		{"predict", `[1]`, "JSON Value: [1] Is not object"},
		{"predict", `{"instances": ["x", "y"]}`, "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"x\" Type: String is not of expected type: float"},
		{"predict", `{"signature_name": 100}`, "JSON Value: {\n    \"signature_name\": 100\n} not formatted correctly. 'signature_name' key must be a string value."},
		{"predict", `{}`, "Missing 'inputs' or 'instances' key"},
		{"predict", `{"instances": [1], "inputs": [1]}`, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "},
		{"predict", `{"instances": 1}`, "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array"},
		{"predict", `{"instances": []}`, "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"},
		{"predict", `{"instances": [[1,2],[3,4],[5,6,7]]}`, "Failed to process element: 2 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: 3"},
		{"predict", `{"instances": [[1,2],[3,4],[[5,6]]]}`, "Expecting shape [2] but got: [1,2]"},
		{"predict", `{"instances": [1, [1]]}`, "Expecting shape [] but got: [1]"},
		{"predict", `{"instances": [[1,2],["a", "b"]]}`, "not of expected type: float"},
		{"predict", `{"inputs": [[1,2],[3]]}`, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"},
		{"predict", `{"inputs": [1,[2]]}`, "Encountered list at unexpected level: 1 expected < 1"},
		{"predict", `{"inputs": [[1],2]}`, "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"},
		{"predict", `{"inputs": {"z": [1]}}`, "Missing named input: x in 'inputs' object."},
		{"predict", `{"instances": [{"z": 1}]}`, "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: z"},
		{"predict", `{"signature_name": "echo_few", "instances": [{"int32_tensor": 1}]}`, "keys must be equal to: int32_tensor,string_bytes,string_tensor"},
		{"predict", `{"signature_name": "echo_few", "instances": [1]}`, "instances is a plain list, but expecting list of objects"},
		{"predict", `{"signature_name": "echo_few", "inputs": [1]}`, "inputs is a plain value/list, but expecting an object"},
		{"predict", `{"signature_name": "echo_few", "instances": [{"int32_tensor": 1, "string_tensor": "a", "string_bytes": "b"}, 1]}`, "Expecting object but got list at item 1 of input list"},
		{"predict", `{"instances": [1, {"x": 1}]}`, "Expecting value/list but got object at item 1 of input list"},
		{"predict", `{"signature_name": "no", "instances": [1]}`, "Serving signature name: \"no\" not found in signature def"},
		{"predict", `{"signature_name": "pictures", "instances": [[[[1,2,3]]]]}`, "its shape is [1,1,1,3], the signature wants [-1,32,32,3]"},
		{"predict", `{"signature_name": "echo_int32", "instances": [1.0]}`, "JSON Value: 1.0 Type: Number is not of expected type: int32"},
		{"predict", `{"signature_name": "echo_int32", "instances": [1e2]}`, "JSON Value: 100.0 Type: Number is not of expected type: int32"},
		{"predict", `{"signature_name": "echo_uint8", "instances": [256]}`, "JSON Value: 256 Type: Number is not of expected type: uint8"},
		{"predict", `{"signature_name": "echo_uint64", "instances": [-1]}`, "not of expected type: uint64"},
		{"predict", `{"signature_name": "echo_bool", "instances": [1]}`, "JSON Value: 1 Type: Number is not of expected type: bool"},
		{"predict", `{"signature_name": "echo_string", "instances": [{"b64": "!"}]}`, "Unable to base64 decode"},
		{"predict", `{"signature_name": "echo_string", "inputs": {"v": {"b65": "aaaa"}}}`, "not formatted correctly for base64 data"},
		{"predict", `{"signature_name": "echo_string", "instances": [true]}`, "JSON Value: true Type: True is not of expected type: string"},
		{"classify", `{"signature_name": ["hello"], "examples": [{"names": ["foo"]}]}`, "'signature_name' key must be a string"},
		{"classify", `{"context": [{"names": ["foo"]}]}`, "Example must be JSON object but got JSON Array"},
		{"classify", `{}`, "When method is classify, key 'examples' is expected and was not found"},
		{"classify", `{"examples": {"names": ["foo"]}}`, "Expecting 'examples' value to be an list/array"},
		{"classify", `{"examples": []}`, "'examples' value is an empty array"},
		{"classify", `{"examples": [[{"names": ["foo"]}]]}`, "Example must be JSON object"},
		{"regress", `{"examples": [{"names": [10, null]}]}`, "Feature: names has element with unexpected JSON type: Null"},
		{"regress", `{"examples": [{"names": [10, 10.0]}]}`, "Unexpected element type in feature: names expecting type: int64"},
		{"regress", `{"examples": [{"names": [10, {"test": 10}]}]}`, "names has element with unexpected JSON type: Object"},
		{"regress", `{"examples": [{"names": [[10], 20]}]}`, "names has element with unexpected JSON type: Array"},
		{"regress", `{"examples": [{"names": [20, 18446744073709551603]}]}`, "Feature: names has uint64_t element. Only int64_t is supported."},
		{"regress", `{"signature_name": "no", "examples": [{"x": 1.0}]}`, "No signature was found with the name: no"},
		{"regress", `{"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}]}`, "No regression outputs found in SignatureDef"},
		{"classify", `{"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}]}`, "Expected classification signature outputs to contain at least one of"},
		{"classify", `{"signature_name": "classify_x2_to_y3", "examples": [{"x": 1.0}]}`, "its type is string, the signature wants float"},
		{"classify", `{"signature_name": "classify_x_to_y", "examples": [{}]}`, "Feature: x"},
	} {
		code, body := ask(t, "POST", url+"/v1/models/default:"+c.verb, c.body)
		if text := message(t, body); code != 400 || !strings.Contains(text, c.want) {
			t.Errorf("%s %s: %d %q, want %q", c.verb, c.body, code, text, c.want)
		}
	}
	for _, dtype := range []string{"half", "bfloat16", "uint16"} {
		body := fmt.Sprintf(`{"signature_name": "echo_%s", "instances": [1]}`, dtype)
		if code, text := ask(t, "POST", url+"/v1/models/default:predict", body); code != 501 || !strings.Contains(message(t, text), "Conversion of JSON Value: 1 to type: "+dtype) {
			t.Errorf("%s: %d %s", dtype, code, text)
		}
	}
}

// Every type that TensorFlow Serving's JSON has, through request and reply.
func TestTypesThroughJSON(t *testing.T) {
	url := serve(t, &twin{}) + "/v1/models/default:predict"
	for dtype, values := range map[string]string{
		"float": "1.5, -0.25, 3e+38, 1e-07, 0.1", "double": "1.5, 1e+300, -0.1, 0.33333333333333331", "bool": "true, false",
		"int8": "-128, 127", "int16": "-32768, 32767", "int32": "-2147483648, 2147483647", "int64": "-9223372036854775808, 9223372036854775807",
		"uint8": "0, 255", "uint32": "0, 4294967295", "uint64": "0, 18446744073709551615", "string": `"", "a\"\\\n\u0001é"`,
	} {
		code, body := ask(t, "POST", url, fmt.Sprintf(`{"signature_name": "echo_%s", "instances": [[%s]]}`, dtype, values))
		if want := fmt.Sprintf("{\n    \"predictions\": [[%s]\n    ]\n}", values); code != 200 || body != want {
			t.Errorf("%s: %d %s, want %s", dtype, code, body, want)
		}
	}
}

func TestStatusAndMetadata(t *testing.T) {
	url := serve(t, &twin{})
	want := "{\n \"model_version_status\": [\n  {\n   \"version\": \"123\",\n   \"state\": \"AVAILABLE\",\n   \"status\": {\n    \"error_code\": \"OK\",\n    \"error_message\": \"\"\n   }\n  }\n ]\n}\n"
	for _, path := range []string{"/v1/models/default", "/v1/models/default/versions/123", "/v1/models/default/METADATA"} {
		if code, body := ask(t, "GET", url+path, ""); code != 200 || body != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	code, body := ask(t, "GET", url+"/v1/models/default/metadata", "")
	begin := "{\n\"model_spec\":{\n \"name\": \"default\",\n \"signature_name\": \"\",\n \"version\": \"123\"\n}\n,\n\"metadata\": {\"signature_def\": {\n \"signature_def\": {\n  \"classify_x2_to_y3\": {\n"
	if code != 200 || !strings.HasPrefix(body, begin) || !strings.HasSuffix(body, "\n}\n}\n}\n") {
		t.Errorf("%d %s", code, body)
	}
	var doc struct {
		Metadata struct {
			Outer struct {
				Inner map[string]any `json:"signature_def"`
			} `json:"signature_def"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || len(doc.Metadata.Outer.Inner) != len(twinSignatures) {
		t.Fatalf("%v: %d signatures", err, len(doc.Metadata.Outer.Inner))
	}
	// As half_plus_two_model_metadata.json of TensorFlow Serving has it.
	if got, want := fmt.Sprint(doc.Metadata.Outer.Inner["classify_x_to_y"]), "map[defaults:map[] inputs:map[inputs:map[dtype:DT_STRING name:tf_example:0 tensor_shape:map[dim:[] unknown_rank:true]]] "+
		"method_name:tensorflow/serving/classify outputs:map[scores:map[dtype:DT_FLOAT name:y:0 tensor_shape:map[dim:[map[name: size:-1] map[name: size:1]] unknown_rank:false]]]]"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestWhileTheEngineIsDown(t *testing.T) {
	url := serve(t, &twin{down: true})
	if code, text := ask(t, "POST", url+"/v1/models/default:predict", `{"instances": [1]}`); code != 503 {
		t.Errorf("%d %s", code, text)
	}
	if code, text := ask(t, "GET", url+"/v1/models/default", ""); code != 200 || !strings.Contains(text, "LOADING") {
		t.Errorf("%d %s", code, text)
	}
}

func TestGzippedRequests(t *testing.T) {
	url := serve(t, &twin{}) + "/v1/models/default:predict"
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write([]byte(`{"instances": [1.0]}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if code, text := ask(t, "POST", url, z.String(), "Content-Encoding", "gzip"); code != 200 || !strings.Contains(text, "2.5") {
		t.Errorf("%d %s", code, text)
	}
	for _, encoding := range []string{"gzip", "br"} {
		if code, text := ask(t, "POST", url, `{"instances": [1.0]}`, "Content-Encoding", encoding); code != 400 {
			t.Errorf("%s: %d %s", encoding, code, text)
		}
	}
}

// Bombs are refused by the size that they admit; those that lie, while unpacking.
func TestGzipBombs(t *testing.T) {
	const limit = 1 << 20
	h := httptest.NewServer(newREST(&twin{}, Limits{MaxBody: limit}))
	defer h.Close()
	packed := func(n int) []byte {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, err := w.Write(bytes.Repeat([]byte(" "), n))
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return z.Bytes()
	}
	honest := packed(4 * limit)
	lying := append(slices.Clone(honest), packed(1)...) // members in a row: the last one's size stands at the end
	tooGood := slices.Clone(packed(1))
	binary.LittleEndian.PutUint32(tooGood[len(tooGood)-4:], math.MaxUint32)
	for name, c := range map[string]struct {
		body  []byte
		says  int64
		codes int
	}{
		"honest": {honest, 4 * limit, 413}, "lying": {lying, 1, 413}, "impossible": {tooGood, 0, 400},
	} {
		if got := unpackedSize(c.body); got != c.says {
			t.Errorf("%s: it says %d, want %d", name, got, c.says)
		}
		if code, text := ask(t, "POST", h.URL+"/v1/models/default:predict", string(c.body), "Content-Encoding", "gzip"); code != c.codes {
			t.Errorf("%s: %d %s, want %d", name, code, text, c.codes)
		}
	}
}

// The budget refuses what would be too much at once, and is whole again afterwards.
func TestRequestsUnderWayAreBounded(t *testing.T) {
	limits := Limits{MaxBody: 1 << 20, MaxInFlight: 100 << 10}.fill()
	h := httptest.NewServer(newREST(&twin{}, limits))
	defer h.Close()
	big := `{"instances": [` + strings.Repeat("1,", 30<<10) + `1]}`
	for range 2 {
		if code, body := ask(t, "POST", h.URL+"/v1/models/default:predict", big); code != 429 {
			t.Errorf("%d %.200s", code, body)
		}
		if code, body := ask(t, "POST", h.URL+"/v1/models/default:predict", `{"instances": [1.0]}`); code != 200 {
			t.Errorf("%d %s", code, body)
		}
	}
	if n := limits.budget.used.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

func TestFloatsAreWrittenAsTensorFlowServingDoes(t *testing.T) {
	for x, want := range map[float32]string{
		0: "0.0", 1: "1.0", -2.5: "-2.5", 9000000: "9e+06", 999999: "999999.0", .0003: "0.0003", .00003: "3e-05", 555557.5: "555557.5",
		1.0 / 3: "0.333333343", 1e-30: "1e-30", 123456792: "123456792.0", math.SmallestNonzeroFloat32: "1.4013e-45",
	} {
		text := string(appendFloat(nil, float64(x), 32))
		back, err := strconv.ParseFloat(text, 32)
		if text != want || err != nil || float32(back) != x {
			t.Errorf("%g was written %s and read %g (%v), want %s", x, text, back, err, want)
		}
	}
	if got := string(appendFloat(nil, 0.2, 64)); got != "0.2" {
		t.Error(got)
	}
}

// The model gets what the client sent: resolved names, numbers as raw content.
func TestWhatTheModelIsAsked(t *testing.T) {
	m := &twin{}
	url := serve(t, m)
	if code, body := ask(t, "POST", url+"/v1/models/default:predict", `{"instances": [1.0]}`); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	r := m.last.Load()
	if s := r.GetModelSpec(); s.GetName() != "default" || s.GetVersion().GetValue() != 123 || s.GetSignatureName() != "serving_default" {
		t.Errorf("%v", s)
	}
	if x := r.GetInputs()["x"]; !bytes.Equal(x.GetTensorContent(), []byte{0, 0, 0x80, 0x3f}) || !proto.Equal(x.GetTensorShape(), tensorproto.Shape([]int64{1})) {
		t.Errorf("%v", x)
	}
}
