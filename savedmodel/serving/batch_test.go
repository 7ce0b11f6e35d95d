package serving

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// rowEngine computes, row by row, the sum of "x" and the text of "s" turned
// round. A negative element fails the whole batch, as a bad image does.
type rowEngine struct {
	runs  atomic.Int64
	sizes sync.Map      // of batches
	gate  chan struct{} // a token a run, where it is set
	dies  atomic.Bool
}

func openInfo(t typespb.DataType, dims ...int64) *corepb.TensorInfo {
	return &corepb.TensorInfo{Dtype: t, TensorShape: tensorproto.Shape(append([]int64{-1}, dims...))}
}

func (e *rowEngine) ready() bool { return true }
func (e *rowEngine) stop()       {}
func (e *rowEngine) signatureDefs() map[string]*corepb.SignatureDef {
	rows := &corepb.SignatureDef{
		Inputs:  map[string]*corepb.TensorInfo{"x": openInfo(typespb.DataType_DT_FLOAT, -1), "s": openInfo(typespb.DataType_DT_STRING)},
		Outputs: map[string]*corepb.TensorInfo{"sum": openInfo(typespb.DataType_DT_FLOAT), "turned": openInfo(typespb.DataType_DT_STRING)},
	}
	fixed := &corepb.SignatureDef{
		Inputs:  rows.GetInputs(),
		Outputs: map[string]*corepb.TensorInfo{"sum": {Dtype: typespb.DataType_DT_FLOAT, TensorShape: tensorproto.Shape([]int64{2})}},
	}
	return map[string]*corepb.SignatureDef{"serving_default": rows, "other": rows, "fixed": fixed}
}

func (e *rowEngine) Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	if e.gate != nil {
		<-e.gate
	}
	if e.dies.Load() {
		e.runs.Add(1)
		return nil, status.Error(codes.Unavailable, "died")
	}
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	x, s := r.GetInputs()["x"], r.GetInputs()["s"]
	rows, row, ok := rowsOf(x)
	raw, err := content(x)
	if !ok || err != nil || len(raw) != 4*rows*row || len(s.GetStringVal()) != rows {
		return nil, status.Errorf(codes.Internal, "inputs do not fit: %v", err)
	}
	e.runs.Add(1)
	e.sizes.Store(rows, true)
	sum := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_FLOAT, TensorShape: tensorproto.Shape([]int64{int64(rows)})}
	turned := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_STRING, TensorShape: tensorproto.Shape([]int64{int64(rows)})}
	for i := range rows {
		total := float32(0)
		for j := range row {
			v := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(i*row+j):]))
			if v < 0 {
				return nil, status.Error(codes.InvalidArgument, "a bad row")
			}
			total += v
		}
		sum.FloatVal = append(sum.FloatVal, total)
		turned.StringVal = append(turned.StringVal, []byte(turn(string(s.GetStringVal()[i]))))
	}
	out := map[string]*tensorpb.TensorProto{"sum": sum, "turned": turned}
	if f := r.GetOutputFilter(); len(f) > 0 {
		out = map[string]*tensorpb.TensorProto{f[0]: out[f[0]]}
	}
	return &servingpb.PredictResponse{Outputs: out, ModelSpec: r.GetModelSpec()}, nil
}

func turn(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

type noObserver struct{}

func (noObserver) batch(string, int, int, int)  {}
func (noObserver) queued(string, time.Duration) {}

// rowsRequest has one row a value: that value and its half, in width columns.
func rowsRequest(signature string, values []float32, width int, bytes bool, filter ...string) *servingpb.PredictRequest {
	x := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_FLOAT, TensorShape: tensorproto.Shape([]int64{int64(len(values)), int64(width)})}
	s := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_STRING, TensorShape: tensorproto.Shape([]int64{int64(len(values))})}
	for _, v := range values {
		for range width {
			if bytes {
				x.TensorContent = binary.LittleEndian.AppendUint32(x.TensorContent, math.Float32bits(v))
			} else {
				x.FloatVal = append(x.FloatVal, v)
			}
		}
		s.StringVal = append(s.StringVal, []byte(fmt.Sprint("row ", v)))
	}
	return &servingpb.PredictRequest{
		ModelSpec: &servingpb.ModelSpec{Name: "m", SignatureName: signature}, Inputs: map[string]*tensorpb.TensorProto{"x": x, "s": s}, OutputFilter: filter,
	}
}

