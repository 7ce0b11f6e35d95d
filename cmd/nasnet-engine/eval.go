package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/bundle"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/pipeline/eval"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// evaluation is a pass over images: their pipeline, what is fetched of its
// graph, and how logits are made of that.
type evaluation struct {
	input  train.Source
	fetch  tfgraph.Tensor
	logits func(fetched *tfgraph.Value) ([]float32, error)
	n      int64
}

// newEvaluation adds an inference tower with a pipeline of its own to a graph.
func newEvaluation(s *tfgraph.Scope, st *tfgraph.Store, plan *model.Plan, im examples, batch int64) evaluation {
	in := im.ordered(s, evalBatch(batch))
	x, crops := in.Images, int64(1)
	if len(x.Shape()) == 5 {
		crops = x.Dim(1)
		x = tfgraph.Reshape(s, x, -1, x.Dim(2), x.Dim(3), x.Dim(4)) // [B*K,H,W,C]
	}
	logits := network.Build(s.Sub("eval"), st, plan, x, network.Options{}).Logits
	if crops > 1 { // the logarithm of the mean probability
		p := tfgraph.Reshape(s, s.One("Softmax", nil, logits), -1, crops, int64(plan.Model.Classes)) // [B,K,classes]
		logits = s.One("Log", nil, tfgraph.Mean(s, p, 1))                                            // [B,classes]
	}
	return evaluation{input: in, fetch: logits, logits: tfgraph.Data[float32], n: im.Len()}
}

func evalBatch(batch int64) int64 {
	if batch <= 0 {
		return 100
	}
	return batch
}

// measure runs an evaluation to its end. each, if given, sees every batch.
func measure(ctx context.Context, sess *tfgraph.Session, e evaluation, each func(logits []float32)) (eval.Result, error) {
	var t eval.Tally
	if err := e.input.Start(sess, 0); err != nil {
		return eval.Result{}, err
	}
	for t.Result().Images < e.n {
		if err := ctx.Err(); err != nil {
			return eval.Result{}, err
		}
		out, err := sess.Run(nil, []tfgraph.Tensor{e.fetch, e.input.Labels})
		if err != nil {
			return eval.Result{}, fmt.Errorf("evaluate: after %d images: %w", t.Result().Images, err)
		}
		values, err := e.logits(out[0])
		if err != nil {
			return eval.Result{}, err
		}
		classes, err := tfgraph.Data[int64](out[1])
		if err == nil {
			err = t.Add(values, classes)
		}
		if err != nil {
			return eval.Result{}, err
		}
		if each != nil {
			each(values)
		}
	}
	return t.Result(), nil
}

// constants reads a checkpoint's weights for a network that only runs forward,
// as a store of constants.
func constants(plan *model.Plan, prefix string, averages bool) (*tfgraph.Store, error) {
	values, err := trainedWeights(plan, prefix, averages)
	if err != nil {
		return nil, err
	}
	return network.Constants(plan, values)
}

// trainedWeights reads a checkpoint's weights, their checksums checked, but for
// the auxiliary head's. Moving averages take the place of the weights if asked for.
func trainedWeights(plan *model.Plan, prefix string, averages bool) (model.Values, error) {
	b, err := bundle.Open(prefix)
	if err != nil {
		return nil, err
	}
	values := model.Values{}
	for _, l := range plan.Layers {
		if l.Aux {
			continue
		}
		for _, v := range l.Variables {
			key := v.Name
			if averages {
				key += optim.AverageSuffix
			}
			if e, ok := b.Lookup(key); ok && fmt.Sprint(e.Shape) != fmt.Sprint(v.Shape) {
				return nil, fmt.Errorf("%s: %s has shape %v, the model wants %v", prefix, key, e.Shape, v.Shape)
			}
			if values[v.Name], err = b.Float32(key); err != nil {
				return nil, err
			}
		}
	}
	return values, nil
}

// evaluate measures a checkpoint or a SavedModel on a split.
func evaluate(ctx context.Context, r api.EvalRequest, emit emitter) (api.EvalResult, error) {
	var m model.Model // of a SavedModel for pictures in memory, none is needed
	if r.Model != nil {
		m = *r.Model
	} else if r.Data.Records != nil {
		return api.EvalResult{}, usage(fmt.Errorf("evaluate: images of record files need the model, for its input's size"))
	}
	im, err := splitImages(r.Data, m, r.Split)
	if err != nil {
		return api.EvalResult{}, err
	}
	g := tfgraph.New()
	e, closeModel, err := prepareEvaluation(g, r, im)
	if err != nil {
		return api.EvalResult{}, err
	}
	defer closeModel()
	sess, err := tfgraph.NewSession(g, sessionOptions(r.Threads))
	if err != nil {
		return api.EvalResult{}, err
	}
	defer sess.Close()
	var all []float32
	done := int64(0)
	begin := time.Now()
	result, err := measure(ctx, sess, e, func(logits []float32) {
		done = min(im.Len(), done+max(1, r.Batch))
		emit(progress("evaluate", done, im.Len(), "images"))
		if r.Predictions != "" {
			all = append(all, logits...)
		}
	})
	if err != nil {
		return api.EvalResult{}, err
	}
	if r.Predictions != "" {
		if err := npy.Write(r.Predictions, all, im.Len(), int64(len(all))/im.Len()); err != nil {
			return api.EvalResult{}, err
		}
	}
	return api.EvalResult{
		Images: result.Images, Top1: result.Top1, Top5: result.Top5, Top1CI95: result.Top1CI, Top5CI95: result.Top5CI,
		Loss: result.Loss, ImagesPerSecond: float64(result.Images) / time.Since(begin).Seconds(),
	}, nil
}

// prepareEvaluation adds what the request names to the graph. The function it
// returns frees a loaded model.
func prepareEvaluation(g *tfgraph.Graph, r api.EvalRequest, im examples) (evaluation, func(), error) {
	if r.SavedModel != "" {
		m, err := savedmodel.Load(r.SavedModel, sessionOptions(r.Threads))
		if err != nil {
			return evaluation{}, nil, err
		}
		input := im.ordered(g.Root(), evalBatch(r.Batch))
		if len(input.Images.Shape()) == 5 {
			return evaluation{}, nil, usage(fmt.Errorf("evaluate: several crops are measured on checkpoints alone; set eval.crops to 1"))
		}
		logits := func(images *tfgraph.Value) ([]float32, error) { return savedLogits(m, images) }
		return evaluation{input: input, fetch: input.Images, logits: logits, n: im.Len()}, func() { m.Close() }, nil
	}
	if r.Model == nil {
		return evaluation{}, nil, usage(fmt.Errorf("evaluate: a checkpoint needs its model"))
	}
	plan, err := model.Build(*r.Model)
	if err != nil {
		return evaluation{}, nil, usage(err)
	}
	st, err := constants(plan, train.Checkpoint{Dir: r.Checkpoint}.Prefix(), r.Averages)
	if err != nil {
		return evaluation{}, nil, err
	}
	return newEvaluation(g.Root(), st, plan, im, r.Batch), func() {}, nil
}

// savedLogits runs a model's default signature on prepared images.
func savedLogits(m *savedmodel.Model, images *tfgraph.Value) ([]float32, error) {
	_, out, err := m.Run(defaultSignature, map[string]*tfgraph.Value{imagesInput: images}, []string{logitsOutput})
	if err != nil {
		return nil, err
	}
	return tfgraph.Data[float32](out[0])
}
