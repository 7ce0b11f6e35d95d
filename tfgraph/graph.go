package tfgraph

import (
	"bytes"
	"fmt"
	"path"
	"runtime"
	"strings"

	tf "github.com/wamuir/graft/tensorflow"
)

// DataType is TensorFlow's element type.
type DataType = tf.DataType

// The element types in use.
const (
	Float32  = tf.Float
	Float64  = tf.Double
	Bfloat16 = tf.Bfloat16
	Half     = tf.Half
	Int32    = tf.Int32
	Int64    = tf.Int64
	Uint8    = tf.Uint8
	Bool     = tf.Bool
	String   = tf.String
	Resource = tf.DataType(20) // DT_RESOURCE and DT_VARIANT, which graft does not name
	Variant  = tf.DataType(21)
)

// Graph is a TensorFlow graph under construction.
type Graph struct {
	tf    *tf.Graph
	used  map[string]int // next suffix of a node name
	funcs map[string]bool
	// library begins the names of functions of a function's body, which all stand
	// in one library.
	library string
	// filled are the constant tensors of Filled, by value, shape and device.
	filled map[string]Tensor
	// overrides are gradients of ours, by the name of the tensor they are of.
	overrides map[string][]override
	device    string // of operations that name none, and of variables
	err       error
}

// New returns an empty graph.
func New() *Graph {
	return &Graph{tf: tf.NewGraph(), used: map[string]int{}, funcs: map[string]bool{}, filled: map[string]Tensor{}, overrides: map[string][]override{}}
}

// NewAt returns an empty graph whose operations and variables stand on a device
// of one machine of a cluster, such as Cluster.HostDevice, unless told otherwise.
func NewAt(device string) *Graph {
	g := New()
	g.device = device
	return g
}

// Root returns the scope without a path.
func (g *Graph) Root() *Scope { return &Scope{g: g, device: g.device} }

// Err returns the first error met while building, or nil.
func (g *Graph) Err() error { return g.err }

// NodeCount returns how many operations the graph holds.
func (g *Graph) NodeCount() int { return len(g.tf.Operations()) }

// Definition returns the graph as a serialized GraphDef.
func (g *Graph) Definition() ([]byte, error) {
	if g.err != nil {
		return nil, g.err
	}
	var b bytes.Buffer
	if _, err := g.tf.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("tfgraph: write GraphDef: %w", err)
	}
	return b.Bytes(), nil
}

// Import adds a serialized GraphDef to the graph as it is, under no prefix.
func (g *Graph) Import(def []byte) error {
	if g.err != nil {
		return g.err
	}
	if err := g.tf.Import(def, ""); err != nil {
		return fmt.Errorf("tfgraph: import GraphDef: %w", err)
	}
	return nil
}

// Lookup returns output index of the named operation. It reports whether the
// graph has it.
func (g *Graph) Lookup(name string, index int) (Tensor, bool) {
	op := g.tf.Operation(name)
	if op == nil || index >= op.NumOutputs() {
		return Tensor{}, false
	}
	return Tensor{out: op.Output(index), ok: true}, true
}

// LookupOperation returns the named operation, for use as a run target.
func (g *Graph) LookupOperation(name string) (Operation, bool) {
	op := g.tf.Operation(name)
	return Operation{op}, op != nil
}

// unique returns name, or name with the first free suffix.
func (g *Graph) unique(name string) string {
	n, seen := g.used[name]
	g.used[name] = n + 1
	if !seen {
		return name
	}
	return g.unique(fmt.Sprintf("%s_%d", name, n))
}

// Scope is a place in the graph's name space, with a device and control
// dependencies for the operations that are added there.
type Scope struct {
	g       *Graph
	path    string
	device  string
	control []*tf.Operation
	seed    [2]int64 // of random initializers
}

// Graph returns the graph that the scope builds.
func (s *Scope) Graph() *Graph { return s.g }

// Path returns the scope's place, such as "cell_3/comb_iter_0/left".
func (s *Scope) Path() string { return s.path }

// Sub returns the scope below this one, its name formatted as by fmt.Sprintf.
func (s *Scope) Sub(format string, args ...any) *Scope {
	t := *s
	t.path = path.Join(s.path, fmt.Sprintf(format, args...))
	return &t
}

// On returns the scope with a device for its operations: "/device:CPU:0" is one
// of the graph's own machine, "" leaves the choice to TensorFlow.
func (s *Scope) On(device string) *Scope {
	t := *s
	t.device = device
	if strings.HasPrefix(device, "/device:") {
		machine, _, _ := strings.Cut(s.g.device, "/device:")
		t.device = machine + device
	}
	return &t
}

// After returns the scope with further operations to be run before its own.
func (s *Scope) After(ops ...Operation) *Scope {
	t := *s
	t.control = append([]*tf.Operation(nil), s.control...)
	for _, op := range ops {
		if op.op != nil {
			t.control = append(t.control, op.op)
		}
	}
	return &t
}

// OK reports whether the graph has no error so far.
func (s *Scope) OK() bool { return s.g.err == nil }

// Fail records an error with the scope's path and the caller's line, and
// returns an inert tensor. Only the first error of a graph is kept.
func (s *Scope) Fail(format string, args ...any) Tensor {
	if s.g.err == nil {
		s.g.err = fmt.Errorf("tfgraph: /%s: %s (%s)", s.path, fmt.Sprintf(format, args...), caller())
	}
	return Tensor{}
}

// caller returns file:line of the nearest frame outside this package's files.
func caller() string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "github.com/nasnet-go/nasnet/tfgraph.") || strings.HasSuffix(f.File, "_test.go") || !more {
			return fmt.Sprintf("%s:%d", path.Join(path.Base(path.Dir(f.File)), path.Base(f.File)), f.Line)
		}
	}
}
