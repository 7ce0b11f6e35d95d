package main

import (
	"fmt"
	"image"

	"github.com/nasnet-go/nasnet/internal/rundir"
)

// scoreTest measures what a network said of the test images, which p lacks yet,
// into a directory. top1 is what the engine counted, -1 if it did not.
func (c *chain) scoreTest(d *rundir.Dir, s *scoring, p predicted, top1 float64) (scored, error) {
	tests, err := c.set.tests()
	if err != nil {
		return scored{}, err
	}
	defer tests.Close() // opened for reading
	p.classes = c.set.Classes
	p.picture = func(i int) (image.Image, error) {
		x, err := tests.At(i)
		if err != nil {
			return nil, err
		}
		return x.Picture()
	}
	for i := range tests.Len() {
		x, err := tests.At(i)
		if err != nil {
			return scored{}, err
		}
		p.images, p.labels = append(p.images, x.Name), append(p.labels, x.Class)
	}
	if p.background = p.set == "imagenet" && len(p.classes) == backgroundClasses; p.background {
		p.classes = p.classes[1:]
	}
	doc, err := s.score(d, p)
	if err == nil && top1 >= 0 && !p.background && doc.Top1 != top1 {
		err = fmt.Errorf("evaluate: the engine counted %.4f right, its logits say %.4f: the labels of the test images are not those it read", top1, doc.Top1)
	}
	return doc, err
}
