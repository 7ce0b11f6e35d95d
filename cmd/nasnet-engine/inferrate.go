package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Forms of a network that are timed.
const (
	plainForm     = "plain"     // as `nasnet export --optimize=false` writes it: variables, batch norms
	frozenForm    = "frozen"    // the same with constants
	optimizedForm = "optimized" // as `nasnet export` writes it
)

// inferRate times forms of a network with random weights, by turns.
func inferRate(ctx context.Context, r api.InferRateRequest, emit emitter) (api.InferRateResult, error) {
	r.Model.AuxHead = false
	plan, err := model.Build(r.Model)
	if err != nil {
		return api.InferRateResult{}, usage(err)
	}
	// The first session decides the threads of all: TensorFlow has one pool a process.
	first, err := tfgraph.NewSession(tfgraph.New(), sessionOptions(r.Threads))
	if err != nil {
		return api.InferRateResult{}, err
	}
	defer first.Close()
	values := plan.RandomValues(1)
	images, err := randomImages(plan, r.Batch)
	if err != nil {
		return api.InferRateResult{}, err
	}
	var result api.InferRateResult
	forms := make([]*timedForm, len(r.Forms))
	for i, name := range r.Forms {
		f, err := newTimedForm(plan, values, name, r.Threads)
		if err != nil {
			return result, err
		}
		defer f.sess.Close()
		forms[i] = f
		begin := time.Now()
		logits, err := f.run(images)
		if err != nil {
			return result, err
		}
		rate := api.FormRate{Form: name, FirstSeconds: time.Since(begin).Seconds()}
		if rate.MaxAbsDiff, rate.LargestLogit, err = forms[0].compared(logits, i == 0); err != nil {
			return result, fmt.Errorf("infer-rate: %s: %w", name, err)
		}
		result.Forms = append(result.Forms, rate)
	}
	err = byRounds(ctx, r, forms, images, emit, result.Forms)
	result.PeakMemoryBytes = peakMemory()
	return result, err
}

// byRounds warms up for a round, times the others, and profiles if asked.
func byRounds(ctx context.Context, r api.InferRateRequest, forms []*timedForm, images *tfgraph.Value, emit emitter, rates []api.FormRate) error {
	for round := range r.Rounds + 1 {
		for i, f := range forms {
			begin := time.Now()
			for range r.Runs {
				if err := ctx.Err(); err != nil {
					return err
				}
				if _, err := f.run(images); err != nil {
					return err
				}
			}
			if round > 0 {
				rates[i].ImagesPerSecond = append(rates[i].ImagesPerSecond, float64(r.Batch)*float64(r.Runs)/time.Since(begin).Seconds())
			}
		}
		emit(progress("infer", int64(round+1), int64(r.Rounds+1), "rounds"))
	}
	for i, f := range forms {
		if !r.Profile {
			break
		}
		times, err := f.sess.Trace(tfgraph.Feeds{f.in: images}, f.out.Op())
		if err != nil {
			return err
		}
		rates[i].Kinds = kindTimes(times, 1)
	}
	return nil
}

// timedForm is one form in a session.
type timedForm struct {
	sess    *tfgraph.Session
	in, out tfgraph.Tensor
	first   []float32 // logits
}

func (f *timedForm) run(images *tfgraph.Value) (*tfgraph.Value, error) {
	out, err := f.sess.Run(tfgraph.Feeds{f.in: images}, []tfgraph.Tensor{f.out})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// compared tells how far logits are from the first ones of this form, and how
// large those are.
func (f *timedForm) compared(logits *tfgraph.Value, keep bool) (difference, largest float64, err error) {
	got, err := tfgraph.Data[float32](logits)
	if err != nil {
		return 0, 0, err
	}
	if keep {
		f.first = got
	}
	if difference, err = farthest(got, f.first); err != nil {
		return 0, 0, err
	}
	largest, err = farthest(f.first, make([]float32, len(f.first)))
	return difference, largest, err
}

// newTimedForm builds one form: its name, and + what is changed.
func newTimedForm(plan *model.Plan, values model.Values, name string, threads api.Threads) (*timedForm, error) {
	form, change, _ := strings.Cut(name, "+")
	r := api.ExportRequest{Weights: float32Weights}
	switch {
	case change == "bf16":
		threads.Precision = change
	case storedType(change) != 0:
		r.Weights = change
	case change != "":
		return nil, usage(fmt.Errorf("infer-rate: unknown form %q", name))
	}
	g := tfgraph.New()
	s := g.Root()
	in := plan.Model.Input
	f := &timedForm{in: tfgraph.Placeholder(s, imagesInput, tfgraph.Float32, tfgraph.Shape{-1, int64(in[0]), int64(in[1]), int64(in[2])})}
	var out network.Output
	var err error
	switch form {
	case plainForm:
		out, _, f.sess, err = withVariables(s, plan, values, f.in, sessionOptions(threads))
	case optimizedForm:
		out, err = optimized(s, plan, values, f.in, r)
	case frozenForm:
		var st *tfgraph.Store
		if st, err = network.Constants(plan, values); err == nil {
			out = network.Build(s, st, plan, f.in, network.Options{})
		}
	default:
		err = usage(fmt.Errorf("infer-rate: unknown form %q; want %s, %s or %s", name, plainForm, frozenForm, optimizedForm))
	}
	f.out = out.Logits
	if err == nil && f.sess == nil {
		f.sess, err = tfgraph.NewSession(g, sessionOptions(threads))
	}
	return f, err
}

func randomImages(plan *model.Plan, batch int64) (*tfgraph.Value, error) {
	in := plan.Model.Input
	r := rand.New(rand.NewPCG(1, 1))
	pixels := make([]float32, batch*int64(in[0]*in[1]*in[2]))
	for i := range pixels {
		pixels[i] = 2*r.Float32() - 1
	}
	return tfgraph.NewValue(pixels, batch, int64(in[0]), int64(in[1]), int64(in[2]))
}
