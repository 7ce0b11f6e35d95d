package main

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// TensorFlow Serving runs a session by many threads. Where a sum could be fused
// into a convolution, that ended in a corrupted heap within a second.
func TestExportsAreRunByManyThreads(t *testing.T) {
	for name, r := range map[string]api.ExportRequest{
		"optimised": {Optimize: true, Weights: "float32"},
		"plain":     {Weights: "float32"},
	} {
		t.Run(name, func(t *testing.T) {
			r.Model = smallModel(t)
			m, err := savedmodel.Load(exportRandom(t, r).dir, tfgraph.SessionOptions{InterOp: 2, IntraOp: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if m.OneRunAtATime {
				t.Error("the graph has a sum of a convolution with a bias")
			}
			random := rand.New(rand.NewPCG(6, 6))
			pixels := make([]float32, 32*32*3)
			for i := range pixels {
				pixels[i] = random.Float32()
			}
			run := func() []float32 {
				x, err := tfgraph.NewValue(pixels, 1, 32, 32, 3)
				if err != nil {
					t.Error(err)
					return nil
				}
				_, out, err := m.Run(defaultSignature, map[string]*tfgraph.Value{imagesInput: x}, []string{"logits"})
				if err != nil {
					t.Error(err)
					return nil
				}
				logits, err := tfgraph.Data[float32](out[0])
				if err != nil {
					t.Error(err)
				}
				return logits
			}
			want := run()
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 60 {
						if got := run(); !slices.Equal(got, want) {
							t.Errorf("logits %v, alone %v", got, want)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
