package main

import (
	"bytes"
	"fmt"
	"image"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/contactsheet"
	"github.com/nasnet-go/nasnet/internal/imagegate"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// boxesSheet is the document of data boxes.
type boxesSheet struct {
	File    string `json:"file"`
	Images  int    `json:"images"`
	Objects int    `json:"objects"`
}

func (a *app) dataBoxesCommand() *cobra.Command {
	var split, out string
	var n int
	var layout contactsheet.Layout
	c := &cobra.Command{
		Use: "boxes DIR --out PNG", Short: "Draw images of a detection set with their boxes, side by side", Args: cobra.ExactArgs(1),
		Long:    "Draw the first images of a split of a detection set, whoever wrote it, with their boxes and labels into one PNG.",
		Example: "  nasnet data boxes coco --split validation --images 24 --out boxes.png",
	}
	f := c.Flags()
	f.StringVar(&out, "out", "", "the PNG")
	f.StringVar(&split, "split", sets.Train, "train | validation, or how else the record files begin")
	f.IntVar(&n, "images", 24, "how many")
	f.IntVar(&layout.Columns, "columns", 6, "images side by side")
	f.IntVar(&layout.Side, "side", 240, "of the square that an image is fitted into, pixels")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if out == "" || n < 1 || layout.Columns < 1 || layout.Side < 1 {
			return usagef("data boxes: want --out PNG, and 1 or more for --images, --columns and --side")
		}
		list, err := sets.FirstLabelled(args[0], split, n)
		if err != nil {
			return err
		}
		doc, tiles := boxesSheet{File: out, Images: len(list)}, make([]contactsheet.Tile, len(list))
		for i, l := range list {
			if tiles[i], err = boxesTile(l); err != nil {
				return fmt.Errorf("%s: %w", l.Filename, err)
			}
			doc.Objects += len(l.Objects)
		}
		layout.Columns = min(layout.Columns, max(1, len(tiles)))
		if err := contactsheet.Write(out, tiles, layout); err != nil {
			return err
		}
		if a.json {
			return a.document(doc)
		}
		a.say("%s: %d images with %d objects", doc.File, doc.Images, doc.Objects)
		return nil
	}
	return c
}

// boxesTile draws one image of a detection set.
func boxesTile(l sets.Labelled) (contactsheet.Tile, error) {
	if _, err := imagegate.Inspect(l.Encoded, 0); err != nil {
		return contactsheet.Tile{}, err
	}
	img, _, err := image.Decode(bytes.NewReader(l.Encoded))
	if err != nil {
		return contactsheet.Tile{}, err
	}
	w, h := float64(img.Bounds().Dx()), float64(img.Bounds().Dy())
	tile := contactsheet.Tile{Image: img, Caption: fmt.Sprintf("%s\nobjects: %d", l.Filename, len(l.Objects))}
	for _, o := range l.Objects {
		label := o.Text
		if label == "" {
			label = strconv.FormatInt(o.Label, 10)
		}
		if o.Crowd {
			label += " (crowd)"
		}
		tile.Boxes = append(tile.Boxes, contactsheet.Box{
			X: float64(o.XMin) * w, Y: float64(o.YMin) * h, W: float64(o.XMax-o.XMin) * w, H: float64(o.YMax-o.YMin) * h, Label: label, Class: int(o.Label),
		})
	}
	return tile, nil
}
