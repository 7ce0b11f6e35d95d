package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/nasnet-go/nasnet/cells"
)

// maxFile caps a model file, in bytes.
const maxFile = 64 << 10

// modelFile is the form of a model on disk: the model's fields and the name, or
// the file, of its cell.
type modelFile struct {
	Cell  string `yaml:"cell"`
	Model `yaml:",inline"`
}

// Load reads a model file. Unknown keys are errors; fields that are left out
// keep the values of nasnet-a-cifar, or, with style imagenet, of
// nasnet-a-mobile. The cell is a built-in name or a genotype file, beside the
// model file unless its path is absolute.
func Load(path string) (Model, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Model{}, fmt.Errorf("model: %w", err)
	}
	m, cell, err := parse(text)
	if err != nil {
		return Model{}, fmt.Errorf("model: %s: %w", path, err)
	}
	if m.Cell, err = cells.Load(cell, filepath.Dir(path)); err != nil {
		return Model{}, fmt.Errorf("model: %s: cell: %w", path, err)
	}
	m.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if err := m.Validate(); err != nil {
		return Model{}, fmt.Errorf("model: %s: %w", path, err)
	}
	return m, nil
}

func parse(text []byte) (Model, string, error) {
	if len(text) > maxFile {
		return Model{}, "", fmt.Errorf("a model file of %d bytes; at most %d are read", len(text), maxFile)
	}
	var head struct {
		Style Style `yaml:"style"`
	}
	if err := yaml.Unmarshal(text, &head); err != nil {
		return Model{}, "", err
	}
	base := cifarModel()
	if head.Style == ImageNetStyle {
		base = mobileModel()
	}
	file := modelFile{Cell: base.Cell.Name, Model: base}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return Model{}, "", err
	}
	return file.Model, file.Cell, nil
}

// Text writes the model as a file that Load reads back, its cell by name or
// file.
func (m Model) Text(cell string) ([]byte, error) {
	text, err := yaml.Marshal(modelFile{Cell: cell, Model: m})
	if err != nil {
		return nil, fmt.Errorf("model: %s: %w", m.Name, err)
	}
	return text, nil
}
