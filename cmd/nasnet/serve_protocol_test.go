package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/internal/tensorproto"
	"github.com/nasnet-go/nasnet/savedmodel/serving/hostile"
	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
)

// testServer is bin/nasnet serve with the model half_plus_two as "default".
type testServer struct {
	rest string // address, such as http://127.0.0.1:1
	grpc string // host:port
	call rpc.Client
}

// freePorts are two ports that were free a moment ago.
func freePorts(t *testing.T) (a, b int) {
	t.Helper()
	var ports []int
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports[0], ports[1]
}

// startServer starts the server as a user does, and waits until it answers.
func startServer(t *testing.T) testServer {
	t.Helper()
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	base, err := filepath.Abs(filepath.Join("..", "..", "savedmodel", "serving", "testdata", "half_plus_two"))
	if err != nil {
		t.Fatal(err)
	}
	restPort, grpcPort := freePorts(t)
	var log bytes.Buffer
	c := exec.Command(nasnet, "serve", "--model_name", "default", "--model_base_path", base,
		"--rest_api_port", fmt.Sprint(restPort), "--port", fmt.Sprint(grpcPort))
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	s := testServer{rest: fmt.Sprintf("http://127.0.0.1:%d", restPort), grpc: fmt.Sprintf("127.0.0.1:%d", grpcPort)}
	conn, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	s.call = rpc.Client{Conn: conn}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = c.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("the server said:\n%s", log.String())
		}
	})
	for {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the server ended before it served: %v\n%s", err, log.String())
		case <-time.After(50 * time.Millisecond):
		}
		if r, err := http.Get(s.rest + "/v1/models/default"); err == nil {
			text, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if bytes.Contains(text, []byte("AVAILABLE")) {
				return s
			}
		}
	}
}

// json asks the REST interface and returns the answer as a JSON value.
func (s testServer) json(t *testing.T, method, path, body string) (code int, answer any) {
	t.Helper()
	r, err := http.NewRequest(method, s.rest+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
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
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s: %s: %v", method, path, text, err)
	}
	return resp.StatusCode, answer
}

