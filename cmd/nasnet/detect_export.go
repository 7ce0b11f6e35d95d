package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// detectorExported is the record of a detector's export.
type detectorExported struct {
	api.ExportResult
	Images     int     `json:"images"`     // compared
	Detections int     `json:"detections"` // on them
	MaxBox     float64 `json:"max_box_difference"`
	MaxScore   float64 `json:"max_score_difference"`
}

func (a *app) detectExportCommand() *cobra.Command {
	var annotations string
	c := &cobra.Command{
		Use: "export --run DIR", Short: "Write a run's detector as a SavedModel, and check it in a new process", Args: cobra.NoArgs,
		Long: "Write a run's detector as the next version of RUN/export, to be called as TensorFlow's detection models are. A new\n" +
			"process loads it and finds the objects of validation images; only if they are those of `nasnet detect eval` it appears\n" +
			"under its number.",
		Example: "  nasnet detect export --run runs/shapes\n  nasnet serve --model_name shapes --model_base_path runs/shapes/export",
	}
	a.dataFlags(c, &annotations)
	c.Flags().Lookup("annotations").Hidden = true
	weights := a.weightsChoice(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		d, checkpoint, err := a.trainedDetection(c, weights)
		if err != nil {
			return err
		}
		defer d.dir.Close()
		if len(d.set.Validation) == 0 {
			return usagef("%s has no validation images to check the export on", d.config.Data.Dir)
		}
		out, err := d.export(c.Context(), checkpoint, nextVersion(d.dir.Join("export")))
		if err != nil {
			return err
		}
		return a.document(out)
	}
	return c
}

// export writes a version, has new processes compare it with the checkpoint's
// detector, and publishes it.
func (d *detection) export(ctx context.Context, checkpoint string, number int64) (out detectorExported, err error) {
	base := d.dir.Join("export")
	staging := filepath.Join(base, ".unchecked") // the run is locked: nobody else's
	if err := os.RemoveAll(staging); err != nil {
		return out, fmt.Errorf("export: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	if err := call(ctx, d.launcher, engine.Job{Command: api.DetectExport, Request: api.DetectExportRequest{
		DetectorSource: d.source(checkpoint), Dir: staging, Version: number, Classes: d.names, Name: d.config.Export.Name,
		Origin: api.Origin{Run: d.dir.Path, Version: version},
	}}, &out.ExportResult); err != nil {
		return out, err
	}
	saved := api.DetectorSource{SavedModel: out.Dir, Threads: threads(d.config.Engine)}
	if err := d.compare(ctx, d.source(checkpoint), saved, staging, &out); err != nil {
		return out, err
	}
	final := filepath.Join(base, strconv.FormatInt(number, 10))
	if err := durable.Rename(out.Dir, final); err != nil {
		return out, fmt.Errorf("export: publish %s: %w", final, err)
	}
	out.Dir = final
	return out, nil
}

// compare finds the objects of validation images with both.
func (d *detection) compare(ctx context.Context, trained, saved api.DetectorSource, dir string, out *detectorExported) error {
	var lists [2][]result
	for i, from := range []api.DetectorSource{trained, saved} {
		path := filepath.Join(dir, fmt.Sprintf("detections-%d.json", i))
		found, err := d.find(ctx, from, d.config.Export.CheckImages, path)
		if err != nil {
			return err
		}
		out.Images, out.Detections = found.Images, found.Detections
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &lists[i])
		}
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	if len(lists[0]) != len(lists[1]) {
		return fmt.Errorf("the SavedModel finds %d objects, the trained detector %d; it was not published", len(lists[1]), len(lists[0]))
	}
	side := float64(max(d.detector.Model.Input[0], d.detector.Model.Input[1]))
	for i, a := range lists[0] {
		b := lists[1][i]
		if a.Image != b.Image || a.Category != b.Category {
			return fmt.Errorf("the SavedModel's object %d is of image %d and category %d, the trained detector's of %d and %d; it was not published", i, b.Image, b.Category, a.Image, a.Category)
		}
		out.MaxScore = max(out.MaxScore, math.Abs(a.Score-b.Score))
		for k := range a.Box {
			out.MaxBox = max(out.MaxBox, math.Abs(a.Box[k]-b.Box[k])/side)
		}
	}
	if allowed := d.config.Export.Tolerance; !(out.MaxBox <= allowed && out.MaxScore <= allowed) {
		return fmt.Errorf("the SavedModel's boxes differ from the trained detector's by %g of the image's side and its scores by %g, allowed is %g; it was not published", out.MaxBox, out.MaxScore, allowed)
	}
	return nil
}

// result is an entry of a result file.
type result struct {
	Image    int64      `json:"image_id"`
	Category int64      `json:"category_id"`
	Box      [4]float64 `json:"bbox"`
	Score    float64    `json:"score"`
}
