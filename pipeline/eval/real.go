package eval

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
)

// Real are the reassessed labels of ImageNet's 50,000 validation images (Beyer
// et al., arXiv 2006.07159): for each, all classes 0..999 that are to be seen.
type Real struct {
	labels [][]int // by image number, from 0
}

// realClasses is how many classes the reassessed labels name.
const realClasses = 1000

// ReadReal reads real.json, as it is published or compressed by gzip.
func ReadReal(name string) (*Real, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("eval: ReaL: %w", err)
	}
	defer f.Close()
	r, err := parseReal(f)
	if err != nil {
		return nil, fmt.Errorf("eval: ReaL: %s: %w; want real.json of google-research/reassessed-imagenet", name, err)
	}
	return r, nil
}

func parseReal(from io.Reader) (*Real, error) {
	b := bufio.NewReader(from)
	from = b
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if from, err = gzip.NewReader(b); err != nil {
			return nil, err
		}
	}
	const maxBytes = 16 << 20 // the file has 0.6 MB
	r := &Real{}
	if err := json.NewDecoder(io.LimitReader(from, maxBytes)).Decode(&r.labels); err != nil {
		return nil, err
	}
	for i, list := range r.labels {
		for _, class := range list {
			if class < 0 || class >= realClasses {
				return nil, fmt.Errorf("image %d has class %d, not one of 0..%d", i+1, class, realClasses-1)
			}
		}
	}
	if len(r.labels) == 0 {
		return nil, errors.New("no images")
	}
	return r, nil
}

// Counted is how many images have a label at all.
func (r *Real) Counted() int {
	n := 0
	for _, list := range r.labels {
		if len(list) > 0 {
			n++
		}
	}
	return n
}

// validationName is how ImageNet's validation images are called, in whatever
// folder and whatever the suffix.
var validationName = regexp.MustCompile(`^ILSVRC2012_val_(\d{8})(\.\w+)?$`)

// Of returns the classes of the image of that name, ILSVRC2012_val_00000001 to
// 00050000. None: the image does not count.
func (r *Real) Of(image string) ([]int, error) {
	m := validationName.FindStringSubmatch(path.Base(image))
	if m == nil {
		return nil, fmt.Errorf("eval: ReaL: %q is no validation image of ImageNet (ILSVRC2012_val_00000001 …)", image)
	}
	number, err := strconv.Atoi(m[1])
	if err != nil || number < 1 || number > len(r.labels) {
		return nil, fmt.Errorf("eval: ReaL: image %s is not among the %d that are labelled", image, len(r.labels))
	}
	return r.labels[number-1], nil
}

// realTally counts by reassessed labels.
type realTally struct{ images, right int64 }

// count does nothing without labels. The prediction must be a class 0..999:
// outputs of 1001 classes are shifted before (WithoutBackground).
func (t *realTally) count(r *Real, p Prediction) error {
	if r == nil {
		return nil
	}
	if p.Predicted >= realClasses {
		return fmt.Errorf("eval: ReaL: image %s: class %d is not in 0..%d; outputs of 1001 classes must leave out the background first", p.Image, p.Predicted, realClasses-1)
	}
	labels, err := r.Of(p.Image)
	if err != nil || len(labels) == 0 {
		return err
	}
	t.images++
	if slices.Contains(labels, p.Predicted) {
		t.right++
	}
	return nil
}

// RealScore is the accuracy by reassessed labels: a prediction is right if it is
// among an image's labels; images without a label do not count.
type RealScore struct {
	RealImages int64      `json:"real_images"`
	RealTop1   float64    `json:"real_top1"`
	RealTop1CI [2]float64 `json:"real_top1_ci95"`
}

// score is nil where nothing was counted.
func (t realTally) score() *RealScore {
	if t.images == 0 {
		return nil
	}
	return &RealScore{RealImages: t.images, RealTop1: share(t.right, t.images), RealTop1CI: Wilson(t.right, t.images, z95)}
}
