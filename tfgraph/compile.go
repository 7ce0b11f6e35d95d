package tfgraph

import (
	"fmt"
	"strings"

	attrpb "github.com/wamuir/graft/tensorflow/core/framework/attr_value_go_proto"
	graphpb "github.com/wamuir/graft/tensorflow/core/framework/graph_go_proto"
	nodepb "github.com/wamuir/graft/tensorflow/core/framework/node_def_go_proto"
	versionpb "github.com/wamuir/graft/tensorflow/core/framework/versions_go_proto"
	"google.golang.org/protobuf/proto"
)

// boundaryOps end what is compiled: their outputs become arguments. A read of
// a variable is compiled, its handle is an argument. Random numbers are drawn
// outside, because XLA would draw others than the kernels do.
var boundaryOps = map[string]bool{
	"Placeholder": true, "VarHandleOp": true, "IteratorV2": true, "IteratorGetNext": true,
	"StatelessRandomUniform": true, "StatelessRandomGammaV2": true,
}

// Compile moves everything that outs and effects depend on, back to
// placeholders, variables, iterators and random numbers, into one function that XLA must
// compile as a whole, and returns its outputs and the operation that runs it.
// Effects are operations without outputs, such as assignments. What XLA cannot
// compile, or a shape that is not static, is an error when the session runs it.
// The original operations stay in the graph and are not run.
func Compile(s *Scope, name string, outs []Tensor, effects ...Operation) ([]Tensor, Operation) {
	if s.g.err != nil {
		return make([]Tensor, len(outs)), Operation{}
	}
	done := s.After(effects...).One("Identity", nil, Scalarc(s, int32(0))) // leads to the effects
	all := append(append([]Tensor(nil), outs...), done)
	c := capture{g: s.g, inputs: map[string]int{}, taken: map[string]bool{}}
	call, err := c.run(s, s.g.unique("function/" + name)[len("function/"):], all)
	if err != nil {
		s.Fail("compile %s: %v", name, err)
		return make([]Tensor, len(outs)), Operation{}
	}
	results := make([]Tensor, len(outs))
	for i, t := range outs {
		results[i] = Reshape(s, call.Output(i), t.Shape()...) // a call has no static shapes
	}
	return results, call
}

// capture is a function under construction.
type capture struct {
	g      *Graph
	nodes  map[string]*nodepb.NodeDef
	inputs map[string]int // argument by "node:output"
	args   []Tensor       // the graph's tensors that arguments stand for
	taken  map[string]bool
	sub    graphpb.GraphDef
}

func (c *capture) run(s *Scope, name string, outs []Tensor) (Operation, error) {
	nodes, err := c.g.nodes()
	if err != nil {
		return Operation{}, err
	}
	c.nodes = nodes
	var todo, results []string
	for _, t := range outs {
		if !t.ok {
			return Operation{}, fmt.Errorf("an output is not a tensor of the graph")
		}
		todo, results = append(todo, t.Op().Name()), append(results, t.Name())
	}
	walk(todo, c.take)
	c.sub.Versions = &versionpb.VersionDef{Producer: producer}
	params, types := make([]string, len(c.args)), make([]DataType, len(c.args))
	var inputs []any
	for i, a := range c.args {
		params[i], types[i] = argument(i)+":0", a.DType()
		inputs = append(inputs, a)
		node, err := placeholderNode(argument(i), SpecOf(a))
		if err != nil {
			return Operation{}, err
		}
		c.sub.Node = append(c.sub.Node, node)
	}
	raw, err := proto.Marshal(&c.sub)
	if err != nil {
		return Operation{}, err
	}
	def, err := functionDef(raw, name, params, results)
	if err == nil {
		err = c.g.importLibrary(def, raw)
	}
	if err != nil {
		return Operation{}, err
	}
	outTypes := make([]DataType, len(outs))
	for i, t := range outs {
		outTypes[i] = t.DType()
	}
	call := s.AddFuncOp("StatefulPartitionedCall", Attrs{"Tin": types, "Tout": outTypes, "f": Func{Name: name}, "_XlaMustCompile": true}, inputs...)
	return call, c.g.err
}

func argument(i int) string { return fmt.Sprintf("compiled_argument_%d", i) }

func placeholderNode(name string, spec Spec) (*nodepb.NodeDef, error) {
	n := &nodepb.NodeDef{Name: name, Op: "Placeholder", Attr: map[string]*attrpb.AttrValue{}}
	for key, v := range map[string]any{"dtype": spec.DType, "shape": spec.Shape} {
		a, err := attrValue(v)
		if err != nil {
			return nil, err
		}
		n.Attr[key] = a
	}
	return n, nil
}

// take copies a node into the function and returns the nodes that it needs.
func (c *capture) take(name string) []string {
	n := c.nodes[name]
	if c.taken[name] || boundaryOps[n.GetOp()] {
		return nil
	}
	c.taken[name] = true
	n = proto.Clone(n).(*nodepb.NodeDef)
	var needs, inputs []string
	for _, in := range n.Input {
		from, control := strings.CutPrefix(in, "^")
		from, index := endpoint(from)
		switch boundary := boundaryOps[c.nodes[from].GetOp()]; {
		case control && boundary: // runs before the call
		case boundary:
			inputs = append(inputs, c.argument(from, index))
		default:
			inputs, needs = append(inputs, in), append(needs, from)
		}
	}
	n.Input = inputs
	c.sub.Node = append(c.sub.Node, n)
	return needs
}

// argument names the placeholder that stands for a boundary's output.
func (c *capture) argument(node string, index int) string {
	key := fmt.Sprintf("%s:%d", node, index)
	i, ok := c.inputs[key]
	if !ok {
		i = len(c.args)
		c.inputs[key] = i
		c.args = append(c.args, Tensor{out: c.g.tf.Operation(node).Output(index), ok: true})
	}
	return argument(i)
}

// endpoint splits node:output; no output is output 0.
func endpoint(in string) (node string, index int) {
	node, tail, ok := strings.Cut(in, ":")
	if ok {
		fmt.Sscanf(tail, "%d", &index)
	}
	return node, index
}

// nodes are the graph's, by name.
func (g *Graph) nodes() (map[string]*nodepb.NodeDef, error) {
	raw, err := g.Definition()
	if err != nil {
		return nil, err
	}
	var def graphpb.GraphDef
	if err := proto.Unmarshal(raw, &def); err != nil {
		return nil, err
	}
	nodes := make(map[string]*nodepb.NodeDef, len(def.Node))
	for _, n := range def.Node {
		nodes[n.Name] = n
	}
	return nodes, nil
}
