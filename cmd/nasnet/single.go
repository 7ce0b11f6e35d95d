package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/rundir"
)

// single opens a run for one stage of it.
func (a *app) single(c *cobra.Command) (*chain, error) {
	config, err := a.load()
	if err != nil {
		return nil, err
	}
	dir, err := rundir.Open(a.directory())
	if err != nil {
		return nil, err
	}
	s := &chain{app: a, config: config, dir: dir}
	if err := s.open(c.Context()); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	s.model, err = s.config.Model.Network()
	return s, err
}

func (a *app) trainCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "train", Short: "Train or fine-tune one network, or go on with its training", Args: cobra.NoArgs,
		Long: "Train one network on CIFAR-10, ImageNet or images of your own (data.set). The same command goes on with a training that was\n" +
			"interrupted. Flags are short forms of configuration keys; --set reaches all of them.",
		Example: "  nasnet train --config cifar10-small --run runs/small --json\n" +
			"  nasnet train --config imagenet-mobile --model found.yaml --run runs/transfer\n" +
			"  nasnet train --config folder-small --fine-tune weights/mobile --set data.dir=flowers --run runs/flowers\n" +
			"  nasnet train --config folder-small --set data.dir=flowers --run runs/flowers\n" +
			"  nasnet train --config cifar10-small --devices cpu:0,cpu:1 --run runs/two\n" +
			"  nasnet train --config cifar10-small --cluster 10.0.0.5:2222,10.0.0.6:2222 --run runs/far\n" +
			"  nasnet train --config mine.yaml --fine-tune runs/small/checkpoints/step-00015640 --run runs/tuned",
	}
	c.Flags().Func("devices", "replicas that share a step's images: cpu:0,cpu:1 or gpu:all (train.devices)", func(v string) error {
		a.short = append(a.short, "train.devices=["+v+"]")
		return nil
	})
	c.Flags().Func("cluster", "workers that compute: host:port,… of `nasnet worker --train` (engine.cluster)", func(v string) error {
		a.short = append(a.short, "engine.cluster=["+v+"]")
		return nil
	})
	c.Flags().Func("model", "built-in model or model file (model.name), or a cell's file that the model is made of (model.cell)", a.modelOrCell)
	a.shortForm(c, "fine-tune", "train.fine_tune.weights", "begin with the weights of this checkpoint (train.fine_tune.weights)")
	a.shortForm(c, "precision", "engine.precision", "fp32 | bf16 | fp16 (engine.precision)")
	a.shortForm(c, "steps", "train.steps", "steps instead of epochs (train.steps)")
	c.Flags().BoolFunc("xla", "compile with XLA (engine.xla)", func(v string) error { a.short = append(a.short, "engine.xla="+v); return nil })
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := a.single(c)
		if err != nil {
			return err
		}
		defer s.dir.Close()
		if err := s.fineTune(); err != nil {
			return err
		}
		if err := s.keepConfig(); err != nil {
			return err
		}
		out, err := s.train(c.Context())
		if err != nil {
			return err
		}
		if _, err := s.dir.WriteJSON("train.json", out); err != nil {
			return err
		}
		if err := s.reportTraining(); err != nil {
			return err
		}
		return a.document(out)
	}
	return c
}

// shortForm adds a flag that sets a key of the configuration.
func (a *app) shortForm(c *cobra.Command, flag, key, usage string) {
	c.Flags().Func(flag, usage, func(v string) error { a.short = append(a.short, key+"="+v); return nil })
}

// bestFlag chooses the checkpoint that a command takes.
func bestFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("best", false, "the checkpoint that did best on the held-out images, instead of the last")
}

// trained reads where a run's training ended, or was best. The run's own
// configuration is taken, and its found cell if it searched for one.
func (a *app) trained(c *cobra.Command, best bool) (*chain, string, error) {
	if a.config == "" {
		a.config = a.directory() + "/config.yaml"
		if a.run == "" {
			return nil, "", usagef("give --run DIR, the run whose network is meant")
		}
	}
	s, err := a.single(c)
	if err != nil {
		return nil, "", err
	}
	if s.model, err = s.foundCell(s.dir.Path); err != nil {
		return nil, "", err
	}
	t, err := recorded[api.TrainResult](s.dir, "train")
	if err == nil && best && t.Best == "" {
		err = usagef("%s was not evaluated while it trained (train.evaluation.every_epochs), so no checkpoint is its best", s.dir.Path)
	}
	if best {
		return s, s.dir.Checkpoint(t.Best), err
	}
	return s, s.dir.Checkpoint(t.Checkpoint), err
}

// foundCell is the configured model, with the cell that the run at dir searched
// for where it did.
func (c *chain) foundCell(dir string) (model.Model, error) {
	if !exists(filepath.Join(dir, "search.json")) {
		return c.config.Model.Network()
	}
	found, err := recordedIn[search.Status](dir, "search")
	if err == nil && found.Best == nil {
		err = usagef("no child of the search in %s succeeded", dir)
	}
	if err != nil {
		return model.Model{}, err
	}
	return c.network(found.Best.Genotype)
}

// recorded reads the result of a stage that must have been done already.
func recorded[T any](d *rundir.Dir, stage string) (T, error) { return recordedIn[T](d.Path, stage) }

// recordedIn is recorded for a run that nobody holds.
func recordedIn[T any](dir, stage string) (result T, err error) {
	text, err := os.ReadFile(filepath.Join(dir, stage+".json"))
	if errors.Is(err, os.ErrNotExist) {
		return result, usagef("%s has no finished %s", dir, stage)
	}
	if err == nil {
		err = json.Unmarshal(text, &result)
	}
	if err != nil {
		return result, fmt.Errorf("run: result of %s: %w", stage, err)
	}
	return result, nil
}

// evaluated measures a run's network on the test images. Its logits are what an
// export is compared with.
func (a *app) evaluated(c *cobra.Command, best bool) (*chain, string, api.EvalResult, error) {
	s, checkpoint, err := a.trained(c, best)
	if err != nil {
		return nil, "", api.EvalResult{}, err
	}
	out, err := s.eval(c.Context(), checkpoint)
	if err != nil {
		return nil, "", out, errors.Join(err, s.dir.Close())
	}
	return s, checkpoint, out, nil
}
