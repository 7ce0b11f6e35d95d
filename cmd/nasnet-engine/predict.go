package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"sort"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
)

func progress(stage string, done, total int64, unit string) engine.Event {
	return engine.Progress(stage, done, total, unit, nil)
}

// predict computes logits of an array, or classes of image files.
func predict(_ context.Context, r api.PredictRequest, _ emitter) (api.PredictResult, error) {
	switch {
	case r.Input != "" && r.SavedModel != "":
		return predictArray(r, savedModelLogits)
	case r.Input != "":
		return predictArray(r, networkLogits)
	case r.SavedModel != "":
		return savedModelFiles(r)
	}
	return networkFiles(r)
}

type logitsFunc func(r api.PredictRequest, images *tfgraph.Value) (*tfgraph.Value, error)

// predictArray writes the logits of a float32 array [N,H,W,C].
func predictArray(r api.PredictRequest, logits logitsFunc) (api.PredictResult, error) {
	in, shape, err := npy.Read(r.Input)
	if err != nil {
		return api.PredictResult{}, err
	}
	if len(shape) != 4 {
		return api.PredictResult{}, usage(fmt.Errorf("predict: %s has shape %v; want [N,H,W,C]", r.Input, shape))
	}
	images, err := tfgraph.NewValue(in, shape...)
	if err != nil {
		return api.PredictResult{}, err
	}
	v, err := logits(r, images)
	if err != nil {
		return api.PredictResult{}, err
	}
	out, err := tfgraph.Data[float32](v)
	if err != nil {
		return api.PredictResult{}, err
	}
	return api.PredictResult{Shape: v.Shape()}, npy.Write(r.Output, out, v.Shape()...)
}

