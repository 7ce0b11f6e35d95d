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

	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
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
	starter    Starter
	request    api.ServeRequest
	log        zerolog.Logger
	dir        string // of the socket
	signatures map[string]*corepb.SignatureDef
	// prepare is called with a new engine before it gets requests.
	prepare func(ctx context.Context, c rpc.Client) error
	died    func() // is told when one that served has ended unasked

	end   context.CancelFunc
	first chan error    // the outcome of the first start
	done  chan struct{} // closed when run has ended

	mu     sync.Mutex
	conn   *grpc.ClientConn // nil while it is down
	starts int
}

// start starts the engine and returns when it serves, or cannot. Cancelling ctx
// gives it up; once it serves, only stop ends it.
func (c *child) start(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "nasnet-serve-") // short: socket paths end at 108 bytes
	if err != nil {
		return fmt.Errorf("serving: %w", err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	c.dir, c.end, c.first, c.done = dir, end, make(chan error, 1), make(chan struct{})
	go c.run(life)
	select {
	case err = <-c.first:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		c.stop()
	}
	return err
}

// stop ends the engine and returns when it has ended.
func (c *child) stop() {
	c.end()
	<-c.done
}

// run restarts the engine until ctx ends. Death within a second of the start
// makes the next start wait longer.
func (c *child) run(ctx context.Context) {
	defer close(c.done)
	defer os.RemoveAll(c.dir)
	started := false
	wait := time.Duration(0)
	for ctx.Err() == nil {
		begin := time.Now()
		ready, err := c.once(ctx)
		if !started && !ready {
			c.first <- errOr(err, errors.New("the engine ended before it served"))
			return
		}
		started = true
		if ctx.Err() != nil {
			return
		}
		c.died()
		c.log.Error().Err(err).Msg("the TensorFlow process ended; starting it again")
		if wait = min(10*time.Second, 2*wait+100*time.Millisecond); ready && time.Since(begin) > time.Second {
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
func (c *child) once(ctx context.Context) (ready bool, err error) {
	r := c.request
	r.Socket = filepath.Join(c.dir, fmt.Sprint(c.nextStart()))
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
		if err = c.connect(ctx, r.Socket); err != nil {
			p.Stop()
		}
	case <-p.Done():
	}
	_, ended := p.Wait()
	ready = c.disconnect()
	var died *engine.DiedError
	if err == nil || errors.As(ended, &died) { // a death says more than the call that it cut off
		err = ended
	}
	return ready, err
}

func (c *child) nextStart() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts++
	return c.starts
}

// connect prepares the engine behind socket and gives it the requests.
func (c *child) connect(ctx context.Context, socket string) error {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(),
		grpc.WithInitialWindowSize(rpc.Window), grpc.WithInitialConnWindowSize(rpc.Window), grpc.WithReadBufferSize(rpc.Buffer), grpc.WithWriteBufferSize(rpc.Buffer),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
	if err != nil {
		return fmt.Errorf("serving: reach the engine: %w", err)
	}
	if err := c.prepare(ctx, rpc.Client{Conn: conn}); err != nil {
		return errors.Join(err, conn.Close())
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

// disconnect reports whether the engine had got requests.
func (c *child) disconnect() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return false
	}
	_ = c.conn.Close()
	c.conn = nil
	return true
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
	out, err := rpc.Client{Conn: conn}.Predict(ctx, r)
	if code := status.Code(err); code == codes.Unavailable || code == codes.Canceled && ctx.Err() == nil {
		return nil, status.Error(codes.Unavailable, "the TensorFlow process ended while it computed this request; it is being started again")
	}
	return out, err
}

// ready reports whether predictions would be answered.
func (c *child) ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}

func (c *child) signatureDefs() map[string]*corepb.SignatureDef { return c.signatures }
