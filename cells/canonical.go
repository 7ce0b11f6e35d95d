package cells

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
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

// canonical sorts the blocks by an expression that says all a block computes,
// down to the inputs, in topological order.
func (c Cell) canonical(inputs int) Cell {
	expr := c.expressions(inputs)
	live := c.live(inputs)
	var order []int // live blocks, each after those it reads
	for i := range c.Blocks {
		if live[inputs+i] {
			order = append(order, i)
		}
	}
	depth := c.depths(inputs)
	sort.SliceStable(order, func(a, b int) bool {
		i, j := order[a], order[b]
		if depth[i] != depth[j] {
			return depth[i] < depth[j]
		}
		return expr[inputs+i] < expr[inputs+j]
	})
	place := map[int]int{}
	for i := range inputs {
		place[i] = i
	}
	var out Cell
	for at, i := range order {
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
	return out
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
	for _, s := range c.Concat {
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
