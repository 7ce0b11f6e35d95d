package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile caps a configuration file, in bytes: a long one has a hundredth.
const maxFile = 1 << 20

// layer is one source of values, by path.
type layer map[string]any

// parseFile reads a configuration file to its leaves. preset is what its key
// of that name says. All faults are reported with their lines.
func parseFile(name string, text []byte, f *faults) (values layer, preset string) {
	root, err := parseYAML(text)
	if err != nil {
		f.add(name, "", "%v", err)
		return nil, ""
	}
	if root == nil {
		return layer{}, ""
	}
	p := parser{name, layer{}, f}
	if root.Kind != yaml.MappingNode {
		f.add(p.at(root), "", "want keys with values, such as `seed: 1`")
		return nil, ""
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		if k.Value == "preset" && v.Kind == yaml.ScalarNode {
			preset = v.Value
			continue
		}
		p.walk(strings.ToLower(k.Value), k, v)
	}
	return p.values, preset
}

func parseYAML(text []byte) (*yaml.Node, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("the file has %d bytes; a configuration has at most %d", len(text), maxFile)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, fmt.Errorf("this is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	return doc.Content[0], nil
}

type parser struct {
	name   string
	values layer
	faults *faults
}

func (p parser) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", p.name, n.Line) }

// walk adds the leaves at and below a path.
func (p parser) walk(path string, at, v *yaml.Node) {
	k, leaf, section := lookup(path)
	switch {
	case v.Kind == yaml.AliasNode:
		p.faults.add(p.at(v), path, "write the value out; aliases (*%s) are not read", v.Value)
	case section && v.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(v.Content); i += 2 {
			p.walk(path+"."+strings.ToLower(v.Content[i].Value), v.Content[i], v.Content[i+1])
		}
	case section && v.Kind == yaml.ScalarNode && v.Tag != "!!null" && expand(path) != path:
		p.set(expand(path), at, v)
	case section && v.Tag == "!!null": // a section without keys
	case section:
		p.faults.add(p.at(at), path, "this is a section; name its keys below it")
	case leaf:
		p.leaf(k, at, v)
	default:
		p.faults.add(p.at(at), path, "there is no such key%s", suggest(path))
	}
}

func (p parser) set(path string, at, v *yaml.Node) {
	if k, leaf, _ := lookup(path); leaf {
		p.leaf(k, at, v)
	}
}

func (p parser) leaf(k key, at, node *yaml.Node) {
	if _, twice := p.values[k.path]; twice {
		p.faults.add(p.at(at), k.path, "the key stands here twice")
		return
	}
	var v any
	if err := node.Decode(&v); err != nil {
		p.faults.add(p.at(at), k.path, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	v, err := convert(k.kind, v)
	if err != nil {
		p.faults.add(p.at(at), k.path, "%v", err)
		return
	}
	p.values[k.path] = v
}
