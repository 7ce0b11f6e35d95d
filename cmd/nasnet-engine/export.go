package main

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Names of an exported model's signatures, inputs and outputs.
const (
	defaultSignature = "serving_default" // float images, prepared by the caller
	bytesSignature   = "serving_bytes"   // encoded images, prepared in the graph
	imagesInput      = "images"
	bytesInput       = "image_bytes"
	logitsOutput     = "logits"
	probOutput       = "probabilities"
	classesOutput    = "classes"
)

// export writes a checkpoint's network as a SavedModel.
func export(_ context.Context, r api.ExportRequest, _ emitter) (api.ExportResult, error) {
	plan, err := model.Build(r.Model)
	if err != nil {
		return api.ExportResult{}, usage(err)
	}
	if len(r.Classes) != 0 && len(r.Classes) != plan.Model.Classes {
		return api.ExportResult{}, usage(fmt.Errorf("export: %d class names for a network of %d classes", len(r.Classes), plan.Model.Classes))
	}
	st, err := constants(plan, train.Checkpoint{Dir: r.Checkpoint}.Prefix(), r.Averages)
	if err != nil {
		return api.ExportResult{}, err
	}
	g := tfgraph.New()
	c := savedmodel.Content{Graph: g, Assets: map[string][]byte{}, Manifest: r.Manifest, Signatures: signatures(g.Root(), st, plan, r)}
	if len(r.Classes) > 0 {
		c.Assets[savedmodel.ClassesAsset] = []byte(strings.Join(r.Classes, "\n") + "\n")
	}
	dir, err := savedmodel.Write(r.Dir, r.Version, c)
	if err != nil {
		return api.ExportResult{}, err
	}
	size, err := treeSize(dir)
	return api.ExportResult{Dir: dir, Bytes: size, Signatures: []string{defaultSignature, bytesSignature}}, err
}

// signatures builds one network for each way of calling it, on shared constants.
func signatures(s *tfgraph.Scope, st *tfgraph.Store, plan *model.Plan, r api.ExportRequest) map[string]savedmodel.Signature {
	in := plan.Model.Input
	images := tfgraph.Placeholder(s, imagesInput, tfgraph.Float32, tfgraph.Shape{-1, int64(in[0]), int64(in[1]), int64(in[2])})
	encoded := tfgraph.Placeholder(s, bytesInput, tfgraph.String, tfgraph.Shape{-1})
	prepared := data.Decode(s.Sub("decode"), encoded, data.Preparation{Height: int64(in[0]), Width: int64(in[1]), Standardize: data.Standardize(r.Standardize)})
	floats := network.Build(s.Sub("floats"), st, plan, images, network.Options{})
	bytes := network.Build(s.Sub("bytes"), st.Shared(), plan, prepared, network.Options{})
	return map[string]savedmodel.Signature{
		defaultSignature: {
			Method: savedmodel.PredictMethod, Inputs: map[string]tfgraph.Tensor{imagesInput: images},
			Outputs: answers(s.Sub("floats_out"), floats.Logits, r.Classes),
		},
		bytesSignature: {
			Method: savedmodel.PredictMethod, Inputs: map[string]tfgraph.Tensor{bytesInput: encoded},
			Outputs: answers(s.Sub("bytes_out"), bytes.Logits, r.Classes),
		},
	}
}

// answers are a signature's outputs: logits and probabilities [N,K], and the
// name (or number) of the best class [N].
func answers(s *tfgraph.Scope, logits tfgraph.Tensor, names []string) map[string]tfgraph.Tensor {
	best := tfgraph.ArgMax(s, logits)
	if len(names) > 0 {
		best = tfgraph.Gather(s, tfgraph.StringsConst(s, names), best)
	}
	return map[string]tfgraph.Tensor{
		logitsOutput:  tfgraph.Identity(s, logitsOutput, logits),
		probOutput:    s.One("Softmax", nil, logits),
		classesOutput: best,
	}
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

// checkExport loads a SavedModel in this, a new process, and compares its
// logits of the first test images with those computed by the trainer.
func checkExport(_ context.Context, r api.CheckExportRequest, _ emitter) (api.CheckExportResult, error) {
	want, shape, err := npy.Read(r.Expected)
	if err != nil {
		return api.CheckExportResult{}, err
	}
	if len(shape) != 2 || shape[0] < int64(r.Images) {
		return api.CheckExportResult{}, fmt.Errorf("check-export: %s holds logits of shape %v, for %d images", r.Expected, shape, r.Images)
	}
	im, err := data.LoadCIFAR(r.Data.Test, firsts(r.Images))
	if err != nil {
		return api.CheckExportResult{}, err
	}
	got, err := logitsOf(r, im)
	if err != nil {
		return api.CheckExportResult{}, err
	}
	if int64(len(got)) != int64(r.Images)*shape[1] {
		return api.CheckExportResult{}, fmt.Errorf("check-export: the SavedModel gave %d logits for %d images of %d classes", len(got), r.Images, shape[1])
	}
	worst := 0.0
	for i, x := range got {
		worst = math.Max(worst, math.Abs(float64(x)-float64(want[i])))
	}
	return api.CheckExportResult{Images: r.Images, MaxAbsDiff: worst}, nil
}

func firsts(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	return ids
}

func logitsOf(r api.CheckExportRequest, im data.Images) ([]float32, error) {
	m, err := savedmodel.Load(r.SavedModel, sessionOptions(r.Threads))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	g := tfgraph.New()
	input := evalInput(g.Root(), im, r.Data, im.Len())
	sess, err := tfgraph.NewSession(g, sessionOptions(r.Threads))
	if err != nil {
		return nil, err
	}
	defer sess.Close()
	if err := input.Start(sess, 0); err != nil {
		return nil, err
	}
	out, err := sess.Run(nil, []tfgraph.Tensor{input.Images})
	if err != nil {
		return nil, err
	}
	return savedLogits(m, out[0])
}
