package cells

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxText caps the size of a genotype's text, in bytes: a cell of a hundred
// blocks needs a tenth of it.
const maxText = 64 << 10

// genotypeText is the form of a genotype on disk.
type genotypeText struct {
	Name      string    `yaml:"name,omitempty"`
	Source    string    `yaml:"source,omitempty"`
	Inputs    int       `yaml:"inputs,omitempty"`
	Normal    *cellText `yaml:"normal"`
	Reduction *cellText `yaml:"reduction,omitempty"` // absent: the normal cell serves as both
}

type cellText struct {
	Blocks  []blockText `yaml:"blocks"`
	Concat  []int       `yaml:"concat,flow,omitempty"`
	Outputs []int       `yaml:"outputs,flow,omitempty"`
}

type blockText struct {
	Left    branchText `yaml:"left,flow"`
	Right   branchText `yaml:"right,flow"`
	Combine Combine    `yaml:"combine,omitempty"`
}

// branchText is written as [state, operation].
type branchText struct{ Branch }

// MarshalYAML writes the pair.
func (b branchText) MarshalYAML() (any, error) { return []any{b.From, string(b.Op)}, nil }

// UnmarshalYAML reads the pair.
func (b *branchText) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode || len(n.Content) != 2 {
		return fmt.Errorf("line %d: want a branch as [state, operation], such as [0, sep3x3]", n.Line)
	}
	if err := n.Content[0].Decode(&b.From); err != nil {
		return fmt.Errorf("line %d: the state of a branch: %w", n.Line, err)
	}
	return n.Content[1].Decode((*string)(&b.Op))
}

// Parse reads a genotype from its text and validates it. Unknown keys are errors.
func Parse(text []byte) (Genotype, error) {
	if len(text) > maxText {
		return Genotype{}, fmt.Errorf("cells: a genotype of %d bytes; at most %d are read", len(text), maxText)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var t genotypeText
	if err := dec.Decode(&t); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the text is empty")
		}
		return Genotype{}, fmt.Errorf("cells: genotype: %w", err)
	}
	if t.Normal == nil {
		return Genotype{}, errors.New("cells: genotype: it has no normal cell")
	}
	g := Genotype{Name: t.Name, Source: t.Source, Inputs: t.Inputs, Normal: t.Normal.cell()}
	g.Reduction = g.Normal
	if t.Reduction != nil {
		g.Reduction = t.Reduction.cell()
	}
	return g, g.Validate()
}

func (c cellText) cell() Cell {
	var out Cell
	for _, b := range c.Blocks {
		combine := b.Combine
		if combine == "" {
			combine = Add
		}
		out.Blocks = append(out.Blocks, Block{Left: b.Left.Branch, Right: b.Right.Branch, Combine: combine})
	}
	out.Concat, out.Outputs = c.Concat, c.Outputs
	return out
}

func textOf(c Cell) *cellText {
	t := &cellText{Concat: c.Concat, Outputs: c.Outputs}
	for _, b := range c.Blocks {
		bt := blockText{Left: branchText{b.Left}, Right: branchText{b.Right}}
		if b.Combine != Add {
			bt.Combine = b.Combine
		}
		t.Blocks = append(t.Blocks, bt)
	}
	return t
}

// String writes the genotype as text that Parse reads back to the same value.
func (g Genotype) String() string {
	t := genotypeText{Name: g.Name, Source: g.Source, Inputs: g.Inputs, Normal: textOf(g.Normal)}
	if !g.Tied() {
		t.Reduction = textOf(g.Reduction)
	}
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(t); err != nil { // plain structs of strings and numbers
		panic(err)
	}
	return b.String()
}

// Tied reports whether one cell serves as both.
func (g Genotype) Tied() bool { return fmt.Sprint(g.Normal) == fmt.Sprint(g.Reduction) }

// MarshalText and UnmarshalText let a genotype stand in JSON as its text.
func (g Genotype) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (g *Genotype) UnmarshalText(text []byte) error {
	parsed, err := Parse(text)
	if err == nil {
		*g = parsed
	}
	return err
}
