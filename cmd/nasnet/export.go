package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

func (a *app) exportCommand() *cobra.Command {
	var number int64
	c := &cobra.Command{
		Use: "export", Short: "Write a run's network as a SavedModel, and check it in a new process", Args: cobra.NoArgs,
		Long: "Write a run's network as the next version of RUN/export. A new process loads it and compares every\n" +
			"signature with the trainer's network on real images; only then it appears under its number.",
		Example: "  nasnet export --run runs/small\n  nasnet export --run runs/small --optimize=false\n  nasnet export --run runs/small --weights bfloat16 --features",
	}
	best := bestFlag(c)
	c.Flags().Int64Var(&number, "version", 0, "number of the version (default: the next one)")
	c.Flags().BoolFunc("optimize", "fold and freeze the network; =false: variables that can be trained on (export.optimize)", func(v string) error {
		a.short = append(a.short, "export.optimize="+v)
		return nil
	})
	a.shortForm(c, "weights", "export.weights", "float32 | float16 | bfloat16: how weights are stored (export.weights)")
	c.Flags().BoolFunc("features", "a signature for pooled features and the last map too (export.features)", func(v string) error {
		a.short = append(a.short, "export.features="+v)
		return nil
	})
	c.RunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("version") && number < 1 {
			return usagef("export: --version %d; want 1 or more", number)
		}
		s, checkpoint, accuracy, err := a.evaluated(c, *best)
		if err != nil {
			return err
		}
		defer s.dir.Close()
		if number == 0 {
			number = nextVersion(s.dir.Join("export"))
		} else if _, err := os.Stat(s.dir.Join("export", strconv.FormatInt(number, 10))); err == nil {
			return usagef("export: version %d exists in %s; versions are never overwritten, choose a higher number", number, s.dir.Join("export"))
		}
		out, err := s.export(c.Context(), checkpoint, accuracy, number)
		if err != nil {
			return err
		}
		return a.document(out)
	}
	return c
}

// nextVersion is one more than the highest version in dir.
func nextVersion(dir string) int64 {
	entries, err := os.ReadDir(dir)
	if err != nil { // not there yet
		return 1
	}
	highest := int64(0)
	for _, e := range entries {
		if n, err := strconv.ParseInt(e.Name(), 10, 64); err == nil {
			highest = max(highest, n)
		}
	}
	return highest + 1
}

// exported is the export stage's record.
type exported struct {
	api.ExportResult
	Check api.CheckExportResult `json:"check"`
}

// export writes a version, has a new process check it, and publishes it. A version
// that is there already, left by a killed attempt, is checked as it is:
// versions appear whole and checked, or not at all.
func (c *chain) export(ctx context.Context, checkpoint string, accuracy api.EvalResult, number int64) (out exported, err error) {
	base := c.dir.Join("export")
	final := filepath.Join(base, strconv.FormatInt(number, 10))
	if _, err := os.Stat(final); err == nil {
		out.Dir = final
		err = c.checkExport(ctx, checkpoint, &out)
		return out, err
	}
	staging := filepath.Join(base, ".unchecked") // the run is locked: nobody else's
	if err := os.RemoveAll(staging); err != nil {
		return out, fmt.Errorf("export: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	e := c.config.Export
	r := api.ExportRequest{
		Model: c.model, Checkpoint: checkpoint, Averages: c.config.Train.EMA.Decay > 0, Name: e.Name, Dir: staging, Version: number,
		Classes: slices.Clone(c.set.Classes), Standardize: c.config.Data.Augment.Standardize, Eval: preparation(c.config.Eval), Optimize: e.Optimize, Weights: e.Weights, Features: e.Features,
		Origin: api.Origin{Run: c.dir.Path, Version: version, Accuracy: &accuracy},
	}
	if err := call(ctx, c.launcher, engine.Job{Command: api.Export, Request: r}, &out.ExportResult); err != nil {
		return out, err
	}
	if err := c.checkExport(ctx, checkpoint, &out); err != nil {
		return out, err
	}
	if err := durable.Rename(out.Dir, final); err != nil {
		return out, fmt.Errorf("export: publish %s: %w", final, err)
	}
	out.Dir = final
	return out, nil
}

// checkExport has a new process load the version and compare it.
func (c *chain) checkExport(ctx context.Context, checkpoint string, out *exported) error {
	err := call(ctx, c.launcher, engine.Job{Command: api.CheckExport, Request: api.CheckExportRequest{
		SavedModel: out.Dir, Model: c.model, Checkpoint: checkpoint, Averages: c.config.Train.EMA.Decay > 0,
		Data: c.set.request(c.config, 0, 0), Images: min(c.config.Export.CheckImages, c.set.Tests),
		Expected: c.dir.Join(predictionsFile), Threads: threads(c.config.Engine),
	}}, &out.Check)
	if err != nil {
		return err
	}
	for name, difference := range out.Check.Signatures {
		if allowed := c.config.Export.Allowed(out.Check.LargestLogit); !(difference <= allowed) {
			return fmt.Errorf("the SavedModel's signature %s differs from the trainer's network by %g, allowed is %g; it was not published", name, difference, allowed)
		}
	}
	return nil
}
