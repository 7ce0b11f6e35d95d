package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// weightsPrefix is the checkpoint's name in a directory of weights, as in a
// training's checkpoints.
const weightsPrefix = "model.ckpt"

func (a *app) weightsCommand() *cobra.Command {
	c := &cobra.Command{Use: "weights", Short: "Fetch, import and export weights: slim's checkpoints, Keras' as .npz"}
	c.AddCommand(a.weightsImportCommand(), a.weightsExportCommand(), a.weightsFetchCommand())
	return c
}

// weightsFlags are those of import and export alike.
func weightsFlags(c *cobra.Command, r *api.WeightsRequest, name *string) {
	c.Flags().StringVar(name, "model", "", "built-in model or model file")
	c.Flags().StringVar(&r.Out, "out", "", "where to write")
	c.Flags().StringVar(&r.Averages, "averages", "auto", "take the moving averages of the weights: auto (if there are any) | yes | no")
	c.Flags().BoolVar(&r.DropBackground, "drop-background", false, "leave out slim's class 0: 1001 classes become 1000")
}

func (a *app) weightsImportCommand() *cobra.Command {
	var name string
	r := api.WeightsRequest{To: "checkpoint"}
	c := &cobra.Command{
		Use: "import", Short: "Take over weights of slim (TensorFlow checkpoint) or Keras (.npz)", Args: cobra.NoArgs,
		Long: "Take over weights into a directory that predict and train read: a checkpoint and the\n" +
			"model file beside it. Every variable must fit; what does not is listed. How to write\n" +
			"a Keras model's weights as .npz is in docs/weights.md.",
		Example: "  nasnet weights import --from slim --model nasnet-a-mobile --drop-background --source model.ckpt --out weights/mobile\n" +
			"  nasnet weights import --from npz --model nasnet-a-large --source nasnet-large.npz --out weights/large",
	}
	weightsFlags(c, &r, &name)
	c.Flags().StringVar(&r.From, "from", "slim", "slim | npz")
	c.Flags().StringVar(&r.Source, "source", "", "checkpoint: its prefix, its .index file or its directory; or an .npz")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkWeights(r, name, "--source", r.Source); err != nil {
			return err
		}
		if err := freeOut(r.Out); err != nil {
			return err
		}
		out, err := a.importWeights(c.Context(), r, name)
		if err != nil {
			return err
		}
		if a.json {
			return a.document(out)
		}
		a.say("%d variables, %d values in %s", out.Variables, out.Values, out.Dir)
		if out.Averages > 0 {
			a.say("  %d of them are moving averages; --averages no takes the raw weights", out.Averages)
		}
		if len(out.Ignored) > 0 {
			a.say("  left out, as no weights: %s", strings.Join(out.Ignored[:min(5, len(out.Ignored))], ", "))
		}
		a.say("  classify with: nasnet predict --model %s --weights %s --input IMAGES.npy --output LOGITS.npy", filepath.Join(out.Dir, "model.yaml"), out.Dir)
		return nil
	}
	return c
}

// checkWeights refuses a request that lacks something.
func checkWeights(r api.WeightsRequest, model, flag, path string) error {
	switch {
	case model == "" || path == "" || r.Out == "":
		return usagef("weights: give --model, %s and --out", flag)
	case r.From != "slim" && r.From != "npz":
		return usagef("weights: --from is %q; want slim or npz", r.From)
	case r.To != "npz" && r.To != "checkpoint":
		return usagef("weights: --to is %q; want npz or checkpoint", r.To)
	case !slices.Contains([]string{"auto", "yes", "no"}, r.Averages):
		return usagef("weights: --averages is %q; want auto, yes or no", r.Averages)
	}
	return nil
}

// imported is the document of weights import.
type imported struct {
	Dir string `json:"dir"`
	api.WeightsResult
}

