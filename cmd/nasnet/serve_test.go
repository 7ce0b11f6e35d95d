package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// modelServer is a server with TensorFlow Serving's test models: y = x/2 + 2, and
// y = x/2 + 3.
type modelServer struct {
	*servedProcess
	log  lockedBuffer
	told bool // to end, by the test
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func serveModels(t *testing.T, args ...string) *modelServer {
	t.Helper()
	self := program(t, "nasnet")
	program(t, "nasnet-engine")
	s := &modelServer{}
	var err error
	if s.servedProcess, err = startServedBy(context.Background(), self, &s.log, append([]string{"--log-level", "info"}, args...)...); err != nil {
		t.Fatalf("%v\n%s", err, s.log.String())
	}
	t.Cleanup(func() {
		end := s.stop
		if s.told {
			end = s.wait
		}
		if err := end(); err != nil {
			t.Errorf("the server's end: %v\n%s", err, s.log.String())
		}
	})
	return s
}

const testModels = "../../savedmodel/serving/testdata"

// copyModel copies a test model to base/version: not by one rename, as people do.
func copyModel(t *testing.T, model, base, version string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(base, version), os.DirFS(filepath.Join(testModels, model, "123"))); err != nil {
		t.Fatal(err)
	}
}

// ask predicts for x = 1 over REST and returns y, or the code and text of a refusal.
func (s *modelServer) ask(ctx context.Context, model string) (y float64, code int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.doc.REST+"/v1/models/"+model+":predict", strings.NewReader(`{"instances": [1.0]}`))
	if err != nil {
		return 0, 0, err
	}
	resp, err := s.http.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		return 0, resp.StatusCode, err
	}
	var doc struct{ Predictions []float64 }
	if err := json.Unmarshal(text, &doc); err != nil || len(doc.Predictions) != 1 {
		return 0, 200, fmt.Errorf("%s: %w", text, err)
	}
	return doc.Predictions[0], 200, nil
}

// until asks until f is content; the test's own time limit is the only one.
func (s *modelServer) until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for !f() {
		if d, ok := t.Deadline(); ok && time.Until(d) < 10*time.Second {
			t.Fatalf("never: %s\n%s", what, s.log.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *modelServer) answers(t *testing.T, model string, want float64) {
	t.Helper()
	s.until(t, fmt.Sprintf("%s answers %g", model, want), func() bool {
		y, code, err := s.ask(t.Context(), model)
		return err == nil && code == 200 && y == want
	})
}

// under keeps asking from several clients until stop, and counts the answers by
// code; 0 is a broken connection, -1 a wrong answer.
func (s *modelServer) under(t *testing.T, clients int, right func(y float64) bool) (stop func() map[int]int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[int]int{}
	for range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				y, code, err := s.ask(ctx, "default")
				if ctx.Err() != nil {
					return
				}
				if err == nil && code == 200 && !right(y) {
					code = -1
				}
				mu.Lock()
				codes[code]++
				mu.Unlock()
			}
		})
	}
	return func() map[int]int {
		cancel()
		wg.Wait()
		return codes
	}
}