// checkRows holds an answer against what the rows must give.
func checkRows(values []float32, width int, filter []string, out *servingpb.PredictResponse, err error) error {
	for _, v := range values {
		if v < 0 {
			if status.Code(err) != codes.InvalidArgument {
				return fmt.Errorf("a bad row was answered with %v", err)
			}
			return nil
		}
	}
	if err != nil {
		return err
	}
	want := 2
	if len(filter) > 0 {
		want = 1
	}
	if len(out.GetOutputs()) != want {
		return fmt.Errorf("%d outputs, want %d", len(out.GetOutputs()), want)
	}
	if sum, ok := out.GetOutputs()["sum"]; ok {
		if len(sum.GetFloatVal()) != len(values) || sum.GetTensorShape().GetDim()[0].GetSize() != int64(len(values)) {
			return fmt.Errorf("%d sums for %d rows", len(sum.GetFloatVal()), len(values))
		}
		for i, v := range values {
			if sum.GetFloatVal()[i] != v*float32(width) {
				return fmt.Errorf("row %d of %v: sum %g", i, values, sum.GetFloatVal()[i])
			}
		}
	}
	if turned, ok := out.GetOutputs()["turned"]; ok {
		for i, v := range values {
			if string(turned.GetStringVal()[i]) != turn(fmt.Sprint("row ", v)) {
				return fmt.Errorf("row %d of %v: %s", i, values, turned.GetStringVal()[i])
			}
		}
	}
	return nil
}

// Whatever is asked by how many at once, and however batches are made, everybody
// gets the rows that are his, and an error only for a row of his own.
func TestNoAnswerIsEverWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Batching{
			MaxSize: rapid.IntRange(1, 9).Draw(t, "max"), Timeout: time.Duration(rapid.IntRange(0, 300).Draw(t, "timeout")) * time.Microsecond,
			Enqueued: 1000, Threads: rapid.IntRange(1, 3).Draw(t, "threads"), Split: rapid.Bool().Draw(t, "split"), Eager: rapid.Bool().Draw(t, "eager"),
		}
		o.MaxRun = rapid.IntRange(1, o.MaxSize).Draw(t, "run")
		if rapid.Bool().Draw(t, "fill up") {
			o.Allowed = []int{o.rows()}
			if o.rows() > 2 {
				o.Allowed = []int{2, o.rows()}
			}
		}
		if faults := o.faults(); len(faults) > 0 {
			t.Fatal(faults)
		}
		type ask struct {
			signature string
			values    []float32
			width     int
			bytes     bool
			filter    []string
		}
		clients := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ask {
			a := ask{
				signature: rapid.SampledFrom([]string{"", "serving_default", "other"}).Draw(t, "signature"), width: rapid.IntRange(1, 2).Draw(t, "width"),
				bytes: rapid.Bool().Draw(t, "bytes"), filter: rapid.SampledFrom([][]string{nil, {"sum"}, {"turned"}}).Draw(t, "filter"),
			}
			rows := o.MaxSize
			if o.Split {
				rows = 3 * o.MaxSize
			}
			a.values = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float32 {
				if rapid.IntRange(0, 15).Draw(t, "bad") == 0 {
					return -1
				}
				return float32(rapid.IntRange(0, 1000).Draw(t, "value"))
			}), 1, rows).Draw(t, "values")
			return a
		}), 1, 4), 1, 12).Draw(t, "clients")
		b := newBatcher(&rowEngine{}, o, make(chan struct{}, o.Threads), noObserver{})
		var wg sync.WaitGroup
		errs := make(chan error, 100)
		for _, list := range clients {
			wg.Go(func() {
				for _, a := range list {
					out, err := b.Predict(context.Background(), rowsRequest(a.signature, a.values, a.width, a.bytes, a.filter...))
					if err := checkRows(a.values, a.width, a.filter, out, err); err != nil {
						errs <- err
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			t.Error(err)
		}
	})
}

// gated starts n requests of one row while the engine is held back.
func gated(b *batcher, n int) (*sync.WaitGroup, chan error) {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			out, err := b.Predict(context.Background(), rowsRequest("", []float32{float32(i)}, 1, false))
			errs <- checkRows([]float32{float32(i)}, 1, nil, out, err)
		})
	}
	return &wg, errs
}

