package sets

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/nasnet-go/nasnet/internal/imagegate"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// RecordFiles are the record files of a directory, and how their records are read.
type RecordFiles struct {
	Train, Validation  []string // paths; a split test counts as validation
	Examples           int64    // of the validation files
	Classes            []string // names; nil: no manifest tells
	LabelOffset        int64    // stored label - offset = class from 0
	JPEG               bool     // all images are known to be JPEGs
	ImageKey, LabelKey string   // of the tf.train.Example
	Boxes              bool     // it is a detection set
	Manifest           bool
}

var (
	trainFile      = regexp.MustCompile(`(^|[-_.])train([-_.]|$)`)
	validationFile = regexp.MustCompile(`(^|[-_.])(validation|val|test)([-_.]|$)`)
	shardOf        = regexp.MustCompile(`-\d+-of-\d+$`)
)

// FindRecords looks for record files: those of a manifest, or by their names, such
// as train-00000-of-01024 (slim) and imagenet2012-train.tfrecord-00000-of-01024
// (TensorFlow Datasets). Without a manifest the first record tells the keys, and
// with them the labels' offset: slim's are 1 to 1000, those of TensorFlow Datasets
// 0 to 999. ErrMissing: there are none.
func FindRecords(dir string) (RecordFiles, error) {
	m, err := LoadManifest(dir)
	if err == nil {
		return m.recordFiles(dir)
	}
	if !errors.Is(err, ErrUnfinished) {
		return RecordFiles{}, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return RecordFiles{}, fmt.Errorf("sets: %w: %w", ErrMissing, err)
	}
	var f RecordFiles
	for _, e := range entries {
		stem := shardOf.ReplaceAllString(e.Name(), "")
		switch path := filepath.Join(dir, e.Name()); {
		case stem == e.Name() || e.IsDir():
		case trainFile.MatchString(stem):
			f.Train = append(f.Train, path)
		case validationFile.MatchString(stem):
			f.Validation = append(f.Validation, path)
		}
	}
	all := slices.Concat(f.Train, f.Validation)
	if len(all) == 0 {
		return f, fmt.Errorf("sets: %s holds no record files such as train-00000-of-00001: %w", dir, ErrMissing)
	}
	for _, path := range f.Validation {
		list, err := tfrecord.Index(path)
		if err != nil {
			return f, fmt.Errorf("sets: %w", err)
		}
		f.Examples += int64(len(list))
	}
	return f, f.readKeys(all[0])
}

func (m Manifest) recordFiles(dir string) (RecordFiles, error) {
	f := RecordFiles{LabelOffset: m.LabelOffset, JPEG: true, ImageKey: keyEncoded, LabelKey: keyLabel, Boxes: len(m.Categories) > 0, Manifest: true}
	for _, c := range m.Classes {
		name := c.Name
		if c.Text != "" {
			name = c.Text
		}
		f.Classes = append(f.Classes, name)
	}
	for _, s := range m.Splits {
		switch s.Name {
		case Train:
			f.Train = s.Paths(dir)
		case Validation:
			f.Validation, f.Examples = s.Paths(dir), s.Examples
		}
		for format := range s.Formats {
			f.JPEG = f.JPEG && format == imagegate.JPEG
		}
	}
	return f, nil
}

// readKeys takes the keys of a file's first record.
func (f *RecordFiles) readKeys(path string) error {
	r, err := tfrecord.Open(path)
	if err != nil {
		return fmt.Errorf("sets: %w", err)
	}
	defer r.Close()
	record, err := r.Next()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("sets: %s is empty", path)
	}
	if err != nil {
		return fmt.Errorf("sets: %w", err)
	}
	features, err := parseFeatures(record)
	if err != nil {
		return fmt.Errorf("sets: %s, record 0: %w", path, err)
	}
	f.ImageKey, f.LabelKey, f.LabelOffset = keyEncoded, keyLabel, 1
	if _, ok := firstBytes(features, keyEncoded); !ok {
		f.ImageKey = keyTFDSImage
	}
	if _, ok := firstInt(features, keyLabel); !ok {
		f.LabelKey, f.LabelOffset = keyTFDSLabel, 0
	}
	if _, err := ParseExample(record); err != nil {
		return fmt.Errorf("sets: %s, record 0: %w", path, err)
	}
	return nil
}
