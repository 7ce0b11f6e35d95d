package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// export writes a checkpoint's network as a SavedModel.
func export(_ context.Context, r api.ExportRequest, _ emitter) (api.ExportResult, error) {
	plan, err := model.Build(r.Model)
	if err != nil {
		return api.ExportResult{}, usage(err)
	}
	if err := exportable(r); err != nil {
		return api.ExportResult{}, usage(err)
	}
	values, err := trainedWeights(plan, checkpointPrefix(r.Checkpoint), r.Averages)
	if err != nil {
		return api.ExportResult{}, err
	}
	c, done, err := exportContent(plan, values, r)
	defer done()
	if err != nil {
		return api.ExportResult{}, err
	}
	c.Manifest = manifest(plan, values, c, r)
	dir, err := savedmodel.Write(r.Dir, r.Version, c)
	if err != nil {
		return api.ExportResult{}, err
	}
	size, err := treeSize(dir)
	return api.ExportResult{Dir: dir, Bytes: size, Signatures: c.Manifest.Signatures}, err
}

// exportable checks what the model itself does not say.
func exportable(r api.ExportRequest) error {
	switch {
	case len(r.Classes) != 0 && len(r.Classes) != r.Model.Classes:
		return fmt.Errorf("export: %d class names for a network of %d classes", len(r.Classes), r.Model.Classes)
	case storedType(r.Weights) == 0:
		return fmt.Errorf("export: weights as %q; want float32, float16 or bfloat16", r.Weights)
	case r.Weights != float32Weights && !r.Optimize:
		return fmt.Errorf("export: weights as %s need an optimised export; variables are float32", r.Weights)
	}
	return nil
}

const float32Weights = "float32"

// storedType is the type that weights are stored in, 0 for an unknown name.
func storedType(name string) tfgraph.DataType {
	return map[string]tfgraph.DataType{float32Weights: tfgraph.Float32, "float16": tfgraph.Half, "bfloat16": tfgraph.Bfloat16}[name]
}

// exportContent builds the graph to be written. done frees what holds its
// variables.
func exportContent(plan *model.Plan, values model.Values, r api.ExportRequest) (c savedmodel.Content, done func(), err error) {
	g := tfgraph.New()
	s := g.Root()
	in := newEntrance(s, preparation(r.Model, r.Standardize, r.Eval))
	c = savedmodel.Content{Graph: g, Assets: map[string][]byte{}, Extra: map[string][]byte{}}
	var out network.Output
	done = func() {}
	if r.Optimize {
		out, err = optimized(s, plan, values, in.images, r)
	} else {
		var sess *tfgraph.Session
		out, c.Variables, sess, err = withVariables(s, plan, values, in.images, tfgraph.SessionOptions{Grappler: tfgraph.GrapplerOff})
		if c.Session = sess; sess != nil {
			done = func() { sess.Close() }
		}
	}
	if err != nil {
		return c, done, err
	}
	c.Signatures = in.signatures(s, plan, out, r.Classes, r.Features)
	if len(r.Classes) > 0 {
		c.Assets[savedmodel.ClassesAsset] = []byte(strings.Join(r.Classes, "\n") + "\n")
	}
	c.Extra[savedmodel.WarmupFile], err = warmup(r)
	return c, done, err
}

// optimized is the network folded and frozen.
func optimized(s *tfgraph.Scope, plan *model.Plan, values model.Values, images tfgraph.Tensor, r api.ExportRequest) (network.Output, error) {
	var keep []string
	if r.Features {
		keep = []string{plan.LastMap()}
	}
	folded, foldedValues, err := plan.Inference(values, keep...)
	if err != nil {
		return network.Output{}, err
	}
	st, err := network.StoredConstants(folded, foldedValues, storedType(r.Weights))
	if err != nil {
		return network.Output{}, err
	}
	return network.Build(s, st, folded, images, network.Options{}), nil
}

