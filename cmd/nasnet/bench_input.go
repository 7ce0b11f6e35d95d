package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/term"
)

// inputBench is what is timed.
type inputBench struct {
	records, images, scripts, keras, torch string
	size, batch                            int64
	count                                  int64
	rounds                                 int
}

// inputRow is one way to prepare images.
type inputRow struct {
	Runner string    `json:"runner"`
	Rate   float64   `json:"images_per_second"` // median of the rounds
	Rates  []float64 `json:"images_per_second_all"`
	Growth int64     `json:"memory_growth_bytes,omitempty"`
	Ratio  float64   `json:"nasnet_ratio"`    // nasnet's rate over this one's
	Decode float64   `json:"share_of_decode"` // of the rate at which the images are read and decoded alone
	Error  string    `json:"error,omitempty"`
	run    func(ctx context.Context) (api.InputRateResult, error)
}

func (a *app) benchInputCommand() *cobra.Command {
	var b inputBench
	c := &cobra.Command{
		Use: "input --records DIR", Short: "Training images a second from record files, beside tf.data and torchvision", Args: cobra.NoArgs,
		Long: "Time the training input over record files of JPEGs: read, decode a random box, resize, mirror, change colours. Beside it,\n" +
			"reading and decoding alone, and where they are, Python's tf.data with the same operations and torchvision's DataLoader\n" +
			"with two workers on the image files, by turns. Medians of the rounds.",
		Example: "  nasnet bench input --records imagenet --json\n  nasnet bench input --records imagenet --tensorflow-python PYTHON --torch-python PYTHON --images DIR",
	}
	f := c.Flags()
	f.StringVar(&b.records, "records", "", "directory of record files (nasnet data imagenet)")
	f.StringVar(&b.images, "images", "", "directory of the same images in class folders, for torchvision")
	f.StringVar(&b.keras, "tensorflow-python", "", "Python with TensorFlow")
	f.StringVar(&b.torch, "torch-python", "", "Python with PyTorch and torchvision")
	f.StringVar(&b.scripts, "peers", "bench/peers", "directory of the peers' scripts")
	f.Int64Var(&b.size, "size", 224, "pixels a side")
	f.Int64Var(&b.batch, "batch", 32, "images a batch")
	f.Int64Var(&b.count, "count", 3000, "images timed in a run")
	f.IntVar(&b.rounds, "rounds", 3, "runs of each")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if b.records == "" || b.count < 1 || b.batch < 1 || b.rounds < 1 || b.size < 1 {
			return usagef("bench input: want --records DIR, and 1 or more for --size, --batch, --count and --rounds")
		}
		return a.benchInput(c.Context(), b)
	}
	return c
}

func (a *app) benchInput(ctx context.Context, b inputBench) error {
	files, err := filepath.Glob(filepath.Join(b.records, "train-*-of-*"))
	if err != nil || len(files) == 0 {
		return usagef("bench input: %s has no record files train-*-of-*; `nasnet data imagenet` writes them", b.records)
	}
	l, err := a.launcher(ctx, configs.Engine{})
	if err != nil {
		return err
	}
	ours := func(decode bool) func(context.Context) (api.InputRateResult, error) {
		return func(ctx context.Context) (out api.InputRateResult, err error) {
			r := api.InputRateRequest{Files: files, Size: b.size, Batch: b.batch, Images: b.count, Decode: decode}
			err = call(ctx, l, engine.Job{Command: api.InputRate, Request: r}, &out)
			return out, err
		}
	}
	rows := []inputRow{{Runner: "nasnet", run: ours(false)}, {Runner: "decode alone", run: ours(true)}}
	if b.keras != "" {
		rows = append(rows, inputRow{Runner: "tf.data in Python", run: b.peer(b.keras, "tfdata", files...)})
	}
	if b.torch != "" && b.images != "" {
		rows = append(rows, inputRow{Runner: "torchvision, 2 workers", run: b.peer(b.torch, "torch", b.images)})
	}
	errs := a.byTurns("input", len(rows), b.rounds, func(i int) (string, error) {
		out, err := rows[i].run(ctx)
		if err != nil {
			return "", err
		}
		rows[i].Rates, rows[i].Growth = append(rows[i].Rates, out.ImagesPerSecond), out.GrowthBytes
		return fmt.Sprintf("%s %.0f images/s", rows[i].Runner, out.ImagesPerSecond), nil
	})
	for i, err := range errs {
		if err != nil {
			rows[i].Error = err.Error()
		}
	}
	return a.inputRows(rows)
}

func (b inputBench) peer(python, kind string, paths ...string) func(context.Context) (api.InputRateResult, error) {
	return func(ctx context.Context) (out api.InputRateResult, err error) {
		args := append([]string{
			"--kind", kind, "--size", strconv.FormatInt(b.size, 10), "--batch", strconv.FormatInt(b.batch, 10), "--images", strconv.FormatInt(b.count, 10),
		}, paths...)
		text, err := runPeer(ctx, python, filepath.Join(b.scripts, "input.py"), args...)
		if err != nil {
			return out, err
		}
		err = json.Unmarshal(text, &out)
		return out, err
	}
}

func (a *app) inputRows(rows []inputRow) error {
	var lines [][]string
	for i := range rows {
		rows[i].Rate = median(rows[i].Rates)
	}
	for i := range rows {
		r := &rows[i]
		if r.Rate > 0 {
			r.Ratio = rows[0].Rate / r.Rate
		}
		if rows[1].Rate > 0 {
			r.Decode = r.Rate / rows[1].Rate
		}
		lines = append(lines, []string{r.Runner, fmt.Sprintf("%.0f", r.Rate), fmt.Sprintf("%.2f", r.Ratio), fmt.Sprintf("%.0f %%", 100*r.Decode), r.Error})
	}
	if a.json {
		return a.document(rows)
	}
	return term.Table(a.stdout, []string{"by", "images/s", "nasnet is x times", "of decoding alone", ""}, lines)
}
