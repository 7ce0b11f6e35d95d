package sets

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/durable"
)

const manifestName = "manifest.json"

// Split names, as they begin the file names of their shards.
const (
	Train      = "train"
	Validation = "validation"
)

// Manifest says what a directory of converted records holds. It is written
// last: a directory without it is not finished.
type Manifest struct {
	Kind        string      `json:"kind"`                 // "imagenet", "folder", "coco" or "shapes"
	Plan        string      `json:"plan"`                 // SHA-256 of what was to be converted and how
	Seed        uint64      `json:"seed"`                 // of the order of the examples
	LabelOffset int64       `json:"label_offset"`         // stored label - offset = class from 0; not for detection
	Classes     []Class     `json:"classes"`              // in the order of their labels
	Categories  []Category  `json:"categories,omitempty"` // of a detection set: the classes' ids and labels
	Splits      []Split     `json:"splits"`
	Reencoded   []Reencoded `json:"reencoded"`        // images that are not the bytes of their file
	Bad         []Bad       `json:"bad"`              // images left out under the policy skip
	Faults      coco.Counts `json:"faults,omitempty"` // of a detection set: how many of Bad are of each kind
	PassedOver  int         `json:"passed_over"`      // files of the source that are no images
}

// Category is a class of a detection set.
type Category struct {
	ID    int64  `json:"id"`    // in the annotations
	Label int64  `json:"label"` // in the records, from 1
	Name  string `json:"name"`
}

// label returns what stands in the records for a class.
func (m Manifest) label(class int) int64 {
	if len(m.Categories) > 0 {
		return m.Categories[class].Label
	}
	return int64(class) + m.LabelOffset
}

// Class is one class of a set.
type Class struct {
	Name string `json:"name"` // WordNet synset, or name of the folder
	Text string `json:"text"` // for people
}

// Split is one part of a set.
type Split struct {
	Name     string           `json:"name"`   // "train" or "validation"
	Source   string           `json:"source"` // directory or archive it was made from
	Examples int64            `json:"examples"`
	Counts   []int64          `json:"counts"`  // examples, in a detection set objects, of each class
	Formats  map[string]int64 `json:"formats"` // examples by format
	Shards   []Shard          `json:"shards"`
}

// Shard is one record file.
type Shard struct {
	File     string `json:"file"` // name in the directory
	Examples int64  `json:"examples"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
}

// Reencoded is an image that was encoded anew, and what it had been.
type Reencoded struct {
	File string `json:"file"`
	Was  string `json:"was"` // "PNG", "CMYK", …
}

// Bad is an image, or an entry of an annotation file, that was left out.
type Bad struct {
	File   string `json:"file"`   // with ARCHIVE!NAME where it lay in a tar; an annotation file
	Record int64  `json:"record"` // number in its source, from 0
	Offset int64  `json:"offset"` // byte in the archive; 0 for a file of its own
	Reason string `json:"reason"`
	Kind   string `json:"kind,omitempty"` // of a detection set: "box outside", "unknown category", "image", …
}

// ErrUnfinished: a directory holds no manifest, so its conversion never ended.
var ErrUnfinished = errors.New("no finished conversion")

// LoadManifest reads the manifest of a directory of converted records.
func LoadManifest(dir string) (Manifest, error) {
	var m Manifest
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, os.ErrNotExist) {
		return m, fmt.Errorf("sets: %s: %w: %w", dir, ErrUnfinished, err)
	}
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		return m, fmt.Errorf("sets: %s: %w", filepath.Join(dir, manifestName), err)
	}
	return m, nil
}

// Split returns the split of a name.
func (m Manifest) Split(name string) (Split, bool) {
	i := slices.IndexFunc(m.Splits, func(s Split) bool { return s.Name == name })
	if i < 0 {
		return Split{}, false
	}
	return m.Splits[i], true
}

// Paths returns the shards of a split as paths below dir.
func (s Split) Paths(dir string) []string {
	paths := make([]string, len(s.Shards))
	for i, shard := range s.Shards {
		paths[i] = filepath.Join(dir, shard.File)
	}
	return paths
}

// writeJSON writes a value where all of it or nothing will be found.
func writeJSON(path string, value any) error {
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return fmt.Errorf("sets: %s: %w", path, err)
	}
	return durable.WriteFile(path, append(data, '\n'), 0o644)
}
