package cells_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nasnet-go/nasnet/cells"
)

// anyGenotype draws a genotype of the paper's space.
func anyGenotype(t *rapid.T) cells.Genotype {
	s := cells.NASNetSpace()
	choices := make([]int, 0, 50)
	for _, n := range s.Sizes() {
		choices = append(choices, rapid.IntRange(0, n-1).Draw(t, "choice"))
	}
	g, err := s.Decode(choices)
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.Encode(g)
	if err != nil || !reflect.DeepEqual(back, choices) {
		t.Fatalf("encoded %v, want %v (%v)", back, choices, err)
	}
	return g
}

func TestEveryGenotypeOfTheSpaceIsValidAndRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := anyGenotype(t)
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
		back, err := cells.Parse([]byte(g.String()))
		if err != nil || !reflect.DeepEqual(back, g) {
			t.Fatalf("%v\n%s\n%+v", err, g, back)
		}
	})
}

func TestZooRoundTrips(t *testing.T) {
	for _, name := range cells.Names() {
		g, err := cells.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		back, err := cells.Parse([]byte(g.String()))
		if err != nil || !reflect.DeepEqual(back, g) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, g, back)
		}
	}
}

// shuffled renumbers the blocks of a cell in a random order that respects their
// dependencies, and swaps branches.
func shuffled(t *rapid.T, c cells.Cell, inputs int) cells.Cell {
	place, done := map[int]int{}, map[int]bool{}
	for i := range inputs {
		place[i], done[i] = i, true
	}
	var out cells.Cell
	for len(out.Blocks) < len(c.Blocks) {
		var ready []int
		for i, b := range c.Blocks {
			if !done[inputs+i] && done[b.Left.From] && done[b.Right.From] {
				ready = append(ready, i)
			}
		}
		i := rapid.SampledFrom(ready).Draw(t, "next")
		b := c.Blocks[i]
		b.Left.From, b.Right.From = place[b.Left.From], place[b.Right.From]
		if rapid.Bool().Draw(t, "swap") {
			b.Left, b.Right = b.Right, b.Left
		}
		place[inputs+i] = inputs + len(out.Blocks)
		done[inputs+i] = true
		out.Blocks = append(out.Blocks, b)
	}
	for _, s := range c.Concat {
		out.Concat = append(out.Concat, place[s])
	}
	return out
}

func TestIsomorphicGenotypesShareHashAndForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := anyGenotype(t)
		h := cells.Genotype{Name: "other", Inputs: 2, Normal: shuffled(t, g.Normal, 2), Reduction: shuffled(t, g.Reduction, 2)}
		if g.Hash() != h.Hash() {
			t.Fatalf("hashes differ:\n%s\n%s", g.Canonical(), h.Canonical())
		}
		if c := g.Canonical(); !reflect.DeepEqual(c.Canonical(), c) {
			t.Fatalf("the canonical form is not its own:\n%s\n%s", c, c.Canonical())
		}
	})
}

// With two operations many blocks are equal, and what tells them apart is far away.
func TestIsomorphicCellsWithEqualBlocksShareHash(t *testing.T) {
	s := cells.Space{Name: "small", Ops: []cells.Op{cells.Identity, cells.Max3x3}, Blocks: 7, Tied: true}
	rapid.Check(t, func(t *rapid.T) {
		var choices []int
		for _, n := range s.Sizes() {
			choices = append(choices, rapid.IntRange(0, n-1).Draw(t, "choice"))
		}
		g, err := s.Decode(choices)
		if err != nil {
			t.Fatal(err)
		}
		h := g
		h.Normal = shuffled(t, g.Normal, 2)
		h.Reduction = h.Normal
		if g.Hash() != h.Hash() {
			t.Fatalf("hashes differ:\n%s\n%s", g.Canonical(), h.Canonical())
		}
	})
}

// In a small space, genotypes share a hash only if they compute the same: each
// is expanded into the expression of its outputs, without numbers.
func TestDifferentFunctionsHaveDifferentHashes(t *testing.T) {
	s := cells.Space{Name: "small", Ops: []cells.Op{cells.Identity, cells.Sep3x3}, Blocks: 2, Tied: true}
	byHash := map[string]string{}
	functions := map[string]bool{}
	var visit func(choices []int)
	visit = func(choices []int) {
		if len(choices) < len(s.Sizes()) {
			for c := range s.Sizes()[len(choices)] {
				visit(append(choices[:len(choices):len(choices)], c))
			}
			return
		}
		g, err := s.Decode(choices)
		if err != nil {
			t.Fatal(err)
		}
		f := function(g.Normal)
		functions[f] = true
		if old, ok := byHash[g.Hash()]; ok && old != f {
			t.Fatalf("one hash for %s and %s", old, f)
		}
		byHash[g.Hash()] = f
	}
	visit(nil)
	if len(byHash) != len(functions) {
		t.Errorf("%d hashes for %d functions", len(byHash), len(functions))
	}
}

func function(c cells.Cell) string {
	expr := []string{"a", "b"}
	for _, b := range c.Blocks {
		l, r := fmt.Sprintf("%s(%s)", b.Left.Op, expr[b.Left.From]), fmt.Sprintf("%s(%s)", b.Right.Op, expr[b.Right.From])
		if r < l {
			l, r = r, l
		}
		expr = append(expr, fmt.Sprintf("%s[%s,%s]", b.Combine, l, r))
	}
	var out []string
	for _, s := range c.Concat {
		out = append(out, expr[s])
	}
	// The order of the concat is the order of channels only.
	for i := range out {
		for j := i + 1; j < len(out); j++ {
			if out[j] < out[i] {
				out[i], out[j] = out[j], out[i]
			}
		}
	}
	return strings.Join(out, ";")
}

func TestFaultsAreAllNamedWithTheirPlace(t *testing.T) {
	text := `
normal:
  blocks:
    - {left: [0, sep3x3], right: [2, sep3x3]}
    - {left: [9, nosuch], right: [1, identity], combine: multiply}
  concat: []
`
	_, err := cells.Parse([]byte(text))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"block 0, right: state 2", "a cycle", "block 1, left: state 9", `unknown operation "nosuch"`, `unknown combination "multiply"`, "concat: no state",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "unknown key": "normal: {blocks: [], concat: [], nonsense: 1}", "no normal": "name: x", "too long": strings.Repeat("#\n", 1<<20),
		"a million blocks": "normal: {blocks: [" + strings.Repeat("{left: [0, identity], right: [0, identity]},", 1000000) + "], concat: [2]}",
	} {
		if _, err := cells.Parse([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The sizes of the paper's space (reference nasnet.md section 1).
func TestSpaceOfThePaper(t *testing.T) {
	s := cells.NASNetSpace()
	if n := len(s.Decisions()); n != 50 {
		t.Errorf("%d decisions, want 50", n)
	}
	size := 1.0
	for _, n := range s.Sizes()[:25] {
		size *= float64(n)
	}
	if size < 2.28e18 || size > 2.30e18 {
		t.Errorf("a cell has %g choices, want 720^2 x 338^5 = 2.29e18", size)
	}
	if _, err := s.Decode(make([]int, 49)); err == nil {
		t.Error("49 choices were decoded")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(cells.NASNetA().String())
	f.Add("normal: {blocks: [{left: [0, max3x3], right: [1, identity]}], concat: [2]}")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := cells.Parse([]byte(text))
		if err != nil {
			return
		}
		back, err := cells.Parse([]byte(g.String()))
		if err != nil || back.Hash() != g.Hash() {
			t.Fatalf("%v\n%s", err, g)
		}
	})
}
