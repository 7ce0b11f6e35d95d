package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Change is one key in which two configurations differ.
type Change struct {
	Key      string
	Was, Now string
}

func (c Change) String() string { return fmt.Sprintf("%s: %s -> %s", c.Key, c.Was, c.Now) }

// Changes lists what a run cannot take from one configuration to the next: the
// keys that decide results. Keys of speed, ports and places may change freely.
func Changes(was, now Config) []Change {
	a, b := flat(was), flat(now)
	var list []Change
	for _, k := range keys() {
		if !k.free && k.path != "based_on" && a[k.path] != b[k.path] {
			list = append(list, Change{k.path, orDefault(a[k.path]), orDefault(b[k.path])})
		}
	}
	return list
}

func orDefault(s string) string {
	if s == "" {
		return "(not set)"
	}
	return s
}

// Digest identifies the keys below the given sections that decide results, as
// hex SHA-256.
func (c Config) Digest(sections ...string) string {
	values := flat(c)
	h := sha256.New()
	for _, k := range keys() {
		section, _, _ := strings.Cut(k.path, ".")
		for _, want := range sections {
			if section == want && !k.free {
				fmt.Fprintf(h, "%s=%s\n", k.path, values[k.path])
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// flat writes each leaf as text.
func flat(c Config) map[string]string {
	values := map[string]string{}
	var root yaml.Node
	if err := root.Encode(c); err != nil { // plain structs of numbers and texts
		panic(err)
	}
	var walk func(path string, n *yaml.Node)
	walk = func(path string, n *yaml.Node) {
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(strings.TrimPrefix(path+"."+n.Content[i].Value, "."), n.Content[i+1])
			}
		case yaml.SequenceNode:
			items := make([]string, len(n.Content))
			for i, item := range n.Content {
				items[i] = item.Value
			}
			values[path] = "[" + strings.Join(items, ", ") + "]"
		default:
			values[path] = n.Value
		}
	}
	walk("", &root)
	return values
}