func value(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// What tensorflow_model_server_test.py of TensorFlow Serving checks, on a model
// like its own, with our server and engine as processes.
func TestServesLikeTensorFlowServing(t *testing.T) {
	s := startServer(t)
	t.Run("REST", func(t *testing.T) { restChecks(t, s) })
	t.Run("metadata", func(t *testing.T) { metadataCheck(t, s) })
	t.Run("gRPC", func(t *testing.T) { grpcChecks(t, s) })
	t.Run("gRPC status and metadata", func(t *testing.T) { modelChecks(t, s) })
	t.Run("hostile", func(t *testing.T) { hostileChecks(t, s) })
	t.Run("python", func(t *testing.T) { pythonChecks(t, s) })
}

func restChecks(t *testing.T, s testServer) {
	for _, c := range []struct{ name, method, path, body, want string }{
		{"testGetStatusREST", "GET", "", "", `{"model_version_status": [{"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]}`},
		{"testPredictREST", "POST", ":predict", `{"instances": [2.0, 3.0, 4.0]}`, `{"predictions": [3.0, 3.5, 4.0]}`},
		{"testPredictColumnarREST", "POST", ":predict", `{"inputs": [2.0, 3.0, 4.0]}`, `{"outputs": [3.0, 3.5, 4.0]}`},
		{"testClassifyREST", "POST", ":classify", `{"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}`, `{"results": [[["", 3.0]]]}`},
		{"testRegressREST", "POST", ":regress", `{"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]}`, `{"results": [3.0]}`},
		{"the first example of its README", "POST", ":predict", `{"instances": [1.0, 2.0, 5.0]}`, `{"predictions": [2.5, 3.0, 4.5]}`},
		{"matrices", "POST", ":predict", `{"instances": [[1.0, 2.0], [3.0, 4.0]]}`, `{"predictions": [[2.5, 3.0], [3.5, 4.0]]}`},
		{"a version", "POST", "/versions/123:regress", `{"signature_name": "regress_x_to_y2", "examples": [{"x": 80.0}, {"x": 2.0}]}`, `{"results": [43.0, 4.0]}`},
		{"a context", "POST", ":regress", `{"signature_name": "regress_x_to_y", "context": {"x": 6.0}, "examples": [{}, {}]}`, `{"results": [5.0, 5.0]}`},
	} {
		code, got := s.json(t, c.method, "/v1/models/default"+c.path, c.body)
		if code != 200 || !reflect.DeepEqual(got, value(t, c.want)) {
			t.Errorf("%s: %d %v, want %s", c.name, code, got, c.want)
		}
	}
	for _, c := range []struct {
		path, body string
		code       int
	}{
		{":predict", `{"instances": ["x"]}`, 400},
		{":classify", `{"signature_name": "classify_x_to_y", "examples": [{"z": 2.0}]}`, 400},
		{"/versions/7:predict", `{"instances": [1]}`, 404},
		{"/labels/none:predict", `{"instances": [1]}`, 400},
	} {
		code, got := s.json(t, "POST", "/v1/models/default"+c.path, c.body)
		if e, _ := got.(map[string]any); code != c.code || e["error"] == "" {
			t.Errorf("%s %s: %d %v, want %d", c.path, c.body, code, got, c.code)
		}
	}
}

// testGetModelMetadataREST: the document is that of its testdata, written here
// as a table of names.
func metadataCheck(t *testing.T, s testServer) {
	column := func(name string) string {
		return fmt.Sprintf(`{"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": false}, "name": "%s:0"}`, name)
	}
	example := `{"dtype": "DT_STRING", "tensor_shape": {"dim": [], "unknown_rank": true}, "name": "tf_example:0"}`
	var list []string
	for name, c := range map[string][5]string{
		"serving_default": {"predict", "x", column("x"), "y", column("y")}, "classify_x_to_y": {"classify", "inputs", example, "scores", column("y")},
		"classify_x2_to_y3": {"classify", "inputs", column("x2"), "scores", column("y3")}, "regress_x_to_y": {"regress", "inputs", example, "outputs", column("y")},
		"regress_x_to_y2": {"regress", "inputs", example, "outputs", column("y2")}, "regress_x2_to_y3": {"regress", "inputs", column("x2"), "outputs", column("y3")},
	} {
		list = append(list, fmt.Sprintf(`%q: {"inputs": {%q: %s}, "outputs": {%q: %s}, "method_name": "tensorflow/serving/%s", "defaults": {}}`, name, c[1], c[2], c[3], c[4], c[0]))
	}
	want := `{"model_spec": {"name": "default", "signature_name": "", "version": "123"}, "metadata": {"signature_def": {"signature_def": {` + strings.Join(list, ",") + `}}}}`
	code, got := s.json(t, "GET", "/v1/models/default/metadata", "")
	if code != 200 || !reflect.DeepEqual(got, value(t, want)) {
		text, _ := json.Marshal(got)
		t.Errorf("%d %s\nwant\n%s", code, text, want)
	}
}

func modelSpec(signature string) *servingpb.ModelSpec {
	return &servingpb.ModelSpec{Name: "default", SignatureName: signature}
}

func answered(s *servingpb.ModelSpec, signature string) bool {
	return s.GetName() == "default" && s.GetSignatureName() == signature && s.GetVersion().GetValue() == 123
}

func oneExample(x float32) *servingpb.Input {
	return &servingpb.Input{Kind: &servingpb.Input_ExampleList{ExampleList: &servingpb.ExampleList{Examples: []*examplepb.Example{
		{Features: &examplepb.Features{Feature: map[string]*examplepb.Feature{"x": {Kind: &examplepb.Feature_FloatList{FloatList: &examplepb.FloatList{Value: []float32{x}}}}}}},
	}}}}
}

// testPredictSavedModel, testClassify, testRegress, testMultiInference, and the
// signatures of test_tf_saved_model_save_multiple_signatures.
func grpcChecks(t *testing.T, s testServer) {
	for _, filter := range [][]string{nil, {"y"}} {
		for _, dims := range [][]int64{{1}, {1, 1}} {
			out, err := s.call.Predict(t.Context(), &servingpb.PredictRequest{ModelSpec: modelSpec("serving_default"), OutputFilter: filter, Inputs: map[string]*tensorpb.TensorProto{
				"x": {Dtype: typespb.DataType_DT_FLOAT, TensorShape: tensorproto.Shape(dims), FloatVal: []float32{2}},
			}})
			y := out.GetOutputs()["y"]
			if err != nil || y.GetDtype() != typespb.DataType_DT_FLOAT || !slices.Equal(y.GetFloatVal(), []float32{3}) || !answered(out.GetModelSpec(), "serving_default") {
				t.Errorf("testPredict %v %v: %v, %v", filter, dims, out, err)
			}
		}
	}
	for signature, want := range map[string]float32{"regress_x_to_y": 3, "regress_x_to_y2": 4} {
		r, err := s.call.Regress(t.Context(), &servingpb.RegressionRequest{ModelSpec: modelSpec(signature), Input: oneExample(2)})
		if v := r.GetResult().GetRegressions(); err != nil || len(v) != 1 || v[0].GetValue() != want || !answered(r.GetModelSpec(), signature) {
			t.Errorf("testRegress %s: %v, %v", signature, r, err)
		}
	}
	c, err := s.call.Classify(t.Context(), &servingpb.ClassificationRequest{ModelSpec: modelSpec("classify_x_to_y"), Input: oneExample(2)})
	if v := c.GetResult().GetClassifications(); err != nil || len(v) != 1 || len(v[0].GetClasses()) != 1 || v[0].GetClasses()[0].GetScore() != 3 || !answered(c.GetModelSpec(), "classify_x_to_y") {
		t.Errorf("testClassify: %v, %v", c, err)
	}
	m, err := s.call.MultiInference(t.Context(), &servingpb.MultiInferenceRequest{Input: oneExample(2), Tasks: []*servingpb.InferenceTask{
		{ModelSpec: modelSpec("regress_x_to_y"), MethodName: "tensorflow/serving/regress"}, {ModelSpec: modelSpec("classify_x_to_y"), MethodName: "tensorflow/serving/classify"},
	}})
	if err != nil || len(m.GetResults()) != 2 {
		t.Fatalf("testMultiInference: %v, %v", m, err)
	}
	first, second := m.GetResults()[0], m.GetResults()[1]
	if first.GetRegressionResult().GetRegressions()[0].GetValue() != 3 || second.GetClassificationResult().GetClassifications()[0].GetClasses()[0].GetScore() != 3 ||
		!answered(first.GetModelSpec(), "regress_x_to_y") || !answered(second.GetModelSpec(), "classify_x_to_y") {
		t.Errorf("testMultiInference: %v", m)
	}
	if _, err := s.call.Predict(t.Context(), &servingpb.PredictRequest{ModelSpec: modelSpec("no")}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("an unknown signature: %v", err)
	}
}

// testGetModelStatus and testGetModelMetadata.
func modelChecks(t *testing.T, s testServer) {
	st, err := s.call.GetModelStatus(t.Context(), &servingpb.GetModelStatusRequest{ModelSpec: modelSpec("")})
	if v := st.GetModelVersionStatus(); err != nil || len(v) != 1 || v[0].GetVersion() != 123 || v[0].GetStatus().GetErrorCode() != 0 || v[0].GetState() != servingpb.ModelVersionStatus_AVAILABLE {
		t.Errorf("%v, %v", st, err)
	}
	meta, err := s.call.GetModelMetadata(t.Context(), &servingpb.GetModelMetadataRequest{ModelSpec: modelSpec(""), MetadataField: []string{"signature_def"}})
	if err != nil || !answered(meta.GetModelSpec(), "") || len(meta.GetMetadata()) != 1 || meta.GetMetadata()["signature_def"] == nil {
		t.Errorf("%v, %v", meta, err)
	}
}

// hostileChecks mixes hostile with valid requests: the former are refused, the
// latter are answered rightly.
func hostileChecks(t *testing.T, s testServer) {
	target := hostile.Target{Model: "default", Floats: "serving_default", Input: "x", Classify: "classify_x_to_y", ImageKey: "image", MaxBody: 64 << 20}
	list, err := hostile.REST(target)
	if err != nil {
		t.Fatal(err)
	}
	rand.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
	for i, h := range list {
		r, err := h.HTTP(s.rest)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			if len(h.Body) < 64<<20 { // what is too large may be cut off while it is still sent
				t.Errorf("%s: %v", h.Name, err)
			}
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if !slices.Contains(h.Codes, resp.StatusCode) {
			t.Errorf("%s: %d, want one of %v", h.Name, resp.StatusCode, h.Codes)
		}
		if i%16 == 0 {
			if code, got := s.json(t, "POST", "/v1/models/default:predict", `{"instances": [4.0]}`); code != 200 || !reflect.DeepEqual(got, value(t, `{"predictions": [4.0]}`)) {
				t.Errorf("after %s: %d %v", h.Name, code, got)
			}
		}
	}
	tensors, err := hostile.GRPC(target)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range tensors {
		if _, err := s.call.Predict(t.Context(), r); status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.FailedPrecondition {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pythonChecks makes the requests with TensorFlow's own stubs for Python.
func pythonChecks(t *testing.T, s testServer) {
	if testing.Short() {
		t.Skip("starts Python with TensorFlow")
	}
	script, err := os.ReadFile(filepath.Join("testdata", "serving_stubs.py"))
	if err != nil {
		t.Fatal(err)
	}
	out := reftest.PythonWith(t, "tensorflow_serving", string(script), s.grpc)
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	want := value(t, `{
		"predict": [2.5, 3.0, 4.5], "predict_content": [3.0, 3.5], "predict_filled": [3.0, 3.0, 3.0], "classify": [["", 3.0]], "regress": [3.0, 4.0],
		"multi": [3.0, 3.0], "status": [[123, "AVAILABLE", 0]], "spec": ["default", 123, "serving_default"],
		"signatures": ["classify_x2_to_y3", "classify_x_to_y", "regress_x2_to_y3", "regress_x_to_y", "regress_x_to_y2", "serving_default"],
		"unknown_signature": "FAILED_PRECONDITION", "unknown_model": "NOT_FOUND", "wrong_type": "INVALID_ARGUMENT"
	}`)
	if !reflect.DeepEqual(any(got), want) {
		t.Errorf("%v\nwant\n%v", got, want)
	}
}
