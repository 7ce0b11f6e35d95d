package queue

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/durable"
)

// Options say where a search is reached. The zero value is an embedded server on
// a free port of loopback, with a random token.
type Options struct {
	// URL of an outside NATS server or cluster; empty: the embedded one.
	URL string
	// Host to listen on; empty: 127.0.0.1. Port; 0: the one this search had
	// last, so that its workers find it again, or a free one. Embedded only.
	Host string
	Port int
	// Token that workers must know; empty: a random one (embedded), none (URL).
	Token string
	// CertFile and KeyFile turn TLS on for the embedded server.
	CertFile, KeyFile string
	// CAFile has the certificates to trust instead of the system's.
	CAFile string
	// Dir is the search's run directory: the address is kept there, in a file
	// that only its owner can read.
	Dir string
	// Setup is told to every worker that joins; see Worker.Prepare.
	Setup []byte
	Log   zerolog.Logger
}

// Address is how workers reach a search. In the run directory: queue.json.
type Address struct {
	URL    string `json:"url"`
	Token  string `json:"token"`
	Search string `json:"search"` // its name
}

const addressFile = "queue.json"

// ReadAddress reads the address of the search in a run directory.
func ReadAddress(dir string) (Address, error) {
	var a Address
	text, err := os.ReadFile(filepath.Join(dir, addressFile))
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		return a, fmt.Errorf("queue: address of the search in %s: %w", dir, err)
	}
	return a, nil
}

// Server answers the workers of one search.
type Server struct {
	src     search.Source
	setup   []byte
	addr    Address
	log     zerolog.Logger
	embed   *server.Server // nil with an outside one
	nc      *nats.Conn
	ctx     context.Context // of waiting leases
	cancel  context.CancelFunc
	waiting sync.WaitGroup

	mu  sync.Mutex
	seq map[string]uint64 // last lease request by worker
}

// Serve makes a search reachable under its name until Close.
func Serve(src search.Source, name string, o Options) (*Server, error) {
	s := &Server{src: src, setup: o.Setup, log: o.Log, seq: map[string]uint64{}, addr: Address{URL: o.URL, Token: o.Token, Search: name}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var err error
	if o.URL == "" {
		err = s.embedded(o)
	} else {
		s.nc, err = connect(o.URL, o.Token, o.CAFile, o.Log)
	}
	if err == nil {
		err = s.subscribe()
	}
	if err == nil && o.Dir != "" {
		err = durable.WriteFile(filepath.Join(o.Dir, addressFile), append(encode(s.addr), '\n'), 0o600)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("queue: serve the search: %w", err)
	}
	return s, nil
}

// Address is how workers reach this search.
func (s *Server) Address() Address { return s.addr }

// embedded starts the NATS server in this process.
func (s *Server) embedded(o Options) error {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	last, _ := ReadAddress(o.Dir) // none the first time
	if s.addr.Token == "" {
		if s.addr.Token = last.Token; s.addr.Token == "" {
			var b [16]byte
			_, _ = rand.Read(b[:]) // never fails
			s.addr.Token = hex.EncodeToString(b[:])
		}
	}
	so := &server.Options{
		Host: o.Host, Port: portFor(o, last), Authorization: s.addr.Token, NoSigs: true, NoLog: true, MaxPayload: 8 << 20,
		ServerName: "nasnet-" + s.addr.Search, NoSystemAccount: true,
	}
	if o.CertFile != "" || o.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return err
		}
		so.TLSConfig, so.TLS, so.TLSTimeout = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, true, 5
	} else if ip := net.ParseIP(o.Host); ip == nil || !ip.IsLoopback() {
		s.log.Warn().Str("host", o.Host).Msg("the search is reachable from other machines without TLS: its token crosses the network in clear")
	}
	var err error
	if s.embed, err = server.NewServer(so); err != nil {
		return err
	}
	s.embed.Start()
	if !s.embed.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("cannot listen on %s port %d", o.Host, so.Port)
	}
	s.addr.URL = s.embed.ClientURL()
	s.nc, err = nats.Connect("", nats.InProcessServer(s.embed), nats.Token(s.addr.Token), nats.Name("search"))
	return err
}

// portFor is the port to listen on: -1 lets the system choose.
func portFor(o Options, last Address) int {
	if o.Port != 0 {
		return o.Port
	}
	_, text, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(last.URL, "tls://"), "nats://"), ":")
	port, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	l, err := net.Listen("tcp", net.JoinHostPort(o.Host, text))
	if err != nil {
		return -1 // somebody else has it now
	}
	_ = l.Close()
	return port
}

