package configs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/model"
)

// Network is the model that the section describes: the named one, with what
// the section states in place of its own values.
func (m Model) Network() (model.Model, error) {
	net, err := loadModel(m.Name)
	if err != nil {
		return model.Model{}, err
	}
	if m.Cell != "" {
		if net.Cell, err = cells.Load(m.Cell, ""); err != nil {
			return model.Model{}, err
		}
	}
	m.override(&net)
	return net, nil
}

// Detector is what the section detect makes of the model.
func (c Config) Detector() (detector.Detector, error) {
	net, err := c.Model.Network()
	return detector.Detector{Model: net, Options: c.Detect}, err
}

func loadModel(name string) (model.Model, error) {
	if slices.Contains(model.Presets(), name) {
		return model.Preset(name)
	}
	if _, err := os.Stat(name); err != nil {
		return model.Model{}, fmt.Errorf("there is neither a built-in model nor a file %q; built in are %s", name, strings.Join(model.Presets(), ", "))
	}
	return model.Load(name)
}

func (m Model) override(net *model.Model) {
	replace(&net.NormalCells, m.NormalCells)
	replace(&net.Filters, m.Filters)
	replace(&net.StemMultiplier, m.StemMultiplier)
	replace(&net.FilterScaling, m.FilterScaling)
	replace(&net.Classes, m.Classes)
	replace(&net.DropPathKeep, m.DropPathKeep)
	replace(&net.DropoutKeep, m.DropoutKeep)
	replace(&net.BatchNorm.Decay, m.BatchNorm.Decay)
	replace(&net.BatchNorm.Epsilon, m.BatchNorm.Epsilon)
	replace(&net.Pooling, model.Pooling(m.Pooling))
	if len(m.Input) == len(net.Input) {
		copy(net.Input[:], m.Input)
	}
	if m.SkipReductionInput != nil {
		net.SkipReductionInput = *m.SkipReductionInput
	}
	if m.AuxHead != nil {
		net.AuxHead = *m.AuxHead
	}
}

// replace sets a value that is stated.
func replace[T comparable](to *T, stated T) {
	var zero T
	if stated != zero {
		*to = stated
	}
}

// Cells is the search space that the section describes.
func (s Space) Cells() (cells.Space, error) {
	space := cells.NASNetSpace()
	if s.Name != space.Name {
		var err error
		if space, err = loadSpace(s.Name); err != nil {
			return cells.Space{}, err
		}
	}
	if len(s.Ops) > 0 {
		space.Ops = nil
		for _, op := range s.Ops {
			space.Ops = append(space.Ops, cells.Op(op))
		}
	}
	if len(s.Combines) > 0 {
		space.Combines = nil
		for _, c := range s.Combines {
			space.Combines = append(space.Combines, cells.Combine(c))
		}
	}
	replace(&space.Blocks, s.Blocks)
	if s.Tied != nil {
		space.Tied = *s.Tied
	}
	return space, nil
}

func loadSpace(name string) (cells.Space, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return cells.Space{}, fmt.Errorf("there is neither a built-in space nor a readable file %q; built in is nasnet", name)
	}
	var space cells.Space
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&space); err != nil {
		return cells.Space{}, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return space, nil
}

// maxBlocks bounds a cell of a space: the controller takes five decisions for
// each block of both cells.
const maxBlocks = 100

// spaceFaults are those of a space whatever it was read from.
func spaceFaults(s cells.Space) error {
	var errs []error
	if s.Blocks < 1 || s.Blocks > maxBlocks {
		errs = append(errs, fmt.Errorf("blocks is %d; want 1 to %d", s.Blocks, maxBlocks))
	}
	if s.Inputs < 0 || s.Inputs > 4 {
		errs = append(errs, fmt.Errorf("inputs is %d; want 0 (two) to 4", s.Inputs))
	}
	if len(s.Ops) == 0 {
		errs = append(errs, errors.New("it has no operations"))
	}
	for _, op := range s.Ops {
		if !cells.Known(op) {
			errs = append(errs, fmt.Errorf("there is no operation %q; there are %s", op, join(cells.Ops())))
		}
	}
	combines := []cells.Combine{cells.Add, cells.Concat, cells.AddLayerNorm, cells.AddInstanceNorm}
	for _, c := range s.Combines {
		if !slices.Contains(combines, c) {
			errs = append(errs, fmt.Errorf("there is no combination %q; there are %s", c, join(combines)))
		}
	}
	return errors.Join(errs...)
}

func join[T ~string](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = string(item)
	}
	return strings.Join(texts, ", ")
}
