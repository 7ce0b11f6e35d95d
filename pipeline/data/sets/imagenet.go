package sets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

const (
	kindImageNet = "imagenet"
	kindFolder   = "folder"
)

// ImageNet says where the ILSVRC-2012 images lie. Train and Validation may each
// be a directory or a tar; one of them may be left out.
type ImageNet struct {
	Train            string // a folder, or an inner tar, for each synset, as in ILSVRC2012_img_train.tar
	Validation       string // the same, or all images flat with ValidationLabels
	ValidationLabels string // synsets of the flat images in the order of their names, one a line, or lines FILE,SYNSET
	Classes          string // CSV with columns wnid and name: fixes the classes and their texts; default the folders of Train
}

// ConvertImageNet writes train-%05d-of-01024 and validation-%05d-of-00128 with
// the keys of Inception's converter: labels 1..1000 by alphabetical synset, 0
// for the background. PNGs and CMYK JPEGs become RGB JPEGs. An interrupted call
// is resumed by the same call; the same input gives the same bytes.
func ConvertImageNet(ctx context.Context, from ImageNet, c Conversion) (Manifest, error) {
	c = c.orDefault()
	p, err := from.plan()
	if err == nil && c.Out == "" {
		err = errors.New("sets: imagenet: no output directory given")
	}
	if err != nil {
		return Manifest{}, err
	}
	shards := map[string]int{Train: c.TrainShards, Validation: c.ValidationShards}
	for name, usual := range map[string]int{Train: 1024, Validation: 128} {
		if shards[name] == 0 {
			shards[name] = usual
		}
	}
	p.arrange(c, shards)
	return c.run(ctx, p)
}

func (n ImageNet) plan() (plan, error) {
	p := plan{kind: kindImageNet, labelOffset: 1, jpegOnly: true}
	if n.Train == "" && n.Validation == "" {
		return p, errors.New("sets: imagenet: neither training nor validation images given")
	}
	parts := map[string][]found{}
	for _, part := range []struct{ name, root string }{{Train, n.Train}, {Validation, n.Validation}} {
		if part.root == "" {
			continue
		}
		l, err := list(part.root)
		if err != nil {
			return p, err
		}
		if part.name == Validation && n.ValidationLabels != "" {
			if err := labelFlat(l.images, n.ValidationLabels); err != nil {
				return p, err
			}
		}
		if err := checkSynsets(part.root, l.images); err != nil {
			return p, err
		}
		p.passedOver += l.other
		parts[part.name] = l.images
		p.splits = append(p.splits, splitPlan{name: part.name, source: part.root})
	}
	var err error
	if p.classes, err = n.classes(parts); err != nil {
		return p, err
	}
	for i := range p.splits {
		s := &p.splits[i]
		if s.items, err = assign(s.source, parts[s.name], p.classes); err != nil {
			return p, err
		}
	}
	return p, nil
}

// classes returns the classes in the order of their labels: those of the CSV,
// or the synsets of the training images (of the others, where there are none).
func (n ImageNet) classes(parts map[string][]found) ([]Class, error) {
	if n.Classes != "" {
		rows, err := readCSV(n.Classes, "wnid", "name")
		if err != nil {
			return nil, err
		}
		classes := make([]Class, len(rows))
		for i, row := range rows {
			classes[i] = Class{row["wnid"], row["name"]}
		}
		slices.SortFunc(classes, func(a, b Class) int { return strings.Compare(a.Name, b.Name) })
		return classes, nil
	}
	images := parts[Train]
	if images == nil {
		images = parts[Validation]
	}
	return classesOf(images), nil
}

// classesOf returns the folders of images, sorted, as classes.
func classesOf(images []found) []Class {
	names := map[string]bool{}
	for _, f := range images {
		names[f.class()] = true
	}
	var classes []Class
	for _, name := range slices.Sorted(maps.Keys(names)) {
		classes = append(classes, Class{Name: name})
	}
	return classes
}

var synset = regexp.MustCompile(`^n\d{8}$`)

// checkSynsets makes sure that each image lies in the folder of a synset. The
// innermost such folder is its class, whatever lies around it.
func checkSynsets(root string, images []found) error {
	var lost []string
	for i := range images {
		f := &images[i]
		if k := slices.IndexFunc(f.dirs, synset.MatchString); k >= 0 {
			f.dirs = f.dirs[k:]
			continue
		}
		lost = append(lost, f.at.String())
	}
	switch {
	case len(lost) == 0 && len(images) == 0:
		return fmt.Errorf("sets: imagenet: %s holds no images", root)
	case len(lost) == 0:
		return nil
	}
	return fmt.Errorf("sets: imagenet: %d of %d images of %s lie in no folder of a synset (n01440764, …), the first is %s; flat validation images need a file of labels (--val-labels)",
		len(lost), len(images), root, lost[0])
}

// assign gives each image its class and its number.
func assign(root string, images []found, classes []Class) ([]item, error) {
	index := map[string]int{}
	for i, c := range classes {
		index[c.Name] = i
	}
	items := make([]item, len(images))
	unknown := map[string]bool{}
	for i, f := range images {
		class, ok := index[f.class()]
		if !ok {
			unknown[f.class()] = true
		}
		items[i] = item{found: f, number: int64(i), class: class}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("sets: %s: classes that are not among the %d known: %s", root, len(classes), strings.Join(slices.Sorted(maps.Keys(unknown)), ", "))
	}
	return items, nil
}

// labelFlat puts flat images into folders by a file of labels.
func labelFlat(images []found, labels string) error {
	lines, err := readLines(labels)
	if err != nil {
		return err
	}
	byName := map[string]string{}
	var inOrder []string
	for i, line := range lines {
		name, class, named := strings.Cut(line, ",")
		if !named {
			name, class = "", line
		}
		class = strings.TrimSpace(class)
		if !synset.MatchString(class) {
			return fmt.Errorf("sets: %s, line %d: %q is no synset (n01440764, …); ILSVRC's own numbers are in another order than the labels of the records and are not taken", labels, i+1, class)
		}
		if named {
			byName[strings.TrimSpace(name)] = class
		} else {
			inOrder = append(inOrder, class)
		}
	}
	if len(inOrder) > 0 && len(inOrder) != len(images) {
		return fmt.Errorf("sets: %s has %d labels for %d images", labels, len(inOrder), len(images))
	}
	slices.SortStableFunc(images, func(a, b found) int { return strings.Compare(a.name, b.name) })
	for i := range images {
		class, ok := byName[images[i].name]
		switch {
		case ok:
		case i < len(inOrder):
			class = inOrder[i]
		default:
			return fmt.Errorf("sets: %s has no label for %s", labels, images[i].name)
		}
		images[i].dirs = []string{class}
	}
	return nil
}

// readLines returns the lines of a text file that hold anything.
func readLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("sets: %w", err)
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("sets: %s: %w", path, err)
	}
	return lines, nil
}
