package main

import (
	"fmt"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/imagegate"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/detect"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Names of an exported detector's inputs and outputs: those of TensorFlow's
// detection models (reference detection.md section 11).
const (
	detectInputs   = "inputs"                      // of serving_default: uint8 [N,H,W,3]
	imageNode      = "image_tensor"                // its placeholder
	encodedNode    = "encoded_image_string_tensor" // that of encoded images
	boxesOutput    = "detection_boxes"             // float32 [N,D,4]: ymin, xmin, ymax, xmax, 0..1
	dScoresOutput  = "detection_scores"            // float32 [N,D]
	dClassesOutput = "detection_classes"           // float32 [N,D], from 1
	countOutput    = "num_detections"              // float32 [N]
)

// detectionOutputs lists them in the order that spotters fetch.
var detectionOutputs = []string{boxesOutput, dScoresOutput, dClassesOutput, countOutput}

// detectionAnswers are a detector's outputs by name.
func detectionAnswers(s *tfgraph.Scope, d detect.Detections) map[string]tfgraph.Tensor {
	float := func(name string, x tfgraph.Tensor) tfgraph.Tensor {
		return tfgraph.Identity(s, name, tfgraph.Cast(s, x, tfgraph.Float32))
	}
	return map[string]tfgraph.Tensor{
		boxesOutput: float(boxesOutput, d.Boxes), dScoresOutput: float(dScoresOutput, d.Scores),
		dClassesOutput: float(dClassesOutput, d.Classes), countOutput: float(countOutput, d.Count),
	}
}

// detectorPreparation is how a detector's images are made of what is decoded.
func detectorPreparation(p *detector.Plan) data.Preparation {
	in := p.First.Model.Input
	return data.Preparation{Height: int64(in[0]), Width: int64(in[1]), Standardize: data.Inception, Legacy: true}
}

// encodedDetector adds a detector of encoded images: their placeholder, string
// [N], and the outputs.
func encodedDetector(s *tfgraph.Scope, st *tfgraph.Store, p *detector.Plan) (encoded tfgraph.Tensor, answers map[string]tfgraph.Tensor) {
	encoded = tfgraph.Placeholder(s, encodedNode, tfgraph.String, tfgraph.Shape{-1})
	d := detect.Detect(s, st, p, data.Decode(s.Sub("decode"), encoded, detectorPreparation(p)))
	return encoded, detectionAnswers(s, d)
}

// loadDetector plans a checkpoint's detector for running forward only, with its
// weights and the digest of those it was trained to.
func loadDetector(r api.DetectorSource) (*detector.Plan, model.Values, string, error) {
	if r.Detector == nil {
		return nil, nil, "", usage(fmt.Errorf("detect: a checkpoint needs its detector"))
	}
	p, err := detector.Build(*r.Detector)
	if err != nil {
		return nil, nil, "", usage(err)
	}
	trained, err := trainedWeights(p.Whole(), checkpointPrefix(r.Checkpoint), r.Averages)
	if err != nil {
		return nil, nil, "", err
	}
	p, values, err := p.Inference(trained)
	return p, values, savedmodel.DigestWeights(trained), err
}

// spotter finds objects in images.
type spotter struct {
	// run takes encoded images, string [N], to detectionOutputs.
	run     func(encoded *tfgraph.Value) ([]*tfgraph.Value, error)
	classes []string // names by label, from 1; may be empty
	close   func()
}

func newSpotter(r api.DetectorSource) (spotter, error) {
	if r.SavedModel != "" {
		m, err := savedmodel.Load(r.SavedModel, sessionOptions(r.Threads))
		if err != nil {
			return spotter{}, err
		}
		run := func(encoded *tfgraph.Value) ([]*tfgraph.Value, error) {
			_, out, err := m.Run(bytesSignature, map[string]*tfgraph.Value{bytesInput: encoded}, detectionOutputs)
			return out, err
		}
		return spotter{run: run, classes: m.Classes, close: func() { m.Close() }}, nil
	}
	p, values, _, err := loadDetector(r)
	if err != nil {
		return spotter{}, err
	}
	st, err := network.Constants(p.Whole(), values)
	if err != nil {
		return spotter{}, err
	}
	g := tfgraph.New()
	in, answers := encodedDetector(g.Root(), st, p)
	sess, err := tfgraph.NewSession(g, sessionOptions(r.Threads))
	if err != nil {
		return spotter{}, err
	}
	return spotter{run: runIn(sess, in, answers), close: func() { sess.Close() }}, nil
}

// runIn fetches a detector's outputs in a session.
func runIn(sess *tfgraph.Session, in tfgraph.Tensor, answers map[string]tfgraph.Tensor) func(*tfgraph.Value) ([]*tfgraph.Value, error) {
	fetches := make([]tfgraph.Tensor, len(detectionOutputs))
	for i, name := range detectionOutputs {
		fetches[i] = answers[name]
	}
	return func(encoded *tfgraph.Value) ([]*tfgraph.Value, error) {
		return sess.Run(tfgraph.Feeds{in: encoded}, fetches)
	}
}

// find returns what is on each of the encoded images, best first.
func (sp spotter) find(images [][]byte) ([]api.FoundIn, error) {
	list := make([]string, len(images))
	found := make([]api.FoundIn, len(images))
	for i, raw := range images {
		info, err := imagegate.Inspect(raw, 0)
		if err == nil && info.Format == imagegate.WebP {
			err = fmt.Errorf("it is a %s, which TensorFlow does not read; want JPEG, PNG, GIF or BMP", info.Format)
		}
		if err != nil {
			return nil, err
		}
		list[i], found[i].Width, found[i].Height = string(raw), info.Width, info.Height
	}
	v, err := tfgraph.Strings(list)
	if err != nil {
		return nil, err
	}
	out, err := sp.run(v)
	if err != nil {
		return nil, err
	}
	var f [4][]float32 // boxes, scores, classes, count
	for i := range f {
		if f[i], err = tfgraph.Data[float32](out[i]); err != nil {
			return nil, err
		}
	}
	rows := len(f[1]) / len(images)
	for i := range found {
		for k := i * rows; k < i*rows+int(f[3][i]); k++ {
			found[i].Found = append(found[i].Found, sp.object(found[i], f[0][4*k:], f[1][k], int(f[2][k])))
		}
	}
	return found, nil
}

// object makes one of a box [ymin, xmin, ymax, xmax], as shares of its image.
func (sp spotter) object(in api.FoundIn, box []float32, score float32, label int) api.Found {
	w, h := float64(in.Width), float64(in.Height)
	f := api.Found{Label: label, Score: float64(score), Box: [4]float64{
		float64(box[1]) * w, float64(box[0]) * h, float64(box[3]-box[1]) * w, float64(box[2]-box[0]) * h,
	}}
	if label >= 1 && label <= len(sp.classes) {
		f.Name = sp.classes[label-1]
	}
	return f
}