// connect reaches a NATS server, and again whenever the connection is gone.
func connect(url, token, ca string, log zerolog.Logger) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name("nasnet"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.RetryOnFailedConnect(true),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn().Err(err).Msg("the connection to the queue is gone; trying again")
			}
		}),
	}
	if token != "" {
		opts = append(opts, nats.Token(token))
	}
	if ca != "" {
		opts = append(opts, nats.RootCAs(ca))
	}
	return nats.Connect(url, opts...)
}

func (s *Server) subscribe() error {
	_, err := s.nc.Subscribe(helloSubject, func(m *nats.Msg) { s.respond(m, hello{protocol, s.addr.Search, s.setup}) })
	for verb, handle := range map[string]func(*nats.Msg, request){leaseVerb: s.lease, beatVerb: s.beat, finishVerb: s.finish, releaseVerb: s.release} {
		_, e := s.nc.Subscribe(subject(s.addr.Search, verb), func(m *nats.Msg) {
			r, err := decode[request](m.Data)
			if err != nil || r.Worker == "" || strings.Contains(r.Worker, search.LocalPrefix) {
				s.respond(m, replyOf(search.Lease{}, errors.Join(fmt.Errorf("a message of worker %q is refused", r.Worker), err)))
				return
			}
			r.Ref.Worker = r.Worker
			handle(m, r)
		})
		err = errors.Join(err, e)
	}
	return errors.Join(err, s.nc.Flush())
}

// respond may fail: the worker asks again.
func (s *Server) respond(m *nats.Msg, x any) {
	if err := m.Respond(encode(x)); err != nil {
		s.log.Debug().Err(err).Str("subject", m.Subject).Msg("an answer was not sent")
	}
}

// maxWait bounds how long a lease request is held.
const maxWait = time.Minute

// lease answers when there is a trial, or when the wait is over. An older
// request that comes after a newer one is dropped: nobody listens to its answer.
func (s *Server) lease(m *nats.Msg, r request) {
	s.mu.Lock()
	stale := r.Seq <= s.seq[r.Worker]
	if !stale {
		s.seq[r.Worker] = r.Seq
	}
	s.mu.Unlock()
	if stale || s.ctx.Err() != nil {
		return
	}
	s.waiting.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, min(time.Duration(r.WaitMS)*time.Millisecond, maxWait))
		defer cancel()
		l, err := s.src.Lease(ctx, r.Worker)
		if err != nil && ctx.Err() != nil {
			err = errNone
		}
		if err == nil && s.hasLeft(r.Worker) { // while this was under way
			err = s.src.Release(s.ctx, search.Ref{Trial: l.Task.Trial, Attempt: l.Task.Attempt, Worker: r.Worker})
			l = search.Lease{}
		}
		s.respond(m, replyOf(l, err))
	})
}

// left is the number of a worker's last request: none comes after it.
const left = math.MaxUint64

func (s *Server) hasLeft(worker string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq[worker] == left
}

func (s *Server) beat(m *nats.Msg, r request) {
	s.respond(m, replyOf(search.Lease{}, s.src.Heartbeat(s.ctx, r.Ref, r.Progress)))
}

func (s *Server) finish(m *nats.Msg, r request) {
	s.respond(m, replyOf(search.Lease{}, s.src.Finish(s.ctx, r.Ref, r.Report)))
}

func (s *Server) release(m *nats.Msg, r request) {
	if r.Ref.Trial == search.AllTrials {
		s.mu.Lock()
		s.seq[r.Worker] = left
		s.mu.Unlock()
	}
	s.respond(m, replyOf(search.Lease{}, s.src.Release(s.ctx, r.Ref)))
}

// Finished tells all workers that there will be no more work.
func (s *Server) Finished() error {
	if err := errors.Join(s.nc.Publish(subject(s.addr.Search, overVerb), nil), s.nc.Flush()); err != nil {
		return fmt.Errorf("queue: tell the workers: %w", err)
	}
	return nil
}

// Close ends the server. Workers keep what they have in hand and try to reach
// the search again for a while.
func (s *Server) Close() {
	s.cancel()
	s.waiting.Wait()
	if s.nc != nil {
		_ = s.nc.Flush() // the last answers; who does not get them asks again
		s.nc.Close()
	}
	if s.embed != nil {
		s.embed.Shutdown()
		s.embed.WaitForShutdown()
	}
}
