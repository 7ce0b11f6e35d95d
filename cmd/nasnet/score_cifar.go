package main

import (
	"fmt"
	"image"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// scoreTest measures what a run's network said of the test images.
func (c *chain) scoreTest(s *scoring, out api.EvalResult) (scored, error) {
	tests, err := c.set.tests()
	if err != nil {
		return scored{}, err
	}
	defer tests.Close() // opened for reading
	p := predicted{
		logits: c.dir.Join(predictionsFile), classes: c.set.Classes, preset: c.config.Model.Name, set: c.config.Data.Set, perSecond: out.ImagesPerSecond,
		picture: func(i int) (image.Image, error) {
			x, err := tests.At(i)
			if err != nil {
				return nil, err
			}
			return x.Picture()
		},
	}
	for i := range tests.Len() {
		x, err := tests.At(i)
		if err != nil {
			return scored{}, err
		}
		p.images, p.labels = append(p.images, x.Name), append(p.labels, x.Class)
	}
	doc, err := s.score(c.dir, p)
	if err == nil && doc.Top1 != out.Top1 {
		err = fmt.Errorf("evaluate: the engine counted %.4f right, its logits say %.4f: the labels of the test images are not those it read", out.Top1, doc.Top1)
	}
	if s.reference && !c.isPreset() {
		c.term.Note("the run's network is not the preset's: %d cells, %d filters", c.model.NormalCells, c.model.Filters)
	}
	return doc, err
}

// isPreset tells whether the network is that of its model's name.
func (c *chain) isPreset() bool {
	m, err := model.Preset(c.config.Model.Name)
	return err == nil && m.NormalCells == c.model.NormalCells && m.Filters == c.model.Filters && m.Cell.String() == c.model.Cell.String()
}
