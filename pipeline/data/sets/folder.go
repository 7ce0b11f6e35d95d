package sets

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Folder says where images of one's own lie: in a folder for each class, or
// anywhere, with a CSV that names them. Where Dir has the folders train and
// validation (or val, or test), these are the splits.
type Folder struct {
	Dir     string
	Labels  string   // CSV with the columns file (below Dir), label and, if wanted, split; "": folders are the classes
	Holdout float64  // share of the images that become the validation split where nothing else says so; default 0.1, 1: all, negative: none
	Classes []string // names of all classes in their order, of which the images may show some; nil: those of the images, by the alphabet
}

// ConvertFolder writes the records of a folder of images: labels from 0 by the
// alphabetical order of the classes; JPEGs and PNGs as they are, all else as
// PNG. Which images are held out depends on their names only, so it stays the
// same when others are added.
func ConvertFolder(ctx context.Context, from Folder, c Conversion) (Manifest, error) {
	c = c.orDefault()
	p, err := from.plan()
	if err == nil && c.Out == "" {
		err = errors.New("sets: folder: no output directory given")
	}
	if err != nil {
		return Manifest{}, err
	}
	p.arrange(c, map[string]int{Train: c.TrainShards, Validation: c.ValidationShards})
	return c.run(ctx, p)
}

// splitNames are the folders and CSV entries that stand for a split.
var splitNames = map[string]string{"train": Train, "training": Train, "val": Validation, "valid": Validation, "validation": Validation, "test": Validation}

func (f Folder) plan() (plan, error) {
	p := plan{kind: kindFolder}
	parts, other, err := f.parts()
	if err != nil {
		return p, err
	}
	p.passedOver = other
	p.classes = classesOf(append(slices.Clone(parts[Train]), parts[Validation]...))
	if f.Classes != nil {
		p.classes = nil
		for _, name := range f.Classes {
			p.classes = append(p.classes, Class{Name: name})
		}
	}
	if len(p.classes) < 2 || p.classes[0].Name == "" {
		return p, fmt.Errorf("sets: folder: %s: images must lie in at least two folders, one for each class, or a CSV must name them (--labels)", f.Dir)
	}
	for _, name := range []string{Train, Validation} {
		if len(parts[name]) == 0 {
			continue
		}
		items, err := assign(f.Dir, parts[name], p.classes)
		if err != nil {
			return p, err
		}
		p.splits = append(p.splits, splitPlan{name: name, source: f.Dir, items: items})
	}
	for i, class := range p.classes {
		p.classes[i].Text = class.Name
	}
	return p, nil
}

// parts returns the images of each split, the first of their folders being
// their class.
func (f Folder) parts() (parts map[string][]found, other int, err error) {
	if f.Labels != "" {
		parts, err = f.fromCSV()
		return parts, 0, err
	}
	l, err := list(f.Dir)
	if err != nil {
		return nil, 0, err
	}
	parts = map[string][]found{}
	if hasSplits(l.images) {
		for _, img := range l.images {
			split := splitNames[img.class()]
			img.dirs = img.dirs[1:]
			parts[split] = append(parts[split], img)
		}
		return parts, l.other, nil
	}
	for _, img := range l.images {
		split := f.draw(img.rel)
		parts[split] = append(parts[split], img)
	}
	return parts, l.other, nil
}

// hasSplits tells whether every image lies below the folder of a split, and
// some in that of training.
func hasSplits(images []found) bool {
	train := false
	for _, img := range images {
		split, ok := splitNames[img.class()]
		if !ok || len(img.dirs) < 2 {
			return false
		}
		train = train || split == Train
	}
	return train
}

// draw decides by an image's name whether it is held out.
func (f Folder) draw(name string) string {
	share := f.Holdout
	if share == 0 {
		share = 0.1
	}
	sum := sha256.Sum256([]byte(name))
	if float64(binary.BigEndian.Uint32(sum[:]))/(1<<32) < share {
		return Validation
	}
	return Train
}

func (f Folder) fromCSV() (map[string][]found, error) {
	rows, err := readCSV(f.Labels, "file", "label")
	if err != nil {
		return nil, err
	}
	parts := map[string][]found{}
	var faults []error
	for i, row := range rows {
		img, err := f.named(row["file"], row["label"])
		split, known := splitNames[strings.ToLower(row["split"])]
		switch {
		case row["split"] == "":
			split = f.draw(row["file"])
		case !known:
			err = errors.Join(err, fmt.Errorf("split %q is neither train nor validation", row["split"]))
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("sets: %s, row %d: %w", f.Labels, i+1, err))
			continue
		}
		parts[split] = append(parts[split], img)
	}
	return parts, errors.Join(faults...)
}

// named finds the image of a CSV row, which must lie below the folder.
func (f Folder) named(file, label string) (found, error) {
	if !filepath.IsLocal(file) || label == "" {
		return found{}, fmt.Errorf("file %q with label %q: a file below the folder and a label are needed", file, label)
	}
	full := filepath.Join(f.Dir, file)
	info, err := os.Stat(full)
	if err != nil {
		return found{}, err
	}
	return found{dirs: []string{label}, name: filepath.Base(file), rel: filepath.ToSlash(file), at: location{path: full, size: info.Size()}}, nil
}

// readCSV reads a CSV with a line of column names, of which some are required.
func readCSV(name string, required ...string) ([]map[string]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("sets: %w", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("sets: %s: no line of column names: %w", name, err)
	}
	for _, column := range required {
		if !slices.Contains(head, column) {
			return nil, fmt.Errorf("sets: %s: no column %q among %q", name, column, head)
		}
	}
	var rows []map[string]string
	for {
		fields, err := r.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("sets: %s: %w", name, err)
		}
		row := map[string]string{}
		for i, column := range head {
			row[column] = fields[i]
		}
		rows = append(rows, row)
	}
}
