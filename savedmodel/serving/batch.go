package serving

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// batcher computes requests of one version together.
//
//	Predict ─► queue of its kind ─► a thread is free, and the batch full or old enough ─► joined, filled up ─► backend
//	   ▲                                                                                                       │
//	   └─────────────────────────────────────── rows of its own ◄── cut apart ◄─────────────────────────────────┘
//
// Requests are of one kind when signature, output filter, types and all
// dimensions but the first agree.
type batcher struct {
	backend
	o       Batching
	threads chan struct{} // one token a batch that is computed; shared by all versions
	seen    batchObserver
	batched map[string]bool // signatures whose tensors all have a batch dimension

	mu     sync.Mutex
	queues map[string]*queue
}

// batchObserver is told of every batch.
type batchObserver interface {
	batch(model string, requests, rows, filled int)
	queued(model string, waited time.Duration)
}

// maxKinds bounds how many idle queues are kept: shapes come from outside.
const maxKinds = 256

// queue holds the waiting requests of one kind, oldest first.
type queue struct {
	tasks   []*batchTask
	rows    int           // of all tasks
	serving bool          // a goroutine takes its tasks out
	running int           // batches that are computed
	changed chan struct{} // gets a value when a request comes or a batch is done

	// What Batching.Eager needs: when a batch ended, and how many rows were in it
	// or waiting then. Clients that ask one request after another come back with
	// as many.
	ended  time.Time
	expect int
}

func (q *queue) tell() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// batchTask is one request, or a part of one that was larger than a batch.
type batchTask struct {
	ctx     context.Context
	request *servingpb.PredictRequest
	rows    int
	since   time.Time
	done    chan struct{} // closed when response or err is set
	out     *servingpb.PredictResponse
	err     error
}

func newBatcher(b backend, o Batching, threads chan struct{}, seen batchObserver) *batcher {
	t := &batcher{backend: b, o: o, threads: threads, seen: seen, batched: map[string]bool{}, queues: map[string]*queue{}}
	for name, sig := range b.signatureDefs() {
		t.batched[name] = hasRows(sig.GetInputs()) && hasRows(sig.GetOutputs())
	}
	return t
}

// hasRows reports whether every tensor has a first dimension that is open.
func hasRows(list map[string]*corepb.TensorInfo) bool {
	for _, info := range list {
		dims := info.GetTensorShape().GetDim()
		if len(dims) == 0 || dims[0].GetSize() >= 0 {
			return false
		}
	}
	return len(list) > 0
}

// Predict computes r, together with others of its kind. Where that cannot be,
// it is computed alone.
func (b *batcher) Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	kind, rows, ok := kindOf(r)
	if !ok || rows == 0 || !b.batched[signatureName(r.GetModelSpec())] {
		return b.backend.Predict(ctx, r)
	}
	parts, err := b.parts(ctx, r, rows)
	if err != nil {
		return nil, err
	}
	if err := b.enqueue(kind, parts); err != nil {
		return nil, err
	}
	for _, t := range parts {
		select {
		case <-t.done:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		if t.err != nil {
			return nil, t.err
		}
	}
	return whole(parts)
}

// kindOf says with which requests r can be joined, and how many rows it has.
func kindOf(r *servingpb.PredictRequest) (kind string, rows int, ok bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %q", signatureName(r.GetModelSpec()), r.GetOutputFilter())
	names := make([]string, 0, len(r.GetInputs()))
	for name := range r.GetInputs() {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		t := r.GetInputs()[name]
		n, _, fits := rowsOf(t)
		if !fits || i > 0 && n != rows {
			return "", 0, false
		}
		if _, err := sliced(t, 0, n); err != nil {
			return "", 0, false
		}
		rows = n
		fmt.Fprintf(&b, " %q %d", name, t.GetDtype())
		for _, d := range t.GetTensorShape().GetDim()[1:] {
			fmt.Fprintf(&b, ",%d", d.GetSize())
		}
	}
	return b.String(), rows, len(names) > 0
}

