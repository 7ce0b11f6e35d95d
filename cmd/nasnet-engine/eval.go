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

// evaluation is a pass over n images.
type evaluation struct {
	start func(sess *tfgraph.Session) error
	// batch is the next one: logits [B,K] and classes [B].
	batch func(sess *tfgraph.Session) (logits []float32, classes []int64, err error)
	n     int64
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
		least := tfgraph.Scalarc(s, float32(leastProbability))
		logits = s.One("Log", nil, s.One("Maximum", nil, tfgraph.Mean(s, p, 1), least)) // [B,classes]
	}
	return fetched(in, logits, im.Len(), tfgraph.Data[float32])
}

// leastProbability stands for a probability that is zero in float32: its logarithm
// is a number. It is the smallest that no processor rounds to zero.
const leastProbability = 0x1p-126

// fetched is an evaluation whose logits are made of a tensor of the input's graph.
func fetched(in train.Source, fetch tfgraph.Tensor, n int64, logits func(*tfgraph.Value) ([]float32, error)) evaluation {
	return evaluation{n: n, start: func(sess *tfgraph.Session) error { return in.Start(sess, 0) }, batch: func(sess *tfgraph.Session) ([]float32, []int64, error) {
		out, err := sess.Run(nil, []tfgraph.Tensor{fetch, in.Labels})
		if err != nil {
			return nil, nil, err
		}
		values, err := logits(out[0])
		if err != nil {
			return nil, nil, err
		}
		classes, err := tfgraph.Data[int64](out[1])
		return values, classes, err
	}}
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
	if err := e.start(sess); err != nil {
		return eval.Result{}, err
	}
	for t.Result().Images < e.n {
		if err := ctx.Err(); err != nil {
			return eval.Result{}, err
		}
		values, classes, err := e.batch(sess)
		if err != nil {
			return eval.Result{}, fmt.Errorf("evaluate: after %d images: %w", t.Result().Images, err)
		}
		if err := t.Add(values, classes); err != nil {
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
	var m model.Model // a SavedModel prepares images itself
	if r.Model != nil {
		m = *r.Model
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
	if r.Data.Records != nil && r.Data.Records.Classes == imageNetClasses {
		e.batch = withoutBackground(e.batch)
	}
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

// imageNetClasses are those of ImageNet; slim's networks have one before them.
const imageNetClasses = 1000

// withoutBackground leaves out the first of 1001 logits, slim's background.
func withoutBackground(batch func(*tfgraph.Session) ([]float32, []int64, error)) func(*tfgraph.Session) ([]float32, []int64, error) {
	return func(sess *tfgraph.Session) ([]float32, []int64, error) {
		logits, classes, err := batch(sess)
		const width = imageNetClasses + 1
		if err != nil || len(logits) != width*len(classes) {
			return logits, classes, err
		}
		kept := make([]float32, 0, len(logits)-len(classes))
		for at := 0; at < len(logits); at += width {
			kept = append(kept, logits[at+1:at+width]...)
		}
		return kept, classes, nil
	}
}

// prepareEvaluation adds what the request names to the graph. The function it
// returns frees a loaded model.
func prepareEvaluation(g *tfgraph.Graph, r api.EvalRequest, im examples) (evaluation, func(), error) {
	if r.SavedModel != "" {
		return savedEvaluation(g, r, im)
	}
	if r.Model == nil {
		return evaluation{}, nil, usage(fmt.Errorf("evaluate: a checkpoint needs its model"))
	}
	plan, err := model.Build(*r.Model)
	if err != nil {
		return evaluation{}, nil, usage(err)
	}
	st, err := constants(plan, checkpointPrefix(r.Checkpoint), r.Averages)
	if err != nil {
		return evaluation{}, nil, err
	}
	return newEvaluation(g.Root(), st, plan, im, r.Batch), func() {}, nil
}

// savedEvaluation measures a SavedModel: it prepares encoded images itself, by its
// signature serving_bytes; without that, or for several crops, the request's
// model says how they are prepared for the default signature.
func savedEvaluation(g *tfgraph.Graph, r api.EvalRequest, im examples) (evaluation, func(), error) {
	m, err := savedmodel.Load(r.SavedModel, sessionOptions(r.Threads))
	if err != nil {
		return evaluation{}, nil, err
	}
	free := func() { m.Close() }
	crops := r.Data.Eval.Crops
	if _, ok := m.Signatures[bytesSignature]; ok && crops <= 1 {
		return evaluation{n: im.Len(), start: func(*tfgraph.Session) error { return nil }, batch: encodedBatches(m, im, evalBatch(r.Batch))}, free, nil
	}
	if r.Model == nil {
		free()
		return evaluation{}, nil, usage(fmt.Errorf("evaluate: %s has no signature %s, or several crops are wanted: name the model (--model), which says how images are prepared", r.SavedModel, bytesSignature))
	}
	in := im.ordered(g.Root(), evalBatch(r.Batch))
	return fetched(in, in.Images, im.Len(), func(images *tfgraph.Value) ([]float32, error) { return savedLogits(m, images) }), free, nil
}

// encodedBatches has a model prepare and classify image files.
func encodedBatches(m *savedmodel.Model, im examples, size int64) func(*tfgraph.Session) ([]float32, []int64, error) {
	at := int64(0)
	return func(*tfgraph.Session) ([]float32, []int64, error) {
		files, classes, err := im.files(at, min(im.Len(), at+size))
		if err != nil {
			return nil, nil, err
		}
		at += int64(len(files))
		texts := make([]string, len(files))
		for i, f := range files {
			texts[i] = string(f)
		}
		v, err := tfgraph.Strings(texts)
		if err != nil {
			return nil, nil, err
		}
		_, out, err := m.Run(bytesSignature, map[string]*tfgraph.Value{bytesInput: v}, []string{logitsOutput})
		if err != nil {
			return nil, nil, err
		}
		logits, err := tfgraph.Data[float32](out[0])
		return logits, classes, err
	}
}

// savedLogits runs a model's default signature on prepared images, [B,H,W,C] or
// [B,K,H,W,C] of K crops, whose probabilities are averaged.
func savedLogits(m *savedmodel.Model, images *tfgraph.Value) ([]float32, error) {
	shape, crops := images.Shape(), 1
	if len(shape) == 5 {
		pixels, err := tfgraph.Data[float32](images)
		if err != nil {
			return nil, err
		}
		crops = int(shape[1])
		if images, err = tfgraph.NewValue(pixels, shape[0]*shape[1], shape[2], shape[3], shape[4]); err != nil {
			return nil, err
		}
	}
	_, out, err := m.Run(defaultSignature, map[string]*tfgraph.Value{imagesInput: images}, []string{logitsOutput})
	if err != nil {
		return nil, err
	}
	logits, err := tfgraph.Data[float32](out[0])
	if err != nil || crops == 1 {
		return logits, err
	}
	return eval.MeanOfCrops(logits, crops, int(out[0].Shape()[1]))
}
