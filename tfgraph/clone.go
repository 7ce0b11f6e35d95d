package tfgraph

import (
	"fmt"
	"strings"

	tf "github.com/wamuir/graft/tensorflow"
	graphpb "github.com/wamuir/graft/tensorflow/core/framework/graph_go_proto"
	nodepb "github.com/wamuir/graft/tensorflow/core/framework/node_def_go_proto"
	versionpb "github.com/wamuir/graft/tensorflow/core/framework/versions_go_proto"
	"google.golang.org/protobuf/proto"
)

// sharedOps are never copied: what is fed, stored or iterated is there once.
var sharedOps = map[string]bool{"Placeholder": true, "VarHandleOp": true, "ReadVariableOp": true, "IteratorV2": true, "IteratorGetNext": true}

// Clone copies the operations that compute outs, below the scope's path and on
// its device, with other tensors in place of some: for replicas of a network
// with its gradients, which TensorFlow's C API adds without a device. Variables,
// placeholders and iterators are shared with the original, and what changes a
// variable stays on the variable's machine. It returns the copies of outs and
// of ops; one that nothing replaced leads to is still copied.
func Clone(s *Scope, outs []Tensor, replace map[Tensor]Tensor, ops ...Operation) ([]Tensor, []Operation) {
	copies, copiedOps := make([]Tensor, len(outs)), make([]Operation, len(ops))
	if s.g.err != nil {
		return copies, copiedOps
	}
	prefix := s.g.unique(s.join("clone"))
	c := cloning{g: s.g, replace: map[string]tf.Output{}}
	for from, to := range replace {
		if !from.ok || !to.ok {
			s.Fail("clone: a replaced tensor is not a tensor of the graph")
			return copies, copiedOps
		}
		c.replace[from.Name()] = to.out
	}
	if err := c.run(prefix, s.device, outs, ops); err != nil {
		s.Fail("clone: %v", err)
		return copies, copiedOps
	}
	for i, t := range outs {
		copies[i] = t
		if op := s.g.tf.Operation(prefix + "/" + t.Op().Name()); op != nil {
			copies[i] = Tensor{out: op.Output(t.out.Index), ok: true}
		}
	}
	for i, op := range ops {
		copiedOps[i], _ = s.g.LookupOperation(prefix + "/" + op.Name())
	}
	return copies, copiedOps
}

// cloning is a copy under way.
type cloning struct {
	g       *Graph
	replace map[string]tf.Output // by "node:output"
	nodes   map[string]*nodepb.NodeDef
	taken   map[string]bool
	sub     graphpb.GraphDef
	opts    tf.GraphImportOptions
	mapped  map[string]bool
}

func (c *cloning) run(prefix, device string, outs []Tensor, ops []Operation) error {
	nodes, err := c.g.nodes()
	if err != nil {
		return err
	}
	c.nodes, c.taken, c.mapped = nodes, map[string]bool{}, map[string]bool{}
	var todo []string
	for _, t := range outs {
		if !t.ok {
			return fmt.Errorf("an output is not a tensor of the graph")
		}
		todo = append(todo, t.Op().Name())
	}
	for _, op := range ops {
		todo = append(todo, op.Name())
	}
	walk(todo, c.take)
	if len(c.sub.Node) == 0 {
		return nil
	}
	c.sub.Versions = &versionpb.VersionDef{Producer: producer}
	b, err := proto.Marshal(&c.sub)
	if err != nil {
		return err
	}
	c.opts.Prefix, c.opts.Device = prefix, device
	return c.g.tf.ImportWithOptions(b, c.opts)
}

// walk takes nodes and all that they need. take returns what a node needs, and
// nothing the second time.
func walk(todo []string, take func(name string) (needs []string)) {
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], take(name)...)
	}
}

// take copies a node and returns the nodes that it needs.
func (c *cloning) take(name string) []string {
	n := c.nodes[name]
	if c.taken[name] || sharedOps[n.GetOp()] {
		return nil
	}
	c.taken[name] = true
	n = proto.Clone(n).(*nodepb.NodeDef)
	var needs, inputs []string
	for _, in := range n.Input {
		switch from, control := strings.CutPrefix(in, "^"); {
		case control && sharedOps[c.nodes[from].GetOp()]: // its run is waited for already
		case control:
			inputs, needs = append(inputs, in), append(needs, from)
		default:
			source, own := c.input(in)
			inputs = append(inputs, source)
			if own != "" {
				needs = append(needs, own)
			}
		}
	}
	n.Input = inputs
	c.sub.Node = append(c.sub.Node, n)
	return needs
}

// input returns how a copied node names its input, and the node to be copied
// for it, if any.
func (c *cloning) input(in string) (source, own string) {
	name, index := endpoint(in)
	key := fmt.Sprintf("%s:%d", name, index)
	to, replaced := c.replace[key]
	if !replaced && !sharedOps[c.nodes[name].GetOp()] {
		return in, name
	}
	if !replaced {
		to = c.g.tf.Operation(name).Output(index)
	}
	// A name without a node in the copy, so that only the mapping can fill it.
	alias := fmt.Sprintf("shared/%s/%d", name, index)
	if !c.mapped[alias] {
		c.mapped[alias] = true
		c.opts.AddInputMapping(alias, 0, to)
	}
	return alias + ":0", ""
}
