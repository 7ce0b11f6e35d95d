package train

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/nasnet-go/nasnet/internal/bundle"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// Initial are weights of another training to begin with, for fine-tuning. They
// are read when a training starts, not when it goes on from a checkpoint.
type Initial struct {
	Prefix   string   // of the checkpoint, PREFIX.index; "": none, all weights are drawn anew
	Averages bool     // take the moving averages that it holds instead of the weights
	Anew     []string // beginnings of names that are drawn anew, such as a head's with other classes
	// Key is the checkpoint's name of a variable; nil: its own name.
	Key func(name string) string
}

// RateScale multiplies the learning rate of some variables.
type RateScale struct {
	Names string  // beginning of their names; the first entry that fits a variable holds
	Scale float32 // 0 freezes them: neither gradient nor decay, but moving statistics still follow the batches
}

// scaleOf is the factor of a variable's learning rate.
func (o Options) scaleOf(v *tfgraph.Variable) float32 {
	for _, r := range o.RateScales {
		if strings.HasPrefix(v.Name, r.Names) {
			return r.Scale
		}
	}
	return 1
}

// applyRule adds the rule's updates, one group of variables a learning rate.
func (x *step) applyRule(us *tfgraph.Scope, st *tfgraph.Store, u optim.Update, o Options) []tfgraph.Operation {
	groups := map[float32]*optim.Update{}
	var order []float32
	for i, v := range u.Vars {
		scale := o.scaleOf(v)
		if groups[scale] == nil {
			g := u
			g.Vars, g.Grads = nil, nil
			if scale != 1 {
				g.Rate = tfgraph.Scale(us, u.Rate, scale)
			}
			groups[scale] = &g
			order = append(order, scale)
		}
		g := groups[scale]
		g.Vars, g.Grads = append(g.Vars, v), append(g.Grads, u.Grads[i])
	}
	var ops []tfgraph.Operation
	for _, scale := range order {
		ops = append(ops, o.Rule.Apply(us, st, *groups[scale])...)
	}
	return ops
}

// unused tells what a checkpoint holds besides keys and their slots and averages:
// "" if nothing.
func unused(b *bundle.Bundle, keys []string) string {
	var names []string
	for _, e := range b.Entries() {
		if !slices.Contains(keys, e.Name) && !slices.Contains(keys, path.Dir(e.Name)) {
			names = append(names, e.Name)
		}
	}
	const shown = 5
	switch n := len(names); {
	case n == 0:
		return ""
	case n == 1:
		return "; 1 other there is not used: " + names[0]
	case n > shown:
		return fmt.Sprintf("; %d others there are not used: %s, …", n, strings.Join(names[:shown], ", "))
	}
	return fmt.Sprintf("; %d others there are not used: %s", len(names), strings.Join(names, ", "))
}

// takeInitial overwrites the first values by those of another checkpoint. All
// variables that it lacks or holds in another shape are in the error.
func (t *Trainer) takeInitial() error {
	in := t.o.Initial
	if in.Prefix == "" {
		return nil
	}
	b, err := bundle.Open(in.Prefix)
	if err != nil {
		return fmt.Errorf("train: initial weights: %w", err)
	}
	if err := b.Verify(); err != nil {
		return fmt.Errorf("train: initial weights: %w", err)
	}
	var keys []string
	var vars []*tfgraph.Variable
	var faults []error
	for _, v := range t.step.model {
		if slices.ContainsFunc(in.Anew, func(p string) bool { return strings.HasPrefix(v.Name, p) }) {
			continue
		}
		key := v.Name
		if in.Key != nil {
			key = in.Key(v.Name)
		}
		if _, ok := b.Lookup(key + optim.AverageSuffix); ok && in.Averages {
			key += optim.AverageSuffix
		}
		e, ok := b.Lookup(key)
		if !ok || !slices.Equal(e.Shape, v.Shape) {
			faults = append(faults, fmt.Errorf("train: initial weights %s: %s has shape %v, found %v; a name under anew is not looked for", in.Prefix, v.Name, v.Shape, e.Shape))
			continue
		}
		keys, vars = append(keys, key), append(vars, v)
		if average := t.Store.Lookup(v.Name + optim.AverageSuffix); average != nil { // it begins as its variable does
			keys, vars = append(keys, key), append(vars, average)
		}
	}
	if len(faults) > 0 || len(keys) == 0 {
		return errors.Join(faults...)
	}
	t.note(fmt.Sprintf("%d variables begin with the weights of %s%s", len(keys), in.Prefix, unused(b, keys)))
	return tfgraph.NewSaver(t.Graph.Root().Sub("initial"), keys, vars).RestoreFrom(t.Session, in.Prefix)
}