func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	for !f() {
		if d, ok := t.Deadline(); ok && time.Until(d) < 5*time.Second {
			t.Fatal("never: ", what)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func (b *batcher) waiting() (rows int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		rows += q.rows
	}
	return rows
}

func TestWhatWaitsIsComputedTogetherAndFilledUp(t *testing.T) {
	e := &rowEngine{gate: make(chan struct{})}
	b := newBatcher(e, Batching{MaxSize: 8, MaxRun: 8, Enqueued: 10, Threads: 1, Allowed: []int{4, 8}}, make(chan struct{}, 1), noObserver{})
	first, firstErrs := gated(b, 1)
	waitFor(t, "the first is computed", func() bool { return len(b.threads) == 1 && b.waiting() == 0 })
	rest, restErrs := gated(b, 7)
	waitFor(t, "seven wait", func() bool { return b.waiting() == 7 })
	close(e.gate)
	first.Wait()
	rest.Wait()
	for range 7 {
		if err := <-restErrs; err != nil {
			t.Error(err)
		}
	}
	if err := <-firstErrs; err != nil {
		t.Error(err)
	}
	if _, ok := e.sizes.Load(8); !ok || e.runs.Load() != 2 {
		t.Errorf("%d runs, one of 8 rows: %v", e.runs.Load(), ok)
	}
	if _, ok := e.sizes.Load(4); !ok {
		t.Error("the first, alone, was not filled up to 4")
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	e := &rowEngine{gate: make(chan struct{})}
	b := newBatcher(e, Batching{MaxSize: 2, MaxRun: 2, Enqueued: 1, Threads: 1}, make(chan struct{}, 1), noObserver{})
	first, _ := gated(b, 1)
	waitFor(t, "the first is computed", func() bool { return len(b.threads) == 1 && b.waiting() == 0 })
	next, _ := gated(b, 2)
	waitFor(t, "two wait", func() bool { return b.waiting() >= 1 })
	waitFor(t, "two wait", func() bool { return b.waiting() == 2 || len(b.threads) == 0 })
	_, err := b.Predict(t.Context(), rowsRequest("", []float32{1}, 1, false))
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "queue to which this task was submitted is full; currently queued batches: 1") {
		t.Error(err)
	}
	close(e.gate)
	first.Wait()
	next.Wait()
}

func TestALargeRequestIsRefusedOrCut(t *testing.T) {
	b := newBatcher(&rowEngine{}, Batching{MaxSize: 2, MaxRun: 2, Enqueued: 9, Threads: 1}, make(chan struct{}, 1), noObserver{})
	if _, err := b.Predict(t.Context(), rowsRequest("", []float32{1, 2, 3}, 1, false)); status.Code(err) != codes.InvalidArgument ||
		!strings.Contains(err.Error(), "Task size 3 is larger than maximum input batch size 2") {
		t.Error(err)
	}
	b.o.Split = true
	out, err := b.Predict(t.Context(), rowsRequest("", []float32{1, 2, 3}, 1, true))
	if err := checkRows([]float32{1, 2, 3}, 1, nil, out, err); err != nil {
		t.Error(err)
	}
}

// An engine that died is not asked again for those who may have killed it.
func TestADeathIsNotRetried(t *testing.T) {
	e := &rowEngine{gate: make(chan struct{})}
	b := newBatcher(e, Batching{MaxSize: 8, MaxRun: 8, Enqueued: 10, Threads: 1}, make(chan struct{}, 1), noObserver{})
	first, firstErrs := gated(b, 1)
	waitFor(t, "the first is computed", func() bool { return len(b.threads) == 1 && b.waiting() == 0 })
	rest, restErrs := gated(b, 5)
	waitFor(t, "five wait", func() bool { return b.waiting() == 5 })
	e.dies.Store(true)
	close(e.gate)
	first.Wait()
	rest.Wait()
	if e.runs.Load() != 2 {
		t.Errorf("%d runs, want 2", e.runs.Load())
	}
	for range 5 {
		if err := <-restErrs; status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
	}
	if err := <-firstErrs; status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

func TestWhatHasNoBatchDimensionIsComputedAlone(t *testing.T) {
	e := &rowEngine{}
	b := newBatcher(e, Batching{MaxSize: 1, MaxRun: 1, Enqueued: 1, Threads: 1}, make(chan struct{}, 1), noObserver{})
	if _, err := b.Predict(t.Context(), rowsRequest("fixed", []float32{1, 2}, 1, false)); err != nil {
		t.Errorf("two rows, though a batch has one: %v", err)
	}
	if b.waiting() != 0 || len(b.queues) != 0 {
		t.Error("it went through a queue")
	}
}

func TestQueuesOfShapesFromOutsideAreForgotten(t *testing.T) {
	b := newBatcher(&rowEngine{}, Batching{MaxSize: 4, MaxRun: 4, Enqueued: 9, Threads: 1}, make(chan struct{}, 1), noObserver{})
	for width := range 4 * maxKinds {
		if _, err := b.Predict(t.Context(), rowsRequest("", []float32{1}, 1+width, false)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.queues); n > maxKinds+1 {
		t.Errorf("%d queues", n)
	}
}

func TestALeavingClientFreesItsPlace(t *testing.T) {
	e := &rowEngine{gate: make(chan struct{})}
	b := newBatcher(e, Batching{MaxSize: 1, MaxRun: 1, Enqueued: 9, Threads: 1}, make(chan struct{}, 1), noObserver{})
	first, _ := gated(b, 1)
	waitFor(t, "the first is computed", func() bool { return len(b.threads) == 1 && b.waiting() == 0 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := b.Predict(ctx, rowsRequest("", []float32{1}, 1, false))
		done <- err
	}()
	waitFor(t, "one waits", func() bool { return b.waiting() == 1 })
	cancel()
	if err := <-done; status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	close(e.gate)
	first.Wait()
	waitFor(t, "nothing waits", func() bool { return b.waiting() == 0 })
	if e.runs.Load() != 1 {
		t.Errorf("%d runs: the one who left was computed", e.runs.Load())
	}
}

func TestBatchingParameters(t *testing.T) {
	read := func(text string) (Batching, error) {
		path := filepath.Join(t.TempDir(), "batching")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return ReadBatching(path)
	}
	b, err := read("max_batch_size { value: 128 } batch_timeout_micros { value: 1500 } max_enqueued_batches { value: 7 } num_batch_threads { value: 3 }\n" +
		"thread_pool_name { value: \"x\" } allowed_batch_sizes: [8, 32] enable_large_batch_splitting { value: true } max_execution_batch_size { value: 32 }")
	if err != nil || b.MaxSize != 128 || b.Timeout != 1500*time.Microsecond || b.Enqueued != 7 || b.Threads != 3 || !b.Split || b.MaxRun != 32 || b.rows() != 32 || b.filled(9) != 32 {
		t.Errorf("%+v %v", b, err)
	}
	if b, err := read(""); err != nil || b.MaxSize != 1000 || b.Timeout != 0 || b.Eager {
		t.Errorf("%+v %v", b, err)
	}
	for text, want := range map[string]string{
		"max_batch_size { value: 0 }":                                                           "max_batch_size is 0",
		"num_batch_threads { value: -1 }":                                                       "num_batch_threads is -1",
		"max_batch_size { value: 8 } allowed_batch_sizes: [4]":                                  "the last entry of allowed_batch_sizes is 4",
		"max_batch_size { value: 8 } allowed_batch_sizes: [4, 4, 8]":                            "increasing",
		"pad_variable_length_inputs: true":                                                      "pad_variable_length_inputs",
		"max_batch_sizes { value: 1 }":                                                          "BatchingParameters",
		"max_execution_batch_size { value: 2000 } enable_large_batch_splitting { value: true }": "max_execution_batch_size is 2000",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if faults := DefaultBatching().faults(); len(faults) > 0 {
		t.Error(faults)
	}
}

// Rows of every type survive being cut out and put together again.
func TestRowsOfEveryType(t *testing.T) {
	shape := tensorproto.Shape([]int64{4, 2})
	ints := []int32{1, 2, 3, 4, 5, 6, 7, 8}
	for _, x := range []*tensorpb.TensorProto{
		{Dtype: typespb.DataType_DT_FLOAT, FloatVal: []float32{1, 2, 3, 4, 5, 6, 7, 8}},
		{Dtype: typespb.DataType_DT_DOUBLE, DoubleVal: []float64{1, 2, 3, 4, 5, 6, 7, 8}},
		{Dtype: typespb.DataType_DT_INT64, Int64Val: []int64{1, -2, 3, 4, 5, 6, 7, 8}},
		{Dtype: typespb.DataType_DT_UINT64, Uint64Val: []uint64{1, 2, 3, 4, 5, 6, 7, 8}},
		{Dtype: typespb.DataType_DT_UINT32, Uint32Val: []uint32{1, 2, 3, 4, 5, 6, 7, 8}},
		{Dtype: typespb.DataType_DT_INT32, IntVal: ints},
		{Dtype: typespb.DataType_DT_INT16, IntVal: ints},
		{Dtype: typespb.DataType_DT_UINT8, IntVal: ints},
		{Dtype: typespb.DataType_DT_HALF, HalfVal: ints},
		{Dtype: typespb.DataType_DT_BFLOAT16, HalfVal: ints},
		{Dtype: typespb.DataType_DT_BOOL, BoolVal: []bool{true, false, true, true, false, false, true, false}},
		{Dtype: typespb.DataType_DT_UINT8, TensorContent: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
	} {
		x.TensorShape = shape
		want, err := content(x)
		if err != nil {
			t.Fatal(err)
		}
		a, err1 := sliced(x, 0, 1)
		b, err2 := sliced(x, 1, 4)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		b2 := &tensorpb.TensorProto{Dtype: b.GetDtype(), TensorShape: b.GetTensorShape()} // in another form
		if b2.TensorContent, err = content(b); err != nil {
			t.Fatal(err)
		}
		for _, second := range []*tensorpb.TensorProto{b, b2} {
			whole, err := joinRows([]*tensorpb.TensorProto{a, second})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := content(whole); err != nil || string(got) != string(want) || whole.GetTensorShape().GetDim()[0].GetSize() != 4 {
				t.Errorf("%v: %v, %v", x, got, err)
			}
		}
	}
	if _, err := sliced(&tensorpb.TensorProto{Dtype: typespb.DataType_DT_FLOAT, TensorShape: shape, FloatVal: []float32{1}}, 0, 1); err == nil {
		t.Error("one value for eight elements was cut")
	}
}
