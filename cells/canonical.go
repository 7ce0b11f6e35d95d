package cells

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Canonical returns the form that all equal and isomorphic genotypes share:
// blocks that reach no output are gone, the branches of a block and the blocks
// are in a fixed order, and name and source are empty. Two genotypes with one
// canonical form compute the same function of the same weights, up to the order
// of channels.
func (g Genotype) Canonical() Genotype {
	c := Genotype{Inputs: g.Inputs, Normal: g.Normal.canonical(g.States()), Reduction: g.Reduction.canonical(g.States())}
	if c.Inputs == 2 {
		c.Inputs = 0
	}
	return c
}

// Hash is the hex SHA-256 of the canonical form's text.
func (g Genotype) Hash() string {
	sum := sha256.Sum256([]byte(g.Canonical().String()))
	return hex.EncodeToString(sum[:])
}

// canonical sorts the blocks by depth and by an expression that says all a block
// computes, down to the inputs. Blocks with equal expressions are told apart by
// who reads them; those that nothing tells apart may stand in any order.
func (c Cell) canonical(inputs int) Cell {
	place := map[int]int{}
	for i := range inputs {
		place[i] = i
	}
	var out Cell
	for at, i := range c.order(inputs) {
		place[inputs+i] = inputs + at
		b := c.Blocks[i]
		b.Left.From, b.Right.From = place[b.Left.From], place[b.Right.From]
		if b.Combine == "" {
			b.Combine = Add
		}
		if less(b.Right, b.Left) {
			b.Left, b.Right = b.Right, b.Left
		}
		out.Blocks = append(out.Blocks, b)
	}
	for _, s := range c.Concat {
		out.Concat = append(out.Concat, place[s])
	}
	slices.Sort(out.Concat)
	for _, s := range c.Outputs { // their order says where they go
		out.Outputs = append(out.Outputs, place[s])
	}
	return out
}

// order lists the live blocks, each after those it reads. Where blocks tie, one
// is set apart and the others' colours are refined again, so that a choice made
// in one place carries over to all that hangs on it.
func (c Cell) order(inputs int) []int {
	expr, depth, live := c.expressions(inputs), c.depths(inputs), c.live(inputs)
	var rest, order []int
	for i := range c.Blocks {
		if live[inputs+i] {
			rest = append(rest, i)
		}
	}
	colours := slices.Clone(expr)
	c.refine(colours, inputs, live)
	for len(rest) > 0 {
		key := func(i int) string { return fmt.Sprintf("%04d%s%s", depth[i], expr[inputs+i], colours[inputs+i]) }
		first, ties := 0, 0
		for k, i := range rest {
			switch d := strings.Compare(key(i), key(rest[first])); {
			case d < 0:
				first, ties = k, 0
			case d == 0 && k != first:
				ties++
			}
		}
		i := rest[first]
		order, rest = append(order, i), slices.Delete(rest, first, first+1)
		if ties > 0 {
			colours[inputs+i] = fmt.Sprintf("placed %d", len(order))
			c.refine(colours, inputs, live)
		}
	}
	return order
}

// refine splits the states' colours by those of what they read and of what reads
// them, until that changes nothing more.
func (c Cell) refine(colours []string, inputs int, live []bool) {
	for range c.Blocks {
		seen := make([][]string, len(colours))
		for i, b := range c.Blocks {
			if !live[inputs+i] {
				continue
			}
			for _, br := range []Branch{b.Left, b.Right} {
				seen[inputs+i] = append(seen[inputs+i], "reads "+string(br.Op)+colours[br.From])
				seen[br.From] = append(seen[br.From], "read by "+string(br.Op)+colours[inputs+i])
			}
		}
		for i, s := range c.leaving() {
			if len(c.Outputs) == 0 {
				i = 0 // the order of a concat is the order of channels only
			}
			seen[s] = append(seen[s], fmt.Sprintf("output %d", i))
		}
		next := slices.Clone(colours)
		for i := inputs; i < len(colours); i++ {
			slices.Sort(seen[i])
			sum := sha256.Sum256([]byte(colours[i] + "|" + strings.Join(seen[i], ",")))
			next[i] = hex.EncodeToString(sum[:])
		}
		copy(colours, next)
	}
}

func less(a, b Branch) bool { return a.From < b.From || a.From == b.From && a.Op < b.Op }

// expressions writes each state as a hash of what it computes, in a form that
// does not depend on numbering or on the order of branches.
func (c Cell) expressions(inputs int) []string {
	expr := make([]string, 0, inputs+len(c.Blocks))
	for i := range inputs {
		expr = append(expr, fmt.Sprintf("x%d", i))
	}
	for _, b := range c.Blocks {
		sides := []string{
			string(b.Left.Op) + "(" + expr[b.Left.From] + ")",
			string(b.Right.Op) + "(" + expr[b.Right.From] + ")",
		}
		slices.Sort(sides)
		combine := b.Combine
		if combine == "" {
			combine = Add
		}
		sum := sha256.Sum256([]byte(string(combine) + "[" + strings.Join(sides, ",") + "]"))
		expr = append(expr, hex.EncodeToString(sum[:]))
	}
	return expr
}

// live marks the states from which an output is reached.
func (c Cell) live(inputs int) []bool {
	live := make([]bool, inputs+len(c.Blocks))
	for _, s := range c.leaving() {
		live[s] = true
	}
	for i := len(c.Blocks) - 1; i >= 0; i-- {
		if live[inputs+i] {
			live[c.Blocks[i].Left.From], live[c.Blocks[i].Right.From] = true, true
		}
	}
	return live
}

// depths is the longest way of each block to the inputs.
func (c Cell) depths(inputs int) []int {
	depth := make([]int, len(c.Blocks))
	of := func(state int) int {
		if state < inputs {
			return 0
		}
		return depth[state-inputs]
	}
	for i, b := range c.Blocks {
		depth[i] = 1 + max(of(b.Left.From), of(b.Right.From))
	}
	return depth
}
