package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nasnet-go/nasnet/savedmodel/serving/hostile"
)

// soakResult is the document of bench serve --soak.
type soakResult struct {
	Seconds       float64 `json:"seconds"`
	Valid         int64   `json:"valid_requests"`
	Wrong         int64   `json:"wrong_answers"`
	ValidFailed   int64   `json:"valid_requests_failed"`
	Hostile       int64   `json:"hostile_requests"`
	NotRefused    int64   `json:"hostile_requests_not_refused"`
	Slow          int64   `json:"slow_bodies"`
	RefusalP50    float64 `json:"refusal_p50_ms"`
	RefusalP99    float64 `json:"refusal_p99_ms"`
	RefusalMax    float64 `json:"refusal_max_ms"`
	RefusalSlow   string  `json:"refusal_slowest"` // which took that long
	RefusalLate   int     `json:"refusals_over_50_ms"`
	FrontRestarts int     `json:"front_restarts"`
	EngineDeaths  int     `json:"engine_restarts"`
	FrontBefore   int64   `json:"front_resident_bytes_before"` // after the first tenth of the time
	FrontAfter    int64   `json:"front_resident_bytes_after"`
	FrontPeak     int64   `json:"front_resident_bytes_peak"`
	EngineBefore  int64   `json:"engine_resident_bytes_before"`
	EngineAfter   int64   `json:"engine_resident_bytes_after"`

	Complaints []string `json:"complaints"` // the first ones
}

// soak is a long mix of requests.
type soak struct {
	bench  serveBench
	server *servedProcess
	want   [][]float32 // logits of each image

	mu      sync.Mutex
	r       soakResult
	refused []float64 // milliseconds
	count   struct{ valid, wrong, failed, hostile, taken, slow atomic.Int64 }
}

// soakServe sends valid and hostile requests to a server for so long.
func (a *app) soakServe(ctx context.Context, b serveBench, long time.Duration) error {
	base, clean, err := linked(b.model)
	if err != nil {
		return err
	}
	defer clean()
	server, err := startServed(ctx, a.stderr, base, append([]string{"--enable_batching"}, b.batching...)...)
	if err != nil {
		return err
	}
	s := &soak{bench: b, server: server, r: soakResult{Complaints: []string{}}}
	if err = s.reference(ctx); err == nil {
		err = s.run(ctx, long)
	}
	if err = errors.Join(err, server.stop()); err != nil {
		return err
	}
	return a.document(s.r)
}

// reference asks about each image alone, before there is any load.
func (s *soak) reference(ctx context.Context) error {
	for i := range s.bench.images {
		p, err := s.server.rest().Images(ctx, s.bench.encoded(i, 1))
		if err != nil {
			return err
		}
		s.want = append(s.want, p[0].Logits)
	}
	return nil
}

func (s *soak) run(ctx context.Context, long time.Duration) error {
	target := hostile.Target{Model: "default", Bytes: "serving_bytes", Floats: "serving_default", Classify: "classify", ImageKey: "image/encoded", MaxBody: 64 << 20}
	for name := range s.bench.floats.GetInputs() {
		target.Input = name
	}
	bodies, err := hostile.REST(target)
	if err != nil {
		return err
	}
	tensors, err := hostile.GRPC(target)
	if err != nil {
		return err
	}
	begin := time.Now()
	part, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var wg sync.WaitGroup
	loop := func(f func(i int)) {
		wg.Go(func() {
			for i := 0; part.Err() == nil; i++ {
				f(i)
				time.Sleep(s.bench.pause)
			}
		})
	}
	for client := range 4 {
		loop(func(i int) { s.validREST(ctx, client*31+i, 1+(client*i)%5) })
		loop(func(i int) { s.validGRPC(ctx, client*17+i, 1+(client+i)%3) })
	}
	loop(func(i int) { s.hostileREST(ctx, bodies[i%len(bodies)]) })
	loop(func(int) {
		for name, r := range tensors {
			s.hostileGRPC(ctx, name, r)
		}
	})
	for range 4 {
		loop(func(int) { s.slowBody(part) })
	}
	wg.Go(func() { s.watch(part, long) })
	wg.Wait()
	s.finish(time.Since(begin))
	return ctx.Err()
}

func (s *soak) complain(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.r.Complaints) < 20 {
		s.r.Complaints = append(s.r.Complaints, fmt.Sprintf(format, args...))
	}
}

// check compares an answer's logits with those of the images asked about.
func (s *soak) check(how string, i, n int, logits [][]float32, err error) {
	s.count.valid.Add(1)
	if err != nil || len(logits) != n {
		s.count.failed.Add(1)
		s.complain("%s: %d answers for %d images, %v", how, len(logits), n, err)
		return
	}
	for j, row := range logits {
		want := s.want[(i+j)%len(s.want)]
		for k := range want {
			if len(row) != len(want) || !(math.Abs(float64(row[k]-want[k])) <= 1e-4*(1+math.Abs(float64(want[k])))) {
				s.count.wrong.Add(1)
				s.complain("%s: image %d of %d: logits %v, want %v", how, j, n, row, want)
				return
			}
		}
	}
}