// withVariables is the network as it was trained, in a session in which its
// variables have their values.
func withVariables(s *tfgraph.Scope, plan *model.Plan, values model.Values, images tfgraph.Tensor, o tfgraph.SessionOptions) (network.Output, *tfgraph.Saver, *tfgraph.Session, error) {
	st := tfgraph.NewStore(0)
	out := network.Build(s, st, plan, images, network.Options{})
	names, list := make([]string, len(st.All())), make([]*tfgraph.Value, len(st.All()))
	for i, v := range st.All() {
		var err error
		if list[i], err = tfgraph.NewValue(values[v.Name], v.Shape...); err != nil {
			return out, nil, nil, fmt.Errorf("export: %s: %w", v.Name, err)
		}
		names[i] = v.Name
	}
	saver := tfgraph.NewSaver(s.Sub("save"), names, st.All())
	sess, err := tfgraph.NewSession(s.Graph(), o)
	if err != nil {
		return out, nil, nil, err
	}
	return out, saver, sess, restore(saver, sess, names, list)
}

// restore gives a session's variables their values by way of a checkpoint, which
// leaves no nodes in the graph that is exported.
func restore(saver *tfgraph.Saver, sess *tfgraph.Session, names []string, values []*tfgraph.Value) error {
	dir, err := os.MkdirTemp("", "nasnet-export-")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer os.RemoveAll(dir)
	prefix := filepath.Join(dir, "weights")
	if err := tfgraph.WriteCheckpoint(prefix, names, values); err != nil {
		return err
	}
	return saver.RestoreFrom(sess, prefix)
}

// warmup has one request of each signature, with a black image.
func warmup(r api.ExportRequest) ([]byte, error) {
	in := r.Model.Input
	black, err := tfgraph.NewValue(make([]float32, in[0]*in[1]*in[2]), 1, int64(in[0]), int64(in[1]), int64(in[2]))
	if err != nil {
		return nil, err
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewRGBA(image.Rect(0, 0, in[1], in[0]))); err != nil {
		return nil, err
	}
	encoded, err := tfgraph.Strings([]string{picture.String()})
	if err != nil {
		return nil, err
	}
	w := savedmodel.Warmup{Model: r.Name}
	w.Predict(defaultSignature, imagesInput, black)
	w.Predict(bytesSignature, bytesInput, encoded)
	w.Classify(classifySignature, savedmodel.ImageExample(imageKey, picture.Bytes()))
	if r.Features {
		w.Predict(featuresSignature, imagesInput, black)
	}
	return w.File()
}

func manifest(plan *model.Plan, values model.Values, c savedmodel.Content, r api.ExportRequest) *savedmodel.Manifest {
	p := preparation(r.Model, r.Standardize, r.Eval)
	m := &savedmodel.Manifest{
		Name: r.Name, Version: r.Version, Run: r.Origin.Run, Checkpoint: r.Checkpoint, WeightsDigest: savedmodel.DigestWeights(values),
		Optimized: r.Optimize, Weights: r.Weights, Signatures: slices.Sorted(maps.Keys(c.Signatures)),
		Input: plan.Model.Input, Classes: plan.Model.Classes, Cell: plan.Model.Cell.String(), Preprocessing: described(p),
		Versions: map[string]string{"nasnet": r.Origin.Version, "tensorflow": tfgraph.Version()},
	}
	if a := r.Origin.Accuracy; a != nil {
		m.Accuracy = &savedmodel.Accuracy{Images: a.Images, Top1: a.Top1, Top5: a.Top5, Top1CI95: a.Top1CI95}
	}
	return m
}

func described(p data.Preparation) savedmodel.Preprocessing {
	d := savedmodel.Preprocessing{Colours: "RGB", CentralCrop: p.Crop, Resize: "bilinear, antialiased", Standardize: string(p.Standardize)}
	if p.Legacy {
		d.Resize = "bilinear of TensorFlow 1"
	}
	return d
}

func treeSize(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}