func (a *app) importWeights(ctx context.Context, r api.WeightsRequest, name string) (out imported, err error) {
	if r.Model, err = (configs.Model{Name: name}).Network(); err != nil {
		return out, usagef("%v", err)
	}
	if r.From == "slim" {
		if r.Source, err = checkpointPrefix(r.Source); err != nil {
			return out, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(r.Out)), 0o755); err != nil {
		return out, fmt.Errorf("weights: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(r.Out)), ".weights-")
	if err != nil {
		return out, fmt.Errorf("weights: %w", err)
	}
	defer os.RemoveAll(tmp) // what is left of it when something failed
	out.Dir, r.Out = r.Out, filepath.Join(tmp, weightsPrefix)
	if out.WeightsResult, err = a.convert(ctx, r); err != nil {
		return out, err
	}
	if err := writeModel(tmp, out.Model); err != nil {
		return out, err
	}
	if err := errors.Join(os.Chmod(tmp, 0o755), durable.SyncTree(tmp)); err != nil {
		return out, fmt.Errorf("weights: %w", err)
	}
	return out, durable.Rename(tmp, out.Dir)
}

func (a *app) convert(ctx context.Context, r api.WeightsRequest) (out api.WeightsResult, err error) {
	l, err := a.launcher(ctx, configs.Engine{})
	if err != nil {
		return out, err
	}
	err = call(ctx, l, engine.Job{Command: api.Weights, Request: r}, &out)
	return out, err
}

// writeModel puts the model file, and the cell's where it is not a built-in
// one's, beside the weights.
func writeModel(dir string, m model.Model) error {
	const cellFile = "cell.yaml"
	if err := os.WriteFile(filepath.Join(dir, cellFile), []byte(m.Cell.String()), 0o644); err != nil {
		return fmt.Errorf("weights: %w", err)
	}
	text, err := m.Text(cellFile)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "model.yaml"), text, 0o644); err != nil {
		return fmt.Errorf("weights: %w", err)
	}
	return nil
}

// checkpointPrefix finds the checkpoint that a path names: its prefix, its index
// file, or a directory that holds one.
func checkpointPrefix(path string) (string, error) {
	path = strings.TrimSuffix(path, ".index")
	if _, err := os.Stat(path + ".index"); err == nil {
		return path, nil
	}
	found, err := filepath.Glob(filepath.Join(path, "*.index"))
	switch {
	case err != nil || len(found) == 0:
		return "", usagef("there is no TensorFlow checkpoint at %s: neither %s.index nor a directory with one", path, path)
	case len(found) > 1:
		return "", usagef("%s holds %d checkpoints; name one of %v", path, len(found), found)
	}
	return strings.TrimSuffix(found[0], ".index"), nil
}

func (a *app) weightsExportCommand() *cobra.Command {
	var name, from string
	var r api.WeightsRequest
	c := &cobra.Command{
		Use: "export", Short: "Write a checkpoint's weights as .npz or as a plain TensorFlow checkpoint", Args: cobra.NoArgs,
		Long: "Write a network's weights, without the state of its training, under slim's names:\n" +
			"as an .npz for NumPy, or as a TensorFlow checkpoint.",
		Example: "  nasnet weights export --model weights/mobile/model.yaml --weights weights/mobile --to npz --out mobile.npz",
	}
	weightsFlags(c, &r, &name)
	c.Flags().StringVar(&from, "weights", "", "checkpoint: its directory or prefix")
	c.Flags().StringVar(&r.To, "to", "npz", "npz | checkpoint")
	c.RunE = func(c *cobra.Command, _ []string) error {
		r.From = "slim" // our names are slim's
		if err := checkWeights(r, name, "--weights", from); err != nil {
			return err
		}
		return a.exportWeights(c.Context(), r, name, from)
	}
	return c
}

func (a *app) exportWeights(ctx context.Context, r api.WeightsRequest, name, from string) (err error) {
	if r.Model, err = (configs.Model{Name: name}).Network(); err != nil {
		return usagef("%v", err)
	}
	if r.Source, err = checkpointPrefix(from); err != nil {
		return err
	}
	out, err := a.convert(ctx, r)
	if err != nil {
		return err
	}
	if a.json {
		return a.document(out)
	}
	a.say("%d variables, %d values in %s", out.Variables, out.Values, r.Out)
	return nil
}
