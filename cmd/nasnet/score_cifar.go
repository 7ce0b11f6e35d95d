package main

import (
	"fmt"
	"image"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// scoreTest measures what a run's network said of CIFAR-10's test images.
func (c *chain) scoreTest(s *scoring, out api.EvalResult) (scored, error) {
	records, err := c.set.TestRecords()
	if err != nil {
		return scored{}, err
	}
	defer records.Close() // opened for reading
	p := predicted{
		logits: c.dir.Join(predictionsFile), classes: c.set.Classes, preset: c.config.Model.Name, set: "cifar10", perSecond: out.ImagesPerSecond,
		picture: func(i int) (image.Image, error) { im, err := records.At(i); return im.RGBA(), err },
	}
	for i := range records.Len() {
		im, err := records.At(i)
		if err != nil {
			return scored{}, err
		}
		p.images, p.labels = append(p.images, cifarName(i)), append(p.labels, im.Label)
	}
	doc, err := s.score(c.dir, p)
	if err == nil && doc.Top1 != out.Top1 {
		err = fmt.Errorf("evaluate: the engine counted %.4f right, its logits say %.4f: the labels of %s are not those it read", out.Top1, doc.Top1, c.set.Test)
	}
	if s.reference && !c.isPreset() {
		c.term.Note("the run's network is not the preset's: %d cells, %d filters", c.model.NormalCells, c.model.Filters)
	}
	return doc, err
}

// cifarName is how predictions name a test image, which has no file.
func cifarName(i int) string { return fmt.Sprintf("test/%05d", i) }

// isPreset tells whether the network is that of its model's name.
func (c *chain) isPreset() bool {
	m, err := model.Preset(c.config.Model.Name)
	return err == nil && m.NormalCells == c.model.NormalCells && m.Filters == c.model.Filters && m.Cell.String() == c.model.Cell.String()
}
