package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/contactsheet"
	"github.com/nasnet-go/nasnet/pipeline/data/sets/indl"
)

// sheetImages are how many drawings a contact sheet shows.
const sheetImages = 40

func (a *app) dataINDLCommand() *cobra.Command {
	var o indl.Options
	var picture string
	c := &cobra.Command{
		Use: "indl --set N --out DIR", Short: "Draw a set of geometric illusions (InDL), as a folder of images", Args: cobra.NoArgs,
		Long: "Draw one of the five sets of geometric illusions of InDL (arXiv 2305.17716): 1 Hering and Wundt, 2 Müller-Lyer,\n" +
			"3 Poggendorff, 4 vertical-horizontal, 5 Zöllner. Images of the class `equal` have lines that are straight, equally long\n" +
			"or parallel, whatever it looks like; those of `different` have not. A fifth are test images. label.csv has the size of\n" +
			"the difference and all parameters of each drawing.",
		Example: "  nasnet data indl --set 2 --out indl-2\n  nasnet data indl --set 5 --images 2000 --seed 7 --out indl-5 --sheet indl-5.png",
	}
	// Here --set is the set; no configuration is read that the other --set could change.
	c.Flags().IntVar(&o.Set, "set", 0, "which set: 1 to 5")
	c.Flags().IntVar(&o.Images, "images", 2000, "how many, a fifth of them for testing")
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "of every random number")
	c.Flags().StringVar(&o.Out, "out", "", "directory, which must not exist yet")
	c.Flags().StringVar(&picture, "sheet", "", fmt.Sprintf("PNG with the first %d drawings, to be looked at", sheetImages))
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.Check(); err != nil {
			return usagef("%v", err)
		}
		bar := a.term.Bar("draw", "images")
		o.Progress = func(done, total int64) { bar.Set(done, total, "") }
		set, err := indl.Draw(c.Context(), o)
		bar.End()
		if err == nil && picture != "" {
			err = writeINDLSheet(picture, o)
		}
		if err != nil {
			return err
		}
		if a.json {
			return a.document(set)
		}
		train, test := set.Counts["train"], set.Counts["test"]
		a.say("%s: %s, %d training images (%d different, %d equal) and %d test images (%d different, %d equal)",
			set.Dir, set.Title, train[0]+train[1], train[0], train[1], test[0]+test[1], test[0], test[1])
		return nil
	}
	return c
}

// writeINDLSheet shows the first drawings of a set with their labels.
func writeINDLSheet(name string, o indl.Options) error {
	var tiles []contactsheet.Tile
	for i := range min(sheetImages, o.Images) {
		d := indl.One(o.Set, o.Seed, i)
		tiles = append(tiles, contactsheet.Tile{Image: d.Image, Caption: fmt.Sprintf("%s\nvalue %.3g", indl.Classes[d.Label], d.Value())})
	}
	return contactsheet.Write(name, tiles, contactsheet.Layout{Columns: 8, Side: 128})
}