func (s *soak) validREST(ctx context.Context, i, n int) {
	answers, err := s.server.rest().Images(ctx, s.bench.encoded(i, n))
	var logits [][]float32
	for _, p := range answers {
		logits = append(logits, p.Logits)
	}
	s.check("REST", i, n, logits, err)
}

func (s *soak) validGRPC(ctx context.Context, i, n int) {
	out, err := s.server.rpc().Predict(ctx, bytesRequest(s.bench.encoded(i, n)))
	var logits [][]float32
	if t := out.GetOutputs()["logits"]; t != nil && len(t.GetFloatVal())%n == 0 && len(t.GetFloatVal()) > 0 {
		logits = slices.Collect(slices.Chunk(t.GetFloatVal(), len(t.GetFloatVal())/n))
	}
	s.check("gRPC", i, n, logits, err)
}

// refusal records how a hostile request was answered.
func (s *soak) refusal(name string, ok bool, began time.Time, what any) {
	s.count.hostile.Add(1)
	if !ok {
		s.count.taken.Add(1)
		s.complain("%s: %v", name, what)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	took := float64(time.Since(began).Microseconds()) / 1000
	if took > s.r.RefusalMax {
		s.r.RefusalMax, s.r.RefusalSlow = took, name
	}
	if took > 50 {
		s.r.RefusalLate++
	}
	s.refused = append(s.refused, took)
}

func (s *soak) hostileREST(ctx context.Context, r hostile.Request) {
	h, err := r.HTTP(s.server.doc.REST)
	if err != nil {
		s.complain("%s: %v", r.Name, err)
		return
	}
	began := time.Now()
	resp, err := s.server.http.Do(h.WithContext(ctx))
	if err != nil {
		// A body that is too large may be cut off while it is sent.
		s.refusal(r.Name, slices.Contains(r.Codes, http.StatusRequestEntityTooLarge), began, err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	s.refusal(r.Name, slices.Contains(r.Codes, resp.StatusCode), began, resp.Status)
}

func (s *soak) hostileGRPC(ctx context.Context, name string, r *servingpb.PredictRequest) {
	began := time.Now()
	_, err := s.server.rpc().Predict(ctx, r)
	code := status.Code(err)
	s.refusal("gRPC "+name, code == codes.InvalidArgument || code == codes.FailedPrecondition, began, err)
}

// slowBody sends a byte now and then, until the server has enough of it.
func (s *soak) slowBody(ctx context.Context) {
	s.count.slow.Add(1)
	u, err := url.Parse(s.server.doc.REST)
	if err != nil {
		s.complain("%v", err)
		return
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		if ctx.Err() == nil {
			s.complain("slow body: %v", err)
		}
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_, err = fmt.Fprintf(conn, "POST /v1/models/default:predict HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000000\r\n\r\n", u.Host)
	for err == nil {
		time.Sleep(500 * time.Millisecond)
		_, err = conn.Write([]byte(" "))
	}
}

// watch records the memory of the server's processes.
func (s *soak) watch(ctx context.Context, long time.Duration) {
	began := time.Now()
	tick := time.NewTicker(min(time.Second, long/20))
	defer tick.Stop()
	for {
		front, err := resident(s.server.cmd.Process.Pid)
		if err != nil {
			s.complain("the front: %v", err)
		}
		var engine int64
		if pids, err := s.server.children(); err == nil && len(pids) > 0 {
			engine, _ = resident(pids[0]) // it may have just ended; the deaths are counted
		}
		s.mu.Lock()
		if time.Since(began) < long/10 {
			s.r.FrontBefore, s.r.EngineBefore = front, engine
		}
		s.r.FrontAfter, s.r.EngineAfter, s.r.FrontPeak = front, engine, max(s.r.FrontPeak, front)
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *soak) finish(took time.Duration) {
	r := &s.r
	r.Seconds, r.Valid, r.Wrong, r.ValidFailed = took.Seconds(), s.count.valid.Load(), s.count.wrong.Load(), s.count.failed.Load()
	r.Hostile, r.NotRefused, r.Slow = s.count.hostile.Load(), s.count.taken.Load(), s.count.slow.Load()
	if slices.Sort(s.refused); len(s.refused) > 0 {
		r.RefusalP50, r.RefusalP99 = s.refused[len(s.refused)/2], s.refused[len(s.refused)*99/100]
	}
	deaths, err := metricOf(s.server, "nasnet_serving_engine_deaths_total")
	if err != nil {
		// The front does not answer: it has died, or was replaced.
		r.FrontRestarts = 1
		s.complain("the front: %v", err)
	}
	r.EngineDeaths = int(deaths)
}

// metricOf sums a metric over its labels.
func metricOf(p *servedProcess, name string) (float64, error) {
	resp, err := p.http.Get(p.doc.REST + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for line := range bytes.Lines(text) {
		rest, found := bytes.CutPrefix(line, []byte(name))
		if !found {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(string(rest[bytes.LastIndexByte(rest, ' ')+1:]), &v); err == nil {
			sum += v
		}
	}
	return sum, nil
}
