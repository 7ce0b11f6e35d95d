package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// sessionRate times a signature of a SavedModel with nothing around it: what a
// server is measured against.
func sessionRate(ctx context.Context, r api.SessionRateRequest, _ emitter) (api.SessionRateResult, error) {
	var result api.SessionRateResult
	m, err := savedmodel.Load(r.ModelDir, sessionOptions(r.Threads))
	if err != nil {
		return result, err
	}
	defer m.Close()
	sig, ok := m.Signatures[r.Signature]
	if !ok || len(sig.GetInputs()) != 1 {
		return result, usage(fmt.Errorf("session-rate: %s has no signature %q with one input", r.ModelDir, r.Signature))
	}
	var value *tfgraph.Value
	if r.Floats {
		var shape []int64
		for _, info := range sig.GetInputs() {
			for _, d := range info.GetTensorShape().GetDim() {
				shape = append(shape, d.GetSize())
			}
		}
		value, err = randomFloats(int64(r.Batch), shape)
	} else {
		rows := make([]string, r.Batch)
		for i := range rows {
			rows[i] = string(r.Encoded[i%len(r.Encoded)])
		}
		value, err = tfgraph.Strings(rows)
	}
	if err != nil {
		return result, err
	}
	inputs := map[string]*tfgraph.Value{}
	for name := range sig.GetInputs() {
		inputs[name] = value
	}
	if _, _, err := m.Run(r.Signature, inputs, nil); err != nil {
		return result, err
	}
	return timedRuns(ctx, r, func() error {
		_, _, err := m.Run(r.Signature, inputs, nil)
		return err
	})
}

func randomFloats(batch int64, shape []int64) (*tfgraph.Value, error) {
	if len(shape) == 0 || shape[0] >= 0 {
		return nil, fmt.Errorf("session-rate: the input's shape is %v; want a batch", shape)
	}
	n := batch
	for _, d := range shape[1:] {
		n *= d
	}
	random := rand.New(rand.NewPCG(1, 1))
	data := make([]float32, n)
	for i := range data {
		data[i] = 2*random.Float32() - 1
	}
	return tfgraph.NewValue(data, append([]int64{batch}, shape[1:]...)...)
}

// timedRuns has callers run f until the time is over.
func timedRuns(ctx context.Context, r api.SessionRateRequest, f func() error) (api.SessionRateResult, error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var result api.SessionRateResult
	var failed error
	each := func(more func(done int) bool) {
		for range r.Callers {
			wg.Go(func() {
				done := 0
				for ; more(done) && ctx.Err() == nil; done++ {
					if err := f(); err != nil {
						mu.Lock()
						failed = err
						mu.Unlock()
						return
					}
				}
				mu.Lock()
				result.Runs += done
				mu.Unlock()
			})
		}
		wg.Wait()
	}
	each(func(done int) bool { return done < 1 })
	result.Runs = 0
	begin, cpu := time.Now(), cpuTime()
	end := begin.Add(time.Duration(r.Seconds * float64(time.Second)))
	each(func(int) bool { return time.Now().Before(end) })
	result.ImagesPerSecond = float64(result.Runs*r.Batch) / time.Since(begin).Seconds()
	result.CPUSeconds = (cpuTime() - cpu).Seconds()
	if failed == nil {
		failed = ctx.Err()
	}
	return result, failed
}
