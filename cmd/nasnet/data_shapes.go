package main

import (
	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

func (a *app) dataShapesCommand() *cobra.Command {
	var s sets.Shapes
	c := &cobra.Command{
		Use: "shapes --images N --out DIR", Short: "Draw a synthetic detection set", Args: cobra.NoArgs,
		Long: "Draw a detection set for demonstrations and tests: one to three discs, squares and triangles an image, on made-up\n" +
			"backgrounds or on your photographs, of which none is behind images of both splits. DIR then holds the record files, the\n" +
			"images and the annotations in COCO's format (annotations/train.json, annotations/validation.json). The same seed draws\n" +
			"the same set.",
		Example: "  nasnet data shapes --images 2000 --out shapes\n  nasnet data shapes --images 2000 --backgrounds photos --out shapes",
	}
	f := c.Flags()
	f.IntVar(&s.Images, "images", 0, "training images")
	f.IntVar(&s.ValidationImages, "val-images", 0, "validation images; 0: a tenth of --images")
	f.IntVar(&s.Size, "size", 0, "width and height of an image in pixels; 0: 128")
	f.StringVar(&s.Backgrounds, "backgrounds", "", "directory or tar of photographs; without, backgrounds are made up")
	o := a.conversionFlags(c)
	f.Uint64Var(&o.Seed, "seed", 0, "of everything that is drawn, and of the order of the images; 0: 12345")
	f.Lookup("skip").Hidden = true // nothing drawn is bad
	c.RunE = func(c *cobra.Command, _ []string) error {
		if s.Images < 1 {
			return usagef("give --images N, the number of training images")
		}
		return a.convertSet(o, func() (sets.Manifest, error) { return sets.DrawShapes(c.Context(), s, *o) })
	}
	return c
}