// parts cuts a request that is larger than a batch.
func (b *batcher) parts(ctx context.Context, r *servingpb.PredictRequest, rows int) ([]*batchTask, error) {
	one := func(r *servingpb.PredictRequest, rows int) *batchTask {
		return &batchTask{ctx: ctx, request: r, rows: rows, since: time.Now(), done: make(chan struct{})}
	}
	if rows <= b.o.rows() {
		return []*batchTask{one(r, rows)}, nil
	}
	if !b.o.Split {
		return nil, status.Errorf(codes.InvalidArgument, "Task size %d is larger than maximum input batch size %d", rows, b.o.MaxSize)
	}
	var list []*batchTask
	for from := 0; from < rows; from += b.o.rows() {
		to := min(rows, from+b.o.rows())
		part := &servingpb.PredictRequest{ModelSpec: r.GetModelSpec(), OutputFilter: r.GetOutputFilter(), Inputs: map[string]*tensorpb.TensorProto{}}
		for name, t := range r.GetInputs() {
			cut, err := sliced(t, from, to)
			if err != nil {
				return nil, status.Errorf(codes.Internal, "input %s: %v", name, err)
			}
			part.Inputs[name] = cut
		}
		list = append(list, one(part, to-from))
	}
	return list, nil
}

// whole puts the answers of a request's parts together.
func whole(parts []*batchTask) (*servingpb.PredictResponse, error) {
	if len(parts) == 1 {
		return parts[0].out, nil
	}
	out := &servingpb.PredictResponse{ModelSpec: parts[0].out.GetModelSpec(), Outputs: map[string]*tensorpb.TensorProto{}}
	for name := range parts[0].out.GetOutputs() {
		var list []*tensorpb.TensorProto
		for _, t := range parts {
			list = append(list, t.out.GetOutputs()[name])
		}
		t, err := joinRows(list)
		if err != nil {
			return nil, status.Errorf(codes.Internal, "output %s: %v", name, err)
		}
		out.Outputs[name] = t
	}
	return out, nil
}

