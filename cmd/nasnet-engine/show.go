package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// show writes the first images of a training, or of an evaluation, as the network
// sees them.
func show(_ context.Context, r api.ShowRequest, _ emitter) (api.ShowResult, error) {
	images, _, err := trainingImages(r.Data, r.Model)
	if r.Split == api.TestSplit {
		images, err = testImages(r.Data, r.Model, 0)
	}
	if err != nil {
		return api.ShowResult{}, err
	}
	g := tfgraph.New()
	var in train.Source
	if n := min(r.Images, images.Len()); r.Split == api.TestSplit {
		in = images.ordered(g.Root(), n)
	} else {
		in = images.training(g.Root(), n, r.Seed)
	}
	if len(in.Images.Shape()) != 4 {
		return api.ShowResult{}, usage(fmt.Errorf("show: one view of an image can be shown; set eval.crops to 1"))
	}
	sess, err := tfgraph.NewSession(g, sessionOptions(r.Threads))
	if err != nil {
		return api.ShowResult{}, err
	}
	defer sess.Close()
	if err := in.Start(sess, 0); err != nil {
		return api.ShowResult{}, err
	}
	out, err := sess.Run(nil, []tfgraph.Tensor{in.Images, in.Labels})
	if err != nil {
		return api.ShowResult{}, err
	}
	pixels, err := tfgraph.Data[float32](out[0])
	if err == nil {
		err = npy.Write(r.Output, pixels, out[0].Shape()...)
	}
	if err != nil {
		return api.ShowResult{}, err
	}
	labels, err := tfgraph.Data[int64](out[1])
	return api.ShowResult{Shape: out[0].Shape(), Labels: slices.Clone(labels)}, err
}
