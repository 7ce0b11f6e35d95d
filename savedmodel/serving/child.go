package serving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
)

// Starter starts engine processes; *engine.Launcher is one.
type Starter interface {
	Start(ctx context.Context, j engine.Job) (*engine.Process, error)
}

// child keeps one engine alive that serves one version of a model.
type child struct {
	starter Starter
	request api.ServeRequest
	log     zerolog.Logger
	dir     string // of the socket

	mu    sync.Mutex
	conn  *grpc.ClientConn // nil while it is down
	first chan error       // the outcome of the first start
	done  chan struct{}    // closed when run has ended
}

// startChild starts the engine and returns when it serves, or cannot.
func startChild(ctx context.Context, starter Starter, r api.ServeRequest, log zerolog.Logger) (*child, error) {
	dir, err := os.MkdirTemp("", "nasnet-serve-") // short: socket paths end at 108 bytes
	if err != nil {
		return nil, fmt.Errorf("serving: %w", err)
	}
	c := &child{starter: starter, request: r, log: log, dir: dir, first: make(chan error, 1), done: make(chan struct{})}
	go c.run(ctx)
	if err := <-c.first; err != nil {
		<-c.done
		return nil, err
	}
	return c, nil
}

// run restarts the engine until ctx ends. Death within a second of the start
// makes the next start wait longer.
func (c *child) run(ctx context.Context) {
	defer close(c.done)
	defer os.RemoveAll(c.dir)
	started := false
	for n, wait := 0, time.Duration(0); ctx.Err() == nil; n++ {
		begin := time.Now()
		ready, err := c.once(ctx, filepath.Join(c.dir, fmt.Sprintf("%d", n)))
		if !started {
			if !ready {
				c.first <- errOr(err, errors.New("serving: the engine ended before it served"))
				return
			}
			started = true
		}
		if ctx.Err() != nil {
			return
		}
		c.log.Warn().Err(err).Int64("version", c.request.Version).Msg("the TensorFlow process ended; starting it again")
		wait = min(10*time.Second, 2*wait+100*time.Millisecond)
		if time.Since(begin) > time.Second {
			wait = 0
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// once runs one engine process to its end.
func (c *child) once(ctx context.Context, socket string) (ready bool, err error) {
	r := c.request
	r.Socket = socket
	isReady := make(chan struct{})
	var once sync.Once
	p, err := c.starter.Start(ctx, engine.Job{Command: api.ServeBackend, Request: r, Grace: 30 * time.Second, OnEvent: func(e engine.Event) {
		if e.Kind == engine.KindNote && e.Text == "ready" {
			once.Do(func() { close(isReady) })
		}
	}})
	if err != nil {
		return false, err
	}
	select {
	case <-isReady:
		ready = true
		if err := c.connect(socket); err != nil {
			p.Kill()
			_, _ = p.Wait()
			return false, err
		}
	case <-p.Done():
	}
	_, err = p.Wait()
	c.disconnect()
	return ready, err
}

func (c *child) connect(socket string) error {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
	if err != nil {
		return fmt.Errorf("serving: reach the engine: %w", err)
	}
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	select {
	case c.first <- nil:
	default:
	}
	return nil
}

func (c *child) disconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn = nil
}

// Predict asks the engine. While it is down the answer is UNAVAILABLE; a
// request that brought it down is not tried again.
func (c *child) Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return nil, status.Error(codes.Unavailable, "the model is being loaded again; try again in a moment")
	}
	return rpc.Client{Conn: conn}.Predict(ctx, r)
}

// ready reports whether predictions would be answered.
func (c *child) ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}
