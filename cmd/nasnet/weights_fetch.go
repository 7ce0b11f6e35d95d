package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/libtf"
	"github.com/nasnet-go/nasnet/internal/pretrained"
)

// originFile says, beside the weights, where they came from.
const originFile = "origin.json"

func (a *app) weightsFetchCommand() *cobra.Command {
	var o pretrained.Options
	background := false
	r := api.WeightsRequest{From: "slim", To: "checkpoint"}
	c := &cobra.Command{
		Use: "fetch nasnet-a-large|nasnet-a-mobile", Short: "Fetch the weights that slim published, and import them", Args: cobra.ExactArgs(1),
		Long: "Download a checkpoint that slim published of NASNet-A on ImageNet, check its hash and import it. What is fetched lies\n" +
			"in the cache; a transfer that was interrupted goes on. The hash is the MD5 that the server states, or --sha256; the\n" +
			"SHA-256 of the first fetch is kept, and another content under that name is refused.",
		Example: "  nasnet weights fetch nasnet-a-mobile --out weights/mobile\n  nasnet weights fetch nasnet-a-large --source nasnet-a_large_04_10_2017.tar.gz --out weights/large",
	}
	f := c.Flags()
	f.StringVar(&r.Out, "out", "", "directory for the weights (default: weights/MODEL)")
	f.StringVar(&o.Source, "source", "", "a local copy of the archive, instead of the network")
	f.StringVar(&o.Mirror, "mirror", "", "another address of the archive")
	f.StringVar(&o.SHA256, "sha256", "", "hash that the archive must have")
	f.StringVar(&r.Averages, "averages", "auto", "take the moving averages of the weights: auto (if there are any) | yes | no")
	f.BoolVar(&background, "background", false, "keep slim's class 0, the background: 1001 classes")
	c.RunE = func(c *cobra.Command, args []string) error {
		i := slices.IndexFunc(pretrained.Archives, func(p pretrained.Archive) bool { return p.Model == args[0] })
		if i < 0 {
			return usagef("weights fetch: no weights of %q were published; want nasnet-a-large or nasnet-a-mobile", args[0])
		}
		o.Archive = pretrained.Archives[i]
		if r.Out == "" {
			r.Out = filepath.Join("weights", o.Model)
		}
		r.DropBackground = !background
		if err := errors.Join(checkWeights(r, o.Model, "--source", o.URL), o.Check()); err != nil {
			return usagef("%v", err)
		}
		if err := freeOut(r.Out); err != nil {
			return err
		}
		return a.fetchWeights(c.Context(), o, r)
	}
	return c
}

// freeOut refuses a directory of weights that is there.
func freeOut(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return usagef("weights: %s is there already; choose another --out", dir)
	}
	return nil
}

// fetched is the document of weights fetch.
type fetched struct {
	imported
	Origin pretrained.Origin `json:"origin"`
}

func (a *app) fetchWeights(ctx context.Context, o pretrained.Options, r api.WeightsRequest) (err error) {
	if o.Cache, err = libtf.CacheDir(os.Getenv); err != nil {
		return err
	}
	bar := a.term.Bar("fetch", "bytes")
	o.Progress = func(done, total int64) { bar.Set(done, total, "") }
	path, origin, err := pretrained.Obtain(ctx, o)
	bar.End()
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "nasnet-weights-")
	if err != nil {
		return fmt.Errorf("weights: %w", err)
	}
	defer os.RemoveAll(tmp) // the archive stays
	if r.Source, err = pretrained.Unpack(path, tmp); err != nil {
		return err
	}
	out := fetched{Origin: origin}
	if out.imported, err = a.importWeights(ctx, r, o.Model); err != nil {
		return err
	}
	text, err := json.MarshalIndent(origin, "", "  ")
	if err == nil {
		err = durable.WriteFile(filepath.Join(out.Dir, originFile), append(text, '\n'), 0o644)
	}
	if err != nil || a.json {
		return errors.Join(err, a.document(out))
	}
	a.say("%d variables, %d values in %s", out.Variables, out.Values, out.Dir)
	a.say("  from %s, checked: %s, SHA-256 %s", origin.From, origin.Checked, origin.SHA256)
	a.say("  classify with: nasnet predict --model %s --weights %s IMAGE.jpg", filepath.Join(out.Dir, "model.yaml"), out.Dir)
	return nil
}
