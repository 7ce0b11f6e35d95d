package tfgraph

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	tf "github.com/wamuir/graft/tensorflow"
	configpb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"
)

// Value is a tensor's content, outside of a graph.
type Value = tf.Tensor

// Feeds gives values to placeholders for one run.
type Feeds map[Tensor]*Value

// Grappler says how much of TensorFlow's graph optimizer runs before the first
// step: it makes steps about 10 % faster and the first one seconds later.
type Grappler string

// The settings of Grappler; the zero value is GrapplerFull.
const (
	GrapplerFull Grappler = ""    // TensorFlow's default: two passes
	GrapplerOnce Grappler = "one" // one pass
	GrapplerOff  Grappler = "off" // none: for short runs
)

// SessionOptions configures a Session; the zero value is TensorFlow's default.
type SessionOptions struct {
	Target         string   // "" in this process, or "grpc://host:port"
	Cluster        *Cluster // the servers to run on, with the Target of the host
	InterOp        int      // operations run at once; 0: one a core
	IntraOp        int      // threads of one operation; 0: one a core
	Grappler       Grappler // graph optimizer
	XLA            bool     // compile clusters with XLA where TensorFlow sees fit
	MixedPrecision string   // "", "bf16" or "fp16": TensorFlow's automatic mixed precision
	CPUDevices     int      // virtual CPU devices; 0: one
	TimeoutMillis  int64    // of one Run; 0: none
	AllowGrowth    bool     // take GPU memory as needed instead of all at once
	LiveBytes      int64    // collect after so many bytes of values; 0: 64 MiB
}

// Session runs a graph. It may be used by many goroutines at once.
type Session struct {
	g       *Graph
	tf      *tf.Session
	charged atomic.Int64
	budget  int64
}

// NewSession opens a session on the graph. Operations that are added to the
// graph later can be run too.
func NewSession(g *Graph, o SessionOptions) (*Session, error) {
	if g.err != nil {
		return nil, g.err
	}
	config, err := proto.Marshal(o.proto())
	if err != nil {
		return nil, fmt.Errorf("tfgraph: session configuration: %w", err)
	}
	sess, err := tf.NewSession(g.tf, &tf.SessionOptions{Target: o.Target, Config: config})
	if err != nil {
		return nil, fmt.Errorf("tfgraph: open session: %w", err)
	}
	budget := o.LiveBytes
	if budget <= 0 {
		budget = 64 << 20
	}
	return &Session{g: g, tf: sess, budget: budget}, nil
}

func (o SessionOptions) proto() *configpb.ConfigProto {
	c := &configpb.ConfigProto{
		InterOpParallelismThreads: int32(o.InterOp),
		IntraOpParallelismThreads: int32(o.IntraOp),
		AllowSoftPlacement:        true,
		OperationTimeoutInMs:      o.TimeoutMillis,
		GraphOptions:              &configpb.GraphOptions{RewriteOptions: o.rewriter(), OptimizerOptions: &configpb.OptimizerOptions{}},
	}
	if o.Cluster != nil {
		c.ClusterDef = o.Cluster.proto()
		c.IsolateSessionState = true
	}
	if o.CPUDevices > 1 {
		c.DeviceCount = map[string]int32{"CPU": int32(o.CPUDevices)}
	}
	if o.XLA {
		c.GraphOptions.OptimizerOptions.GlobalJitLevel = configpb.OptimizerOptions_ON_2
	}
	if o.AllowGrowth {
		c.GpuOptions = &configpb.GPUOptions{AllowGrowth: true}
	}
	return c
}

func (o SessionOptions) rewriter() *configpb.RewriterConfig {
	r := &configpb.RewriterConfig{}
	switch o.Grappler {
	case GrapplerOff:
		r.DisableMetaOptimizer = true
	case GrapplerOnce:
		r.MetaOptimizerIterations = configpb.RewriterConfig_ONE
	}
	switch o.MixedPrecision {
	case "bf16":
		r.AutoMixedPrecisionOnednnBfloat16 = configpb.RewriterConfig_ON
	case "fp16":
		r.AutoMixedPrecision = configpb.RewriterConfig_ON
	}
	return r
}

// Run computes fetches and runs targets, and returns the fetched values in
// their order. It fails with the graph's own error if the graph has one.
func (s *Session) Run(feeds Feeds, fetches []Tensor, targets ...Operation) ([]*Value, error) {
	if s.g.err != nil {
		return nil, s.g.err
	}
	in := make(map[tf.Output]*tf.Tensor, len(feeds))
	var bytes int64
	for t, v := range feeds {
		if !t.ok {
			return nil, fmt.Errorf("tfgraph: run: a feed is not a tensor of the graph")
		}
		in[t.out] = v
		bytes += Bytes(v)
	}
	for _, t := range fetches {
		if !t.ok {
			return nil, fmt.Errorf("tfgraph: run: a fetch is not a tensor of the graph")
		}
	}
	ops := make([]*tf.Operation, 0, len(targets))
	for _, op := range targets {
		if op.op == nil {
			return nil, fmt.Errorf("tfgraph: run: a target is not an operation of the graph")
		}
		ops = append(ops, op.op)
	}
	out, err := s.tf.Run(in, outputs(fetches), ops)
	for _, v := range out {
		bytes += Bytes(v)
	}
	s.charge(bytes)
	return out, err
}

// charge counts bytes of values against the budget, and collects when it is
// used up: finalizers are the only way by which graft frees a tensor.
func (s *Session) charge(bytes int64) {
	if s.charged.Add(bytes) < s.budget {
		return
	}
	s.charged.Store(0)
	runtime.GC()
}

// Scalars runs fetches that are float32 scalars and returns their values.
func (s *Session) Scalars(feeds Feeds, fetches []Tensor, targets ...Operation) ([]float32, error) {
	out, err := s.Run(feeds, fetches, targets...)
	if err != nil {
		return nil, err
	}
	values := make([]float32, len(out))
	for i, v := range out {
		f, ok := v.Value().(float32)
		if !ok {
			return nil, fmt.Errorf("tfgraph: %s is not a float32 scalar", fetches[i].Name())
		}
		values[i] = f
	}
	runtime.KeepAlive(out) // see Data
	return values, nil
}

// IsEndOfSequence reports whether err says that an iterator has no further
// element.
func IsEndOfSequence(err error) bool {
	return err != nil && strings.Contains(err.Error(), "End of sequence")
}

// Devices lists the session's devices.
func (s *Session) Devices() ([]tf.Device, error) { return s.tf.ListDevices() }

// Close ends the session, after the runs under way, and frees its variables.
func (s *Session) Close() error { return s.tf.Close() }

// Version returns the version of the TensorFlow library in use.
func Version() string { return tf.Version() }
