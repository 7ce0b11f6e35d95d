package main

import (
	"context"
	"fmt"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/bundle"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/savedmodel/weights"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// array is a variable's value.
type array struct {
	data  []float32
	shape []int64
}

// weightSource is a file that weights are read from.
type weightSource struct {
	entries []weights.Entry
	match   func(*model.Plan, []weights.Entry, weights.Options) (weights.Mapping, error)
	read    func(names []string) (map[string]array, error)
	close   func() error
}

// convertWeights reads a network's weights in one form and writes them in
// another.
func convertWeights(_ context.Context, r api.WeightsRequest, _ emitter) (api.WeightsResult, error) {
	plan, err := model.Build(r.Model)
	if err != nil {
		return api.WeightsResult{}, usage(err)
	}
	src, err := openWeights(r.From, r.Source)
	if err != nil {
		return api.WeightsResult{}, err
	}
	defer src.close() // opened for reading
	m, err := src.match(plan, src.entries, weights.Options{Averages: weights.Averages(r.Averages), DropBackground: r.DropBackground})
	if err != nil {
		return api.WeightsResult{}, usage(err)
	}
	result := api.WeightsResult{Averages: m.Averages, Ignored: append([]string{}, m.Ignored...), Model: m.Plan.Model}
	values, err := gather(m, src)
	if err != nil {
		return result, err
	}
	vars := m.Plan.Variables()
	names := make([]string, len(vars))
	for i, v := range vars {
		names[i] = v.Name
		result.Values += v.Size()
	}
	result.Variables = len(names)
	return result, writeWeights(r, names, values)
}

func openWeights(from, path string) (weightSource, error) {
	if from == "npz" {
		return openNpz(path)
	}
	b, err := bundle.Open(path)
	if err != nil {
		return weightSource{}, err
	}
	src := weightSource{match: weights.Slim, close: func() error { return nil }}
	for _, e := range b.Entries() {
		src.entries = append(src.entries, weights.Entry{Name: e.Name, Shape: e.Shape})
	}
	src.read = func(names []string) (map[string]array, error) {
		read, err := tfgraph.ReadCheckpoint(path, names)
		if err != nil {
			return nil, err
		}
		values := make(map[string]array, len(read))
		for name, v := range read {
			data, err := tfgraph.Data[float32](v)
			if err != nil {
				return nil, fmt.Errorf("weights: %s: %w", name, err)
			}
			values[name] = array{data, v.Shape()}
		}
		return values, nil
	}
	return src, nil
}

func openNpz(path string) (weightSource, error) {
	a, err := npy.OpenArchive(path)
	if err != nil {
		return weightSource{}, err
	}
	src := weightSource{match: weights.Npz, close: a.Close}
	for _, name := range a.Names() {
		shape, err := a.Shape(name)
		if err != nil {
			return weightSource{}, err
		}
		src.entries = append(src.entries, weights.Entry{Name: name, Shape: shape})
	}
	src.read = func(names []string) (map[string]array, error) {
		values := make(map[string]array, len(names))
		for _, name := range names {
			data, shape, err := a.Read(name)
			if err != nil {
				return nil, err
			}
			values[name] = array{data, shape}
		}
		return values, nil
	}
	return src, nil
}

// gather reads the mapped values, by variable.
func gather(m weights.Mapping, src weightSource) (map[string]array, error) {
	var names []string
	for _, s := range m.Sources {
		names = append(names, s.Name)
	}
	read, err := src.read(names)
	if err != nil {
		return nil, err
	}
	values := make(map[string]array, len(m.Sources))
	for name, s := range m.Sources {
		values[name] = read[s.Name]
		if s.DropFirst {
			values[name] = dropFirst(read[s.Name])
		}
	}
	return values, nil
}

// dropFirst leaves out the first entry of the last dimension.
func dropFirst(a array) array {
	width := int(a.shape[len(a.shape)-1])
	out := array{shape: append([]int64{}, a.shape...)}
	out.shape[len(out.shape)-1]--
	for at := 0; at < len(a.data); at += width {
		out.data = append(out.data, a.data[at+1:at+width]...)
	}
	return out
}

func writeWeights(r api.WeightsRequest, names []string, values map[string]array) error {
	if r.To == "npz" {
		return npy.WriteArchive(r.Out, names, func(name string) ([]float32, []int64, error) {
			return values[name].data, values[name].shape, nil
		})
	}
	list := make([]*tfgraph.Value, len(names))
	for i, name := range names {
		v, err := tfgraph.NewValue(values[name].data, values[name].shape...)
		if err != nil {
			return fmt.Errorf("weights: %s: %w", name, err)
		}
		list[i] = v
	}
	if err := tfgraph.WriteCheckpoint(r.Out, names, list); err != nil {
		return err
	}
	b, err := bundle.Open(r.Out) // read back, with checksums
	if err != nil {
		return err
	}
	return b.Verify()
}
