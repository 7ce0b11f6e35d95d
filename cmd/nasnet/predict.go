package main

import (
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

func (a *app) predictCommand() *cobra.Command {
	var r api.PredictRequest
	var name, labels, server string
	var remote remoteOptions
	c := &cobra.Command{
		Use: "predict [IMAGE...]", Short: "Classify image files, or compute the logits of a .npy array",
		Long: "Classify image files (JPEG, PNG, GIF, BMP), or compute the logits of a .npy array. With\n" +
			"--weights, images are prepared as slim evaluates: for an ImageNet model the central\n" +
			"0.875 of each side, resized, pixels in -1..1; for a CIFAR model resized and\n" +
			"standardized image by image. A SavedModel prepares them itself.",
		Example: "  nasnet predict --saved-model runs/quickstart/export/1 cat.jpg\n  nasnet predict --model nasnet-a-mobile --weights model.ckpt --input in.npy --output out.npy --json\n" +
			"  nasnet predict --model weights/mobile/model.yaml --weights weights/mobile --labels synsets.txt cat.jpg\n" +
			"  nasnet predict --server http://127.0.0.1:8501/v1/models/nasnet cat.jpg",
	}
	c.Flags().StringVar(&name, "model", "", "built-in model or model file, with --weights")
	c.Flags().StringVar(&r.Weights, "weights", "", "checkpoint: its directory or prefix")
	c.Flags().StringVar(&r.SavedModel, "saved-model", "", "a SavedModel version's directory")
	c.Flags().StringVar(&r.Input, "input", "", "float32 [N,H,W,C] as .npy")
	c.Flags().StringVar(&r.Output, "output", "", ".npy for the logits")
	c.Flags().IntVar(&r.Top, "top", 5, "classes printed an image")
	c.Flags().StringVar(&labels, "labels", "", "text file of class names, one a line, instead of the SavedModel's")
	c.Flags().StringVar(&r.Standardize, "standardize", "", "with --weights: image | channel | inception | none, instead of the model's style")
	c.Flags().StringVar(&server, "server", "", "address of a server's model, http://HOST:PORT/v1/models/NAME: it predicts")
	remote.register(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		r.Files = args
		switch {
		case server != "": // the checks below are about what is computed here
		case r.SavedModel == "" && (name == "" || r.Weights == ""):
			return usagef("predict: give --saved-model, or --model and --weights")
		case (r.Input == "") == (len(args) == 0):
			return usagef("predict: give either image files or --input")
		case (r.Input == "") != (r.Output == ""):
			return usagef("predict: --input and --output go together")
		}
		if labels != "" {
			text, err := os.ReadFile(labels)
			if err != nil {
				return usagef("predict: %v", err)
			}
			r.Labels = strings.Split(strings.TrimSpace(string(text)), "\n")
		}
		if server != "" {
			return a.predictRemotely(c.Context(), server, remote, r)
		}
		if r.SavedModel == "" {
			m, err := configs.Model{Name: name}.Network()
			if err != nil {
				return usagef("%v", err)
			}
			r.Model = &m
		}
		l, err := a.launcher(c.Context(), configs.Engine{})
		if err != nil {
			return err
		}
		var out api.PredictResult
		if err := call(c.Context(), l, engine.Job{Command: api.Predict, Request: r}, &out); err != nil {
			return err
		}
		return a.predictions(out)
	}
	return c
}

func (a *app) predictions(out api.PredictResult) error {
	if a.json || len(out.Files) == 0 {
		return a.document(out)
	}
	for _, p := range out.Files {
		a.say("%s", p.File)
		for _, b := range p.Best {
			n := b.Name
			if n == "" {
				n = strconv.Itoa(b.Index)
			}
			a.say("  %5.1f %%  %s", 100*b.Probability, n)
		}
	}
	return nil
}
