package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// checkExport loads a SavedModel in this, a new process, and compares what every
// signature answers to the first test images with what the trainer computed.
func checkExport(_ context.Context, r api.CheckExportRequest, _ emitter) (api.CheckExportResult, error) {
	want, shape, err := npy.Read(r.Expected)
	if err != nil {
		return api.CheckExportResult{}, err
	}
	if len(shape) != 2 || shape[0] < int64(r.Images) || r.Images < 1 {
		return api.CheckExportResult{}, fmt.Errorf("check-export: %s holds logits of shape %v, for %d images", r.Expected, shape, r.Images)
	}
	im, err := testImages(r.Data, r.Model, r.Images)
	if err != nil {
		return api.CheckExportResult{}, err
	}
	m, err := savedmodel.Load(r.SavedModel, sessionOptions(r.Threads))
	if err != nil {
		return api.CheckExportResult{}, err
	}
	defer m.Close()
	images, err := preparedImages(r, im)
	if err != nil {
		return api.CheckExportResult{}, err
	}
	c := exportCheck{m: m, r: r, classes: int(shape[1]), want: want[:r.Images*int(shape[1])], images: images}
	if c.pictures, err = im.encoded(r.Images); err != nil {
		return api.CheckExportResult{}, err
	}
	return c.run()
}

func firsts(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	return ids
}

// pictures are the first n images as PNG files.
func pictures(im data.Images, n int) ([][]byte, error) {
	list := make([][]byte, n)
	h, w := int(im.Size[0]), int(im.Size[1])
	for i := range list {
		pixels := im.Pixels[i*h*w*3:]
		picture := image.NewRGBA(image.Rect(0, 0, w, h))
		for p := range h * w {
			picture.SetRGBA(p%w, p/w, color.RGBA{pixels[3*p], pixels[3*p+1], pixels[3*p+2], 255})
		}
		var out bytes.Buffer
		if err := png.Encode(&out, picture); err != nil {
			return nil, fmt.Errorf("check-export: %w", err)
		}
		list[i] = out.Bytes()
	}
	return list, nil
}

// preparedImages are test images as the trainer's evaluation sees them.
func preparedImages(r api.CheckExportRequest, im examples) (*tfgraph.Value, error) {
	g := tfgraph.New()
	input := im.ordered(g.Root(), im.Len())
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
	return out[0], nil
}

// exportCheck compares the signatures of one model.
type exportCheck struct {
	m        *savedmodel.Model
	r        api.CheckExportRequest
	classes  int
	want     []float32 // logits [N,classes]
	images   *tfgraph.Value
	pictures [][]byte
	result   api.CheckExportResult
}

func (c exportCheck) run() (api.CheckExportResult, error) {
	c.result = api.CheckExportResult{Images: c.r.Images, Signatures: map[string]float64{}}
	for _, x := range c.want {
		c.result.LargestLogit = math.Max(c.result.LargestLogit, math.Abs(float64(x)))
	}
	for _, name := range slices.Sorted(maps.Keys(c.m.Signatures)) {
		difference, err := c.signature(name)
		if err != nil {
			return c.result, fmt.Errorf("check-export: signature %s: %w", name, err)
		}
		c.result.Signatures[name] = difference
		c.result.MaxAbsDiff = math.Max(c.result.MaxAbsDiff, difference)
	}
	return c.result, nil
}

func (c *exportCheck) signature(name string) (float64, error) {
	switch name {
	case defaultSignature:
		return c.logits(name, imagesInput, c.images)
	case bytesSignature:
		encoded, err := texts(c.pictures)
		if err != nil {
			return 0, err
		}
		return c.logits(name, bytesInput, encoded)
	case classifySignature:
		return c.classify()
	case featuresSignature:
		return c.features()
	}
	return 0, fmt.Errorf("it is not one that this program writes")
}

func texts(list [][]byte) (*tfgraph.Value, error) {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = string(b)
	}
	return tfgraph.Strings(out)
}