func savedModelLogits(r api.PredictRequest, images *tfgraph.Value) (*tfgraph.Value, error) {
	m, err := savedmodel.Load(r.SavedModel, sessionOptions(r.Threads))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	_, out, err := m.Run(defaultSignature, map[string]*tfgraph.Value{imagesInput: images}, []string{logitsOutput})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

func networkLogits(r api.PredictRequest, images *tfgraph.Value) (*tfgraph.Value, error) {
	if r.Model == nil {
		return nil, usage(fmt.Errorf("predict: weights need their model"))
	}
	m, shape := *r.Model, images.Shape()
	m.Input = [3]int{int(shape[1]), int(shape[2]), int(shape[3])}
	var out *tfgraph.Value
	err := withNetwork(r, m, tfgraph.Float32, shape, nil, func(run func(*tfgraph.Value) (*tfgraph.Value, error)) (err error) {
		out, err = run(images)
		return err
	})
	return out, err
}

// withNetwork opens a session on a network with the request's weights, and
// calls do with the function from input to logits. prepare, if given, makes
// images of the input.
func withNetwork(r api.PredictRequest, m model.Model, dtype tfgraph.DataType, shape tfgraph.Shape,
	prepare func(*tfgraph.Scope, tfgraph.Tensor) tfgraph.Tensor, do func(run func(*tfgraph.Value) (*tfgraph.Value, error)) error,
) error {
	m.AuxHead = false
	plan, err := model.Build(m)
	if err != nil {
		return usage(err)
	}
	st, err := constants(plan, checkpointPrefix(r.Weights), false)
	if err != nil {
		return err
	}
	g := tfgraph.New()
	in := tfgraph.Placeholder(g.Root(), imagesInput, dtype, shape)
	images := in
	if prepare != nil {
		images = prepare(g.Root().Sub("decode"), in)
	}
	logits := network.Build(g.Root(), st, plan, images, network.Options{}).Logits
	sess, err := tfgraph.NewSession(g, sessionOptions(r.Threads))
	if err != nil {
		return err
	}
	defer sess.Close()
	return do(func(v *tfgraph.Value) (*tfgraph.Value, error) {
		out, err := sess.Run(tfgraph.Feeds{in: v}, []tfgraph.Tensor{logits})
		if err != nil {
			return nil, err
		}
		return out[0], nil
	})
}

// networkFiles classifies encoded images with a model's weights, prepared as
// the model's style was: slim's evaluation for ImageNet, a resize for CIFAR.
func networkFiles(r api.PredictRequest) (api.PredictResult, error) {
	if r.Model == nil {
		return api.PredictResult{}, usage(fmt.Errorf("predict: weights need their model"))
	}
	m := *r.Model
	if len(r.Labels) > 0 && len(r.Labels) != m.Classes {
		return api.PredictResult{}, usage(fmt.Errorf("predict: %d labels for a network of %d classes", len(r.Labels), m.Classes))
	}
	p := preparation(m, r.Standardize, api.Preparation{})
	decode := func(s *tfgraph.Scope, in tfgraph.Tensor) tfgraph.Tensor { return data.Decode(s, in, p) }
	var result api.PredictResult
	err := withNetwork(r, m, tfgraph.String, tfgraph.Shape{-1}, decode, func(run func(*tfgraph.Value) (*tfgraph.Value, error)) (err error) {
		result, err = classify(r, r.Labels, run)
		return err
	})
	return result, err
}

// preparation is how encoded images become the model's input: slim's evaluation
// for ImageNet, a resize for CIFAR. standardize and d
// replace what the style says where they say something.
func preparation(m model.Model, standardize string, d api.Preparation) data.Preparation {
	h, w := int64(m.Input[0]), int64(m.Input[1])
	p := data.Preparation{Height: h, Width: w, Standardize: data.PerImage}
	if m.Style == model.ImageNetStyle {
		p = data.InceptionEval(h, w)
	}
	if standardize != "" {
		p.Standardize = data.Standardize(standardize)
	}
	if d.Crop != 0 {
		p.Crop = d.Crop
	}
	if d.Resize != "" {
		p.Legacy = d.Resize == api.LegacyResize
	}
	return p
}

// savedModelFiles classifies encoded images with a SavedModel.
func savedModelFiles(r api.PredictRequest) (api.PredictResult, error) {
	m, err := savedmodel.Load(r.SavedModel, sessionOptions(r.Threads))
	if err != nil {
		return api.PredictResult{}, err
	}
	defer m.Close()
	names := m.Classes
	if len(r.Labels) > 0 {
		names = r.Labels
	}
	return classify(r, names, func(v *tfgraph.Value) (*tfgraph.Value, error) {
		_, out, err := m.Run(bytesSignature, map[string]*tfgraph.Value{bytesInput: v}, []string{logitsOutput})
		if err != nil {
			return nil, err
		}
		return out[0], nil
	})
}

// classify runs the request's files one by one: they may be large.
func classify(r api.PredictRequest, names []string, run func(*tfgraph.Value) (*tfgraph.Value, error)) (api.PredictResult, error) {
	var result api.PredictResult
	for _, name := range r.Files {
		raw, err := os.ReadFile(name)
		if err != nil {
			return result, fmt.Errorf("predict: %w", err)
		}
		v, err := tfgraph.Strings([]string{string(raw)})
		if err != nil {
			return result, err
		}
		out, err := run(v)
		if err != nil {
			return result, fmt.Errorf("predict: %s: %w", name, err)
		}
		logits, err := tfgraph.Data[float32](out)
		if err != nil {
			return result, err
		}
		result.Files = append(result.Files, api.Prediction{File: name, Best: best(logits, names, r.Top)})
	}
	return result, nil
}

// best are the k most probable classes.
func best(logits []float32, names []string, k int) []api.Class {
	largest, sum := float64(logits[0]), 0.0
	for _, x := range logits {
		largest = math.Max(largest, float64(x))
	}
	list := make([]api.Class, len(logits))
	for i, x := range logits {
		list[i] = api.Class{Index: i, Probability: math.Exp(float64(x) - largest)}
		sum += list[i].Probability
		if i < len(names) {
			list[i].Name = names[i]
		}
	}
	for i := range list {
		list[i].Probability /= sum
	}
	sort.SliceStable(list, func(a, b int) bool { return list[a].Probability > list[b].Probability })
	return list[:min(len(list), max(1, k))]
}