// NASNET_SWAPS=100 is the long form.
func TestServeSwapsVersionsUnderLoad(t *testing.T) {
	swaps := 3
	if text := os.Getenv("NASNET_SWAPS"); text != "" {
		var err error
		if swaps, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	base := t.TempDir()
	copyModel(t, "half_plus_two", base, "1")
	s := serveModels(t, "--model_base_path", base)
	stop := s.under(t, 4, func(y float64) bool { return y == 2.5 || y == 3.5 })
	for v := 2; v < 2+swaps; v++ {
		name, want := "half_plus_two", 2.5
		if v%2 == 0 {
			name, want = "half_plus_three", 3.5
		}
		copyModel(t, name, base, strconv.Itoa(v))
		s.answers(t, "default", want)
		s.until(t, "the old one ends", func() bool { return strings.Contains(s.states(t, "default"), fmt.Sprintf("%d END", v-1)) })
		if err := os.RemoveAll(filepath.Join(base, strconv.Itoa(v-1))); err != nil {
			t.Fatal(err)
		}
	}
	if codes := stop(); len(codes) != 1 || codes[200] == 0 {
		t.Errorf("answers by code over %d swaps: %v\n%s", swaps, codes, s.log.String())
	}
	if pids, err := s.children(); err != nil || len(pids) != 1 {
		t.Errorf("engines left: %v, %v", pids, err)
	}
}

func (s *modelServer) states(t *testing.T, model string) string {
	t.Helper()
	resp, err := s.http.Get(s.doc.REST + "/v1/models/" + model)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		List []struct {
			Version, State string
			Status         struct {
				Message string `json:"error_message"`
			}
		} `json:"model_version_status"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, v := range doc.List {
		parts = append(parts, strings.TrimSpace(v.Version+" "+v.State+" "+v.Status.Message))
	}
	return strings.Join(parts, ", ")
}

func TestServeSurvivesTheDeathOfItsEngine(t *testing.T) {
	base := t.TempDir()
	copyModel(t, "half_plus_two", base, "1")
	for _, flags := range [][]string{nil, {"--enable_batching"}} {
		begin := time.Now()
		s := serveModels(t, append([]string{"--model_base_path", base}, flags...)...)
		load := time.Since(begin)
		for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGABRT} {
			stop := s.under(t, 4, func(y float64) bool { return y == 2.5 })
			s.answers(t, "default", 2.5)
			old, err := s.children()
			if err != nil || len(old) != 1 {
				t.Fatal(old, err)
			}
			killed := time.Now()
			if err := syscall.Kill(old[0], signal); err != nil {
				t.Fatal(err)
			}
			s.until(t, "a new engine", func() bool {
				now, err := s.children()
				return err == nil && len(now) == 1 && now[0] != old[0]
			})
			s.answers(t, "default", 2.5)
			t.Logf("%v %s: back after %v; the whole start took %v", flags, signal, time.Since(killed).Round(time.Millisecond), load.Round(time.Millisecond))
			codes := stop()
			if codes[200] == 0 || codes[503] == 0 || len(codes) != 2 {
				t.Errorf("%s: answers by code: %v\n%s", signal, codes, s.log.String())
			}
		}
		if deaths, err := metricOf(s.servedProcess, "nasnet_serving_engine_deaths_total"); err != nil || deaths != 2 {
			t.Errorf("%g deaths counted, %v", deaths, err)
		}
	}
}

func TestServeHalfAVersion(t *testing.T) {
	base := t.TempDir()
	copyModel(t, "half_plus_two", base, "1")
	s := serveModels(t, "--model_base_path", base)
	whole, err := os.ReadFile(filepath.Join(testModels, "half_plus_three/123/saved_model.pb"))
	if err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(base, "2", "saved_model.pb")
	if err := os.Mkdir(filepath.Dir(part), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(part, whole[:len(whole)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	s.until(t, "it is told", func() bool {
		return strings.Contains(s.states(t, "default"), "2 LOADING version 2 of model default cannot be loaded")
	})
	s.answers(t, "default", 2.5)
	if err := os.WriteFile(part, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	s.answers(t, "default", 3.5) // without waiting for the minute between retries
}

func TestServeDrains(t *testing.T) {
	base := t.TempDir()
	copyModel(t, "half_plus_two", base, "1")
	s := serveModels(t, "--model_base_path", base, "--drain_delay", "1s")
	u, err := url.Parse(s.doc.REST)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"instances": [1.0, 2.0]}`
	fmt.Fprintf(conn, "POST /v1/models/default:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:10])
	s.answers(t, "default", 2.5)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.told = true
	s.until(t, "probes are told", func() bool {
		resp, err := s.http.Get(s.doc.REST + "/v1/models/default")
		if err != nil {
			t.Fatalf("the server went before it told anybody: %v", err)
		}
		defer resp.Body.Close()
		return resp.StatusCode == 503
	})
	if y, code, err := s.ask(t.Context(), "default"); err != nil || code != 200 || y != 2.5 {
		t.Errorf("before the delay is over requests are answered: %g %d %v", y, code, err)
	}
	time.Sleep(1500 * time.Millisecond)
	if _, err := io.WriteString(conn, body[10:]); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") || !strings.Contains(string(answer), "3.0") {
		t.Errorf("what was under way was not finished: %s %v", answer, err)
	}
}

func TestServeSeveralModels(t *testing.T) {
	two, three := t.TempDir(), t.TempDir()
	copyModel(t, "half_plus_two", two, "1")
	copyModel(t, "half_plus_three", two, "2")
	copyModel(t, "half_plus_three", three, "7")
	file := filepath.Join(t.TempDir(), "models.config")
	write := func(format string, args ...any) {
		if err := os.WriteFile(file, fmt.Appendf(nil, "model_config_list { "+format+" }", args...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const both = `config { name: "two" base_path: %q model_platform: "tensorflow" model_version_policy { all {} } version_labels { key: "stable" value: %d } }`
	write(both, two, 1)
	s := serveModels(t, "--model_config_file", file, "--model_config_file_poll_wait_seconds", "1", "--num_load_threads", "2")
	s.answers(t, "two", 3.5)
	s.answers(t, "two/versions/1", 2.5)
	s.answers(t, "two/labels/stable", 2.5)
	write(both+` config { name: "three" base_path: %q }`, two, 2, three)
	s.answers(t, "three", 3.5)
	s.answers(t, "two/labels/stable", 3.5)
	write(`config { name: "two" base_path: "relative to nothing" model_platform: "caffe" }`)
	s.until(t, "the fault is told", func() bool { return strings.Contains(s.log.String(), "the models stay as they are") })
	s.answers(t, "three", 3.5)
	write(`config { name: "three" base_path: %q }`, three)
	s.until(t, "two is gone", func() bool {
		_, code, err := s.ask(t.Context(), "two")
		return err == nil && code == 404
	})
	self := program(t, "nasnet")
	for url, works := range map[string]bool{
		s.doc.REST + "/v1/models/three": true, s.doc.REST + "/v1/models/two": false, "grpc://" + s.doc.GRPC: true, "http://127.0.0.1:1": false,
	} {
		if out, err := exec.Command(self, "serve", "health", url).CombinedOutput(); (err == nil) != works {
			t.Errorf("health %s: %s %v", url, out, err)
		}
	}
}

// withRows makes the signatures of a copied model say that x and y have one row an
// example; as they come, they tell no rank, and then nothing is batched.
func withRows(t *testing.T, base string) {
	t.Helper()
	path := filepath.Join(base, "1", "saved_model.pb")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m corepb.SavedModel
	if err := proto.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	sig := m.GetMetaGraphs()[0].GetSignatureDef()["serving_default"]
	sig.GetInputs()["x"].TensorShape = tensorproto.Shape([]int64{-1})
	sig.GetOutputs()["y"].TensorShape = tensorproto.Shape([]int64{-1})
	if raw, err = proto.Marshal(&m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestServeBatchesManyClients(t *testing.T) {
	base := t.TempDir()
	copyModel(t, "half_plus_two", base, "1")
	withRows(t, base)
	s := serveModels(t, "--model_base_path", base, "--enable_batching")
	var wg sync.WaitGroup
	var wrong atomic.Int64
	for client := range 16 {
		wg.Go(func() {
			for i := range 30 {
				n := 1 + (client+i)%5
				x := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_FLOAT, TensorShape: tensorproto.Shape([]int64{int64(n)})}
				for j := range n {
					x.FloatVal = append(x.FloatVal, float32(100*client+10*i+j))
				}
				out, err := s.rpc().Predict(context.Background(), &servingpb.PredictRequest{ModelSpec: &servingpb.ModelSpec{Name: "default"}, Inputs: map[string]*tensorpb.TensorProto{"x": x}})
				y := out.GetOutputs()["y"].GetFloatVal()
				for j := range n {
					if err != nil || len(y) != n || y[j] != x.GetFloatVal()[j]/2+2 {
						wrong.Add(1)
						t.Errorf("%v gave %v, %v", x.GetFloatVal(), y, err)
						break
					}
				}
			}
		})
	}
	wg.Wait()
	if runs, err := metricOf(s.servedProcess, ":tensorflow:serving:batching_session:wrapped_run_count"); err != nil || runs < 1 || runs >= 16*30 {
		t.Errorf("%g batches for %d requests, %v", runs, 16*30, err)
	}
}

func TestServeWarmsUp(t *testing.T) {
	warmup := func(base, model string, inputs map[string]*tensorpb.TensorProto) {
		raw, err := proto.Marshal(&servingpb.PredictionLog{LogType: &servingpb.PredictionLog_PredictLog{PredictLog: &servingpb.PredictLog{
			Request: &servingpb.PredictRequest{ModelSpec: &servingpb.ModelSpec{Name: model}, Inputs: inputs},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(base, "1", "assets.extra")
		var file bytes.Buffer
		if err := tfrecord.NewWriter(&file).Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "tf_serving_warmup_requests"), file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	good, bad := t.TempDir(), t.TempDir()
	copyModel(t, "half_plus_two", good, "1")
	copyModel(t, "half_plus_two", bad, "1")
	x := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_FLOAT, TensorShape: tensorproto.Shape([]int64{1}), FloatVal: []float32{1}}
	warmup(good, "any", map[string]*tensorpb.TensorProto{"x": x})
	warmup(bad, "any", map[string]*tensorpb.TensorProto{"no such input": x})
	serveModels(t, "--model_base_path", good).answers(t, "default", 2.5)
	out, err := exec.Command(program(t, "nasnet"), "serve", "--model_base_path", bad, "--max_num_load_retries", "0", "--rest_api_port", "0", "--port", "0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "version 1 of model default cannot be loaded: warm-up: record 0") {
		t.Errorf("%v: %s", err, out)
	}
	serveModels(t, "--model_base_path", bad, "--enable_model_warmup=false").answers(t, "default", 2.5)
}
