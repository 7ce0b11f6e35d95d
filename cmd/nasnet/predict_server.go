package main

import (
	"cmp"
	"context"
	"math"
	"os"
	"slices"
	"time"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/savedmodel/serving"
)

// sentAtOnce is how many images a request carries.
const sentAtOnce = 16

// predictRemotely asks a server, which needs no TensorFlow here.
func (a *app) predictRemotely(ctx context.Context, url string, o remoteOptions, r api.PredictRequest) error {
	if r.Input != "" || r.Weights != "" || r.SavedModel != "" || len(r.Files) == 0 {
		return usagef("predict: --server takes image files, and no --input, --model, --weights or --saved-model")
	}
	c, err := o.client(url, 2*time.Minute)
	if err != nil {
		return err
	}
	var out api.PredictResult
	for files := range slices.Chunk(r.Files, sentAtOnce) {
		encoded := make([][]byte, len(files))
		for i, file := range files {
			if encoded[i], err = os.ReadFile(file); err != nil {
				return usagef("predict: %v", err)
			}
		}
		answers, err := c.Images(ctx, encoded)
		if err != nil {
			return err
		}
		names := make([][]serving.Label, len(files))
		if len(r.Labels) == 0 {
			// Names beyond the best one are in the signature classify, where a model has
			// it; without it numbers must do.
			if named, err := c.Classify(ctx, encoded); err == nil && len(named) == len(files) {
				names = named
			}
		}
		for i, file := range files {
			out.Files = append(out.Files, api.Prediction{File: file, Best: bestOf(answers[i], names[i], r.Labels, r.Top)})
		}
	}
	return a.predictions(out)
}

// bestOf lists the top classes of an answer. Names come from labels, else from
// classify's list, which is in the same order.
func bestOf(p serving.Prediction, named []serving.Label, labels []string, top int) []api.Class {
	order := make([]int, len(p.Probabilities))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p.Probabilities[j], p.Probabilities[i]) })
	var best []api.Class
	for rank, i := range order[:min(top, len(order))] {
		c := api.Class{Index: i, Probability: float64(p.Probabilities[i])}
		name, isName := p.Class.(string)
		switch {
		case i < len(labels):
			c.Name = labels[i]
		case rank < len(named) && math.Abs(named[rank].Score-c.Probability) < 1e-3:
			c.Name = named[rank].Name
		case rank == 0 && isName:
			c.Name = name
		}
		best = append(best, c)
	}
	return best
}
