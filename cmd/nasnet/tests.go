package main

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg" // what record files hold
	_ "image/png"
	"path/filepath"
	"slices"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// testImage is one of those that a network is measured on.
type testImage struct {
	Name    string
	Class   int
	Encoded []byte // an image file
}

// Picture decodes it.
func (x testImage) Picture() (image.Image, error) {
	m, _, err := image.Decode(bytes.NewReader(x.Encoded))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.Name, err)
	}
	return m, nil
}

// testImages are in the order in which the engine measures them.
type testImages interface {
	Len() int
	At(i int) (testImage, error)
	Close() error
}

// tests opens the test images.
func (s dataset) tests() (testImages, error) {
	if s.records == nil {
		r, err := s.cifar.TestRecords()
		return cifarTests{r}, err
	}
	t := &recordTests{set: s}
	for _, path := range s.records.Validation {
		offsets, err := tfrecord.Index(path)
		bad := s.records.Exclude[path]
		if err != nil && len(bad) == 0 {
			return nil, err
		}
		for _, at := range offsets {
			if !slices.Contains(bad, at) {
				t.places = append(t.places, place{path, at})
			}
		}
	}
	return t, nil
}

// cifarTests are CIFAR-10's, which have no files.
type cifarTests struct{ *sets.Records }

func (t cifarTests) At(i int) (testImage, error) {
	im, err := t.Records.At(i)
	if err != nil {
		return testImage{}, err
	}
	encoded, err := im.PNG()
	return testImage{Name: fmt.Sprintf("test/%05d", i), Class: im.Label, Encoded: encoded}, err
}

// place is where a record begins.
type place struct {
	file   string
	offset int64
}

type recordTests struct {
	set    dataset
	places []place
}

func (t *recordTests) Len() int     { return len(t.places) }
func (t *recordTests) Close() error { return nil }

func (t *recordTests) At(i int) (testImage, error) {
	p := t.places[i]
	record, err := tfrecord.ReadAt(p.file, p.offset)
	if err != nil {
		return testImage{}, err
	}
	x, err := sets.ParseExample(record)
	if err != nil {
		return testImage{}, fmt.Errorf("%s, byte %d: %w", p.file, p.offset, err)
	}
	name := x.Filename
	if name == "" {
		name = fmt.Sprintf("%s@%d", filepath.Base(p.file), p.offset)
	}
	return testImage{Name: name, Class: int(x.Label - t.set.records.LabelOffset), Encoded: x.Encoded}, nil
}