func (c *exportCheck) logits(signature, input string, value *tfgraph.Value) (float64, error) {
	_, out, err := c.m.Run(signature, map[string]*tfgraph.Value{input: value}, []string{logitsOutput})
	if err != nil {
		return 0, err
	}
	got, err := tfgraph.Data[float32](out[0])
	if err != nil {
		return 0, err
	}
	if signature == defaultSignature && len(got) == len(c.want) {
		for at := 0; at < len(got); at += c.classes {
			if best(got[at:at+c.classes], nil, 1)[0].Index == best(c.want[at:at+c.classes], nil, 1)[0].Index {
				c.result.SameClass++
			}
		}
	}
	return farthest(got, c.want)
}

// farthest is the largest difference; not a number counts as infinitely far.
func farthest(got, want []float32) (float64, error) {
	if len(got) != len(want) {
		return 0, fmt.Errorf("it gave %d values, want %d", len(got), len(want))
	}
	worst := 0.0
	for i, x := range got {
		d := math.Abs(float64(x) - float64(want[i]))
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		worst = math.Max(worst, d)
	}
	if math.IsInf(worst, 1) {
		return worst, fmt.Errorf("it gave values that are not finite")
	}
	return worst, nil
}

// classify compares the score of each class that is named with the trainer's
// probability of that class.
func (c *exportCheck) classify() (float64, error) {
	examples := make([][]byte, len(c.pictures))
	for i, p := range c.pictures {
		var err error
		if examples[i], err = proto.Marshal(savedmodel.ImageExample(imageKey, p)); err != nil {
			return 0, err
		}
	}
	in, err := texts(examples)
	if err != nil {
		return 0, err
	}
	_, out, err := c.m.Run(classifySignature, map[string]*tfgraph.Value{examplesInput: in}, []string{classesOutput, scoresOutput})
	if err != nil {
		return 0, err
	}
	scores, err := tfgraph.Data[float32](out[1])
	if err != nil {
		return 0, err
	}
	names, ok := out[0].Value().([][]string)
	if !ok || len(names) != len(c.pictures) || len(scores) != len(names)*len(names[0]) {
		return 0, fmt.Errorf("it gave classes of shape %v and scores of shape %v for %d images", out[0].Shape(), out[1].Shape(), len(c.pictures))
	}
	expected := make([]float32, len(scores))
	for i, row := range names {
		all := best(c.want[i*c.classes:(i+1)*c.classes], c.m.Classes, c.classes)
		for j, name := range row {
			at := slices.IndexFunc(all, func(k api.Class) bool { return k.Name == name || k.Name == "" && strconv.Itoa(k.Index) == name })
			if at < 0 {
				return 0, fmt.Errorf("it named a class %q that the model does not have", name)
			}
			expected[i*len(row)+j] = float32(all[at].Probability)
		}
	}
	return farthest(scores, expected)
}

// features compares with the plain network of the checkpoint; where values are
// larger than 1, as a share of the largest.
func (c *exportCheck) features() (float64, error) {
	plan, err := model.Build(c.r.Model)
	if err != nil {
		return 0, usage(err)
	}
	st, err := constants(plan, checkpointPrefix(c.r.Checkpoint), c.r.Averages)
	if err != nil {
		return 0, err
	}
	g := tfgraph.New()
	plain := network.Build(g.Root(), st, plan, tfgraph.ConstValue(g.Root(), c.images), network.Options{})
	sess, err := tfgraph.NewSession(g, sessionOptions(c.r.Threads))
	if err != nil {
		return 0, err
	}
	defer sess.Close()
	want, err := sess.Run(nil, []tfgraph.Tensor{plain.Pooled, plain.EndPoints[plan.LastMap()]})
	if err != nil {
		return 0, err
	}
	_, got, err := c.m.Run(featuresSignature, map[string]*tfgraph.Value{imagesInput: c.images}, []string{pooledOutput, mapOutput})
	if err != nil {
		return 0, err
	}
	worst := 0.0
	for i := range want {
		w, err := tfgraph.Data[float32](want[i])
		if err != nil {
			return 0, err
		}
		v, err := tfgraph.Data[float32](got[i])
		if err != nil {
			return 0, err
		}
		d, err := farthest(v, w)
		if err != nil {
			return 0, err
		}
		largest, err := farthest(w, make([]float32, len(w)))
		if err != nil {
			return 0, err
		}
		worst = math.Max(worst, d/math.Max(1, largest))
	}
	return worst, nil
}
