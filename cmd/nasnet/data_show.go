package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/contactsheet"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
)

// shown is the document of data show.
type shown struct {
	File   string  `json:"file"`
	Split  string  `json:"split"`
	Shape  []int64 `json:"shape"` // [N,H,W,C]
	Labels []int64 `json:"labels"`
}

func (a *app) dataShowCommand() *cobra.Command {
	var split, out string
	var n int64
	var layout contactsheet.Layout
	c := &cobra.Command{
		Use: "show --config NAME|FILE --out PNG", Short: "Draw what a network will see of its data, with labels", Args: cobra.NoArgs,
		Long: "Draw the first images of the configured training as the network gets them, cropped and augmented, into one PNG; with\n" +
			"--split test, as it is measured. Each image's values are stretched to what can be seen.",
		Example: "  nasnet data show --config cifar10-train --out seen.png\n" +
			"  nasnet data show --config folder-small --set data.dir=flowers --set data.augment.rand_augment.layers=2 --out seen.png",
	}
	f := c.Flags()
	f.StringVar(&out, "out", "", "the PNG")
	f.StringVar(&split, "split", api.TrainSplit, "train | test")
	f.Int64Var(&n, "images", 24, "how many")
	f.IntVar(&layout.Columns, "columns", 6, "images side by side")
	f.IntVar(&layout.Side, "side", 160, "of the square that an image is fitted into, pixels")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if out == "" || n < 1 || layout.Columns < 1 || layout.Side < 1 || (split != api.TrainSplit && split != api.TestSplit) {
			return usagef("data show: want --out PNG, --split train or test, and 1 or more for --images, --columns and --side")
		}
		doc, err := a.show(c.Context(), split, out, n, layout)
		if err != nil {
			return err
		}
		if a.json {
			return a.document(doc)
		}
		a.say("%s: %d images of the %s split, %d x %d pixels", doc.File, doc.Shape[0], doc.Split, doc.Shape[2], doc.Shape[1])
		return nil
	}
	return c
}

// show asks the engine for images and lays them out.
func (a *app) show(ctx context.Context, split, out string, n int64, layout contactsheet.Layout) (doc shown, err error) {
	config, err := a.load()
	if err != nil {
		return doc, err
	}
	set, err := a.images(ctx, config)
	if err != nil {
		return doc, err
	}
	m, err := set.network(config)
	if err != nil {
		return doc, err
	}
	l, err := a.launcher(ctx, config.Engine)
	if err != nil {
		return doc, err
	}
	dir, err := os.MkdirTemp("", "nasnet-show-")
	if err != nil {
		return doc, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	pixels := filepath.Join(dir, "seen.npy")
	var r api.ShowResult
	err = call(ctx, l, engine.Job{Command: api.Show, Request: api.ShowRequest{
		Model: m, Data: set.request(config, 0, config.Data.Validation), Split: split, Seed: config.Seed, Images: n, Output: pixels, Threads: threads(config.Engine),
	}}, &r)
	if err != nil {
		return doc, set.blamed(ctx, err)
	}
	values, shape, err := npy.Read(pixels)
	if err != nil {
		return doc, err
	}
	tiles, size := make([]contactsheet.Tile, len(r.Labels)), int(shape[1]*shape[2]*shape[3])
	for i, label := range r.Labels {
		tiles[i] = contactsheet.Tile{Image: contactsheet.Stretched(values[i*size:][:size], int(shape[2])), Caption: set.Classes[label]}
	}
	layout.Columns = min(layout.Columns, len(tiles))
	return shown{File: out, Split: split, Shape: r.Shape, Labels: r.Labels}, contactsheet.Write(out, tiles, layout)
}