// enqueue takes all parts of a request, or none.
func (b *batcher) enqueue(kind string, parts []*batchTask) error {
	rows := 0
	for _, t := range parts {
		rows += t.rows
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queueOf(kind)
	// What waits and fits into one batch with the request is never too much.
	if waiting := b.batches(q.rows + rows); waiting > b.o.Enqueued && q.rows > 0 {
		return status.Errorf(codes.Unavailable, "The batch scheduling queue to which this task was submitted is full; currently queued batches: %d", b.batches(q.rows))
	}
	q.tasks, q.rows = append(q.tasks, parts...), q.rows+rows
	if !q.serving {
		q.serving = true
		go b.serve(q)
	}
	q.tell()
	return nil
}

// batches is how many batches hold so many rows.
func (b *batcher) batches(rows int) int { return (rows + b.o.rows() - 1) / b.o.rows() }

// queueOf finds or makes a queue. The mutex is held.
func (b *batcher) queueOf(kind string) *queue {
	if q := b.queues[kind]; q != nil {
		return q
	}
	if len(b.queues) >= maxKinds {
		for other, q := range b.queues {
			if !q.serving && q.running == 0 {
				delete(b.queues, other)
			}
		}
	}
	q := &queue{changed: make(chan struct{}, 1)}
	b.queues[kind] = q
	return q
}

// serve computes a queue's batches until it is empty.
func (b *batcher) serve(q *queue) {
	for b.due(q) {
		b.threads <- struct{}{}
		batch := b.take(q)
		if len(batch) == 0 {
			<-b.threads
			continue
		}
		go func() {
			b.compute(batch)
			<-b.threads
			b.finish(q, batch)
		}()
	}
}

// due waits until a batch may be started. It is false when nothing is left.
func (b *batcher) due(q *queue) bool {
	for {
		b.mu.Lock()
		if len(q.tasks) == 0 {
			q.serving = false
			b.mu.Unlock()
			return false
		}
		wait, full := b.o.Timeout-time.Since(q.tasks[0].since), q.rows >= b.o.rows()
		if b.o.Eager {
			wait = min(b.o.Timeout, max(wait, b.o.Timeout-time.Since(q.ended)))
			full = full || q.rows >= q.expect
		}
		busy := b.o.Eager && q.running >= b.o.Threads // who is being answered may come back in time
		b.mu.Unlock()
		if !busy && (full || wait <= 0) {
			return true
		}
		if busy {
			<-q.changed
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-q.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take removes the next batch from a queue, without those that nobody waits for
// any longer.
func (b *batcher) take(q *queue) []*batchTask {
	b.mu.Lock()
	defer b.mu.Unlock()
	var batch []*batchTask
	rows := 0
	for len(q.tasks) > 0 && (rows == 0 || rows+q.tasks[0].rows <= b.o.rows()) {
		t := q.tasks[0]
		q.tasks[0] = nil // the slice lives on, the request need not
		q.tasks, q.rows = q.tasks[1:], q.rows-t.rows
		if t.ctx.Err() == nil {
			batch, rows = append(batch, t), rows+t.rows
		}
	}
	if len(batch) > 0 {
		q.running++
	}
	return batch
}

// finish hands out the answers of a batch.
func (b *batcher) finish(q *queue, batch []*batchTask) {
	b.mu.Lock()
	q.running, q.ended, q.expect = q.running-1, time.Now(), q.rows
	for _, t := range batch {
		q.expect += t.rows
	}
	b.mu.Unlock()
	q.tell()
	for _, t := range batch {
		close(t.done)
	}
}

// compute runs a batch and hands out what belongs to each. A batch that fails is
// computed again one by one, so that a request is never refused for another's
// fault; unless the engine is gone, perhaps through one of them.
func (b *batcher) compute(batch []*batchTask) {
	for _, t := range batch {
		b.seen.queued(batch[0].request.GetModelSpec().GetName(), time.Since(t.since))
	}
	if len(batch) == 1 && b.o.filled(batch[0].rows) == batch[0].rows {
		t := batch[0]
		b.seen.batch(t.request.GetModelSpec().GetName(), 1, t.rows, t.rows)
		t.out, t.err = b.backend.Predict(t.ctx, t.request)
		return
	}
	ctx, cancel := untilAllAreGone(batch)
	defer cancel()
	err := b.together(ctx, batch)
	for _, t := range batch {
		if code := status.Code(err); err != nil && (len(batch) == 1 || code == codes.Unavailable || code == codes.Canceled || code == codes.DeadlineExceeded) {
			t.err = err
		} else if err != nil {
			t.out, t.err = b.backend.Predict(t.ctx, t.request)
		}
	}
}

// untilAllAreGone is a context that ends when those of all requests have ended.
func untilAllAreGone(batch []*batchTask) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(batch[0].ctx))
	var mu sync.Mutex
	left := len(batch)
	var stops []func() bool
	for _, t := range batch {
		stops = append(stops, context.AfterFunc(t.ctx, func() {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				cancel()
			}
		}))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// together computes the batch as one request and cuts the answer apart.
func (b *batcher) together(ctx context.Context, batch []*batchTask) error {
	first := batch[0].request
	rows := 0
	for _, t := range batch {
		rows += t.rows
	}
	size := b.o.filled(rows)
	b.seen.batch(first.GetModelSpec().GetName(), len(batch), rows, size)
	r := &servingpb.PredictRequest{ModelSpec: first.GetModelSpec(), OutputFilter: first.GetOutputFilter(), Inputs: map[string]*tensorpb.TensorProto{}}
	for name, t := range first.GetInputs() {
		var list []*tensorpb.TensorProto
		for _, t := range batch {
			list = append(list, t.request.GetInputs()[name])
		}
		row, err := sliced(t, 0, 1) // what a batch is filled up with must be valid too
		for range size - rows {
			list = append(list, row)
		}
		if err == nil {
			r.Inputs[name], err = joinRows(list)
		}
		if err != nil {
			return status.Errorf(codes.Internal, "input %s: %v", name, err)
		}
	}
	out, err := b.backend.Predict(ctx, r)
	if err != nil {
		return err
	}
	return apart(batch, out, size)
}

// apart gives each request its rows of a joint answer.
func apart(batch []*batchTask, out *servingpb.PredictResponse, size int) error {
	answers := make([]*servingpb.PredictResponse, len(batch))
	for i := range answers {
		answers[i] = &servingpb.PredictResponse{ModelSpec: out.GetModelSpec(), Outputs: map[string]*tensorpb.TensorProto{}}
	}
	for name, t := range out.GetOutputs() {
		if n, _, ok := rowsOf(t); !ok || n != size {
			return status.Errorf(codes.FailedPrecondition, "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors (output %s)", name)
		}
		from := 0
		for i, t2 := range batch {
			cut, err := sliced(t, from, from+t2.rows)
			if err != nil {
				return status.Errorf(codes.Internal, "output %s: %v", name, err)
			}
			answers[i].Outputs[name] = cut
			from += t2.rows
		}
	}
	for i, t := range batch {
		t.out = answers[i]
	}
	return nil
}
