package queue

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller"
	"github.com/nasnet-go/nasnet/controller/search"
)

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		os.Exit(role())
	}
	goleak.VerifyTestMain(m)
}

func spec(trials int) search.Spec {
	return search.Spec{
		Seed: 5, Trials: trials, RandomTrials: trials / 2,
		Space:  cells.Space{Name: "test", Ops: []cells.Op{cells.Identity, cells.Sep3x3, cells.Max3x3}, Blocks: 2, Tied: true},
		Policy: controller.Config{Policy: controller.PPO, Batch: 4, Units: 8, LearningRate: 0.02},
	}
}

// fake rewards a cell by its seed after a while.
type fake struct{ delay time.Duration }

func (f fake) Evaluate(ctx context.Context, t search.Task, report func(int, float64) bool) (search.Result, error) {
	if f.delay > 0 {
		select {
		case <-time.After(f.delay * time.Duration(1+t.Trial%3)):
		case <-ctx.Done():
			return search.Result{}, ctx.Err()
		}
	}
	report(1, 0.5)
	return search.Result{Reward: 0.5 + float64(t.Seed%1000)/1e4, Metrics: map[string]float64{"params": 10}}, nil
}

func open(t testing.TB, o search.Options) *search.Experiment {
	t.Helper()
	e, err := search.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func serve(t testing.TB, e *search.Experiment, o Options) *Server {
	t.Helper()
	o.Log = zerolog.Nop()
	s, err := Serve(e, e.Name(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// undisturbed is the search as one process makes it.
func undisturbed(t testing.TB, s search.Spec) search.Status {
	t.Helper()
	e := open(t, search.Options{Dir: t.TempDir(), Spec: s})
	st, err := e.Run(context.Background(), fake{}, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func equal(t testing.TB, what string, got, want search.Status) {
	t.Helper()
	if got.LedgerDigest != want.LedgerDigest || got.ControllerDigest != want.ControllerDigest || got.Trials != want.Trials {
		t.Errorf("%s: the search is another one:\n%+v\n%+v", what, got, want)
	}
}

func join(a Address) Worker {
	return Worker{URL: a.URL, Token: a.Token, Log: zerolog.Nop()}
}

// together runs a search and workers elsewhere to the end.
func together(t *testing.T, e *search.Experiment, s *Server, local int, workers ...Worker) search.Status {
	t.Helper()
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			if err := w.Run(context.Background(), fake{delay: time.Millisecond}); err != nil {
				t.Errorf("worker: %v", err)
			}
		})
	}
	st, err := e.Run(context.Background(), fake{delay: time.Millisecond}, local, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Finished(); err != nil {
		t.Error(err)
	}
	all.Wait()
	s.Close()
	return st
}

func TestWorkersElsewhereMakeTheSameSearch(t *testing.T) {
	want := undisturbed(t, spec(24))
	for _, local := range []int{0, 2} {
		e := open(t, search.Options{Dir: t.TempDir(), Spec: spec(24)})
		s := serve(t, e, Options{})
		a, b := join(s.Address()), join(s.Address())
		a.Slots, b.Search = 3, e.Name()
		equal(t, fmt.Sprintf("%d workers here", local), together(t, e, s, local, a, b), want)
	}
}

func TestOutsideServer(t *testing.T) {
	outside, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	outside.Start()
	defer func() { outside.Shutdown(); outside.WaitForShutdown() }()
	if !outside.ReadyForConnections(10 * time.Second) {
		t.Fatal("no server")
	}
	one, two := open(t, search.Options{Dir: t.TempDir(), Spec: spec(8)}), open(t, search.Options{Dir: t.TempDir(), Spec: spec(12)})
	s1, s2 := serve(t, one, Options{URL: outside.ClientURL()}), serve(t, two, Options{URL: outside.ClientURL()})
	w := join(s2.Address())
	w.Search = two.Name()
	equal(t, "the second of two on one server", together(t, two, s2, 0, w), undisturbed(t, spec(12)))
	w.Search = one.Name()
	equal(t, "the first of two on one server", together(t, one, s1, 0, w), undisturbed(t, spec(8)))
}

func TestTokenAndAddress(t *testing.T) {
	dir := t.TempDir()
	e := open(t, search.Options{Dir: dir, Spec: spec(8)})
	s := serve(t, e, Options{Dir: dir})
	a, err := ReadAddress(dir)
	if err != nil || a != s.Address() || len(a.Token) < 32 || !strings.HasPrefix(a.URL, "nats://127.0.0.1:") {
		t.Errorf("%+v %v", a, err)
	}
	if info, err := os.Stat(filepath.Join(dir, addressFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v: others can read the token", info.Mode(), err)
	}
	wrong := join(a)
	wrong.Token = "guess"
	if err := wrong.Run(context.Background(), fake{}); err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorization") || strings.Contains(err.Error(), a.Token) {
		t.Errorf("a wrong token: %v", err)
	}
	s.Close()
	again := serve(t, e, Options{Dir: dir})
	defer again.Close()
	if again.Address() != a {
		t.Errorf("after a restart the search is at %+v, was at %+v", again.Address(), a)
	}
}

// certificate makes one for 127.0.0.1.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "search"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert"), filepath.Join(dir, "key")
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	e := open(t, search.Options{Dir: t.TempDir(), Spec: spec(8)})
	s := serve(t, e, Options{CertFile: cert, KeyFile: key})
	w := join(s.Address())
	w.Patience = time.Millisecond
	if err := w.Run(context.Background(), fake{}); err == nil {
		t.Error("a certificate that nobody vouches for was trusted")
	}
	w = join(s.Address())
	w.CAFile = cert
	equal(t, "over TLS", together(t, e, s, 0, w), undisturbed(t, spec(8)))
}

func TestWorkersThatLeaveGiveTheirTrialsBack(t *testing.T) {
	e := open(t, search.Options{Dir: t.TempDir(), Spec: spec(24)})
	s := serve(t, e, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error)
	go func() { w := join(s.Address()); w.Slots = 2; left <- w.Run(ctx, fake{delay: time.Hour}) }()
	started := make(chan struct{}, 100)
	done := make(chan search.Status)
	go func() {
		st, err := e.Run(context.Background(), nil, 0, func(ev search.Event) {
			if ev.Kind == "started" {
				started <- struct{}{}
			}
		})
		if err != nil {
			t.Error(err)
		}
		done <- st
	}()
	<-started
	<-started
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the worker that was told to leave: %v", err)
	}
	if n := e.Status().Trials.Running; n != 0 {
		t.Errorf("%d trials were not given back", n)
	}
	w := join(s.Address())
	if err := w.Run(context.Background(), fake{}); err != nil {
		t.Error(err)
	}
	equal(t, "after a worker left", <-done, undisturbed(t, spec(24)))
	s.Close()
}

func TestAWorkerGivesUpOnASilentSearch(t *testing.T) {
	w := Worker{URL: "nats://127.0.0.1:1", Patience: time.Millisecond, Log: zerolog.Nop()}
	if err := w.Run(context.Background(), fake{}); !errors.Is(err, ErrSilent) {
		t.Error(err)
	}
}

// Messages as a lossy network would have them: doubled, late, torn, forged.
func TestStrangeMessages(t *testing.T) {
	e := open(t, search.Options{Dir: t.TempDir(), Spec: spec(8)})
	s := serve(t, e, Options{})
	defer s.Close()
	nc, err := connect(s.Address().URL, s.Address().Token, "", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx := context.Background()
	c := &client{nc: nc, run: e.Name(), patience: time.Second}
	ask := func(verb string, r request) reply {
		t.Helper()
		answer, err := c.ask(ctx, verb, r, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	first := ask(leaseVerb, request{Worker: "w", Seq: 2, WaitMS: 100})
	if again := ask(leaseVerb, request{Worker: "w", Seq: 3, WaitMS: 100}); again.Lease.Task.Trial != first.Lease.Task.Trial || again.Lease.Task.Attempt != 1 {
		t.Errorf("an answer was lost, the second one is %+v", again)
	}
	if _, err := c.ask(ctx, leaseVerb, request{Worker: "w", Seq: 1, WaitMS: 100}, 200*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an overtaken request was answered: %v", err)
	}
	ref := search.Ref{Trial: first.Lease.Task.Trial, Attempt: 1}
	report := search.Report{Result: search.Result{Reward: 0.75}}
	for range 3 {
		if answer := ask(finishVerb, request{Worker: "w", Ref: ref, Report: report}); answer.err() != nil {
			t.Error(answer)
		}
	}
	ref.Attempt = 7
	if answer := ask(finishVerb, request{Worker: "w", Ref: ref, Report: report}); !errors.Is(answer.err(), search.ErrLost) {
		t.Error(answer)
	}
	for _, worker := range []string{"", search.LocalPrefix + "0"} {
		if answer := ask(leaseVerb, request{Worker: worker, Seq: 9, WaitMS: 1}); !errors.Is(answer.err(), errBroken) {
			t.Errorf("worker %q: %+v", worker, answer)
		}
	}
	m, err := nc.Request(subject(e.Name(), finishVerb), []byte(`{"worker":"w","ref":`), 5*time.Second)
	if err != nil || !strings.Contains(string(m.Data), "broken") {
		t.Errorf("%s %v", m.Data, err)
	}
	if st := e.Status(); st.Trials.Done != 1 || st.Best.Reward != 0.75 {
		t.Errorf("%+v", st)
	}
}
