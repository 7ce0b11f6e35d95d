package main

import (
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Names of an exported model's signatures, inputs and outputs.
const (
	defaultSignature  = "serving_default" // float images, prepared by the caller
	bytesSignature    = "serving_bytes"   // encoded images, prepared in the graph
	classifySignature = "classify"        // tf.Examples with encoded images: TensorFlow Serving's classification
	featuresSignature = "features"        // float images; pooled features and the last map

	imagesInput   = "images"
	bytesInput    = "image_bytes"
	examplesInput = "inputs" // TensorFlow Serving's name
	logitsOutput  = "logits"
	probOutput    = "probabilities"
	classesOutput = "classes"
	scoresOutput  = "scores"
	pooledOutput  = "pooled"
	mapOutput     = "last_map"

	imageKey = "image/encoded" // of an Example, as in ImageNet's record files
)

// candidates is how many classes the classification signature answers at most.
const candidates = 5

// entrance is how images come into an exported network. It is one chain, and a
// signature feeds it at its own place, so that all of them share the network:
//
//	examples ─ parse ─► image_bytes ─ decode ─► images ─► network
type entrance struct{ examples, encoded, images tfgraph.Tensor }

func newEntrance(s *tfgraph.Scope, p data.Preparation) entrance {
	e := entrance{examples: tfgraph.Placeholder(s, "examples", tfgraph.String, tfgraph.Shape{-1})}
	e.encoded = tfgraph.PlaceholderWithDefault(s, bytesInput, data.ExampleImages(s.Sub("parse"), e.examples, imageKey)) // [N]
	e.images = tfgraph.PlaceholderWithDefault(s, imagesInput, data.Decode(s.Sub("decode"), e.encoded, p))               // [N,H,W,C]
	return e
}

// signatures are the ways of calling a network behind its entrance. Without
// class names classes are answered by number.
func (e entrance) signatures(s *tfgraph.Scope, plan *model.Plan, out network.Output, classes []string, features bool) map[string]savedmodel.Signature {
	logits := tfgraph.Identity(s, logitsOutput, out.Logits)
	probabilities := s.One("Softmax", nil, logits)
	name := func(i tfgraph.Tensor) tfgraph.Tensor { return i }
	text := func(i tfgraph.Tensor) tfgraph.Tensor { return s.One("AsString", nil, i) }
	if len(classes) > 0 {
		names := tfgraph.StringsConst(s, classes)
		name = func(i tfgraph.Tensor) tfgraph.Tensor { return tfgraph.Gather(s, names, i) }
		text = name
	}
	scores, indices := tfgraph.TopK(s, probabilities, int64(min(candidates, plan.Model.Classes)))
	type tensors = map[string]tfgraph.Tensor
	answers := tensors{logitsOutput: logits, probOutput: probabilities, classesOutput: name(tfgraph.ArgMax(s, logits))}
	list := map[string]savedmodel.Signature{
		defaultSignature:  {Method: savedmodel.PredictMethod, Inputs: tensors{imagesInput: e.images}, Outputs: answers},
		bytesSignature:    {Method: savedmodel.PredictMethod, Inputs: tensors{bytesInput: e.encoded}, Outputs: answers},
		classifySignature: {Method: savedmodel.ClassifyMethod, Inputs: tensors{examplesInput: e.examples}, Outputs: tensors{classesOutput: text(indices), scoresOutput: scores}},
	}
	if features {
		list[featuresSignature] = savedmodel.Signature{Method: savedmodel.PredictMethod, Inputs: tensors{imagesInput: e.images}, Outputs: tensors{
			pooledOutput: tfgraph.Identity(s, pooledOutput, out.Pooled), mapOutput: tfgraph.Identity(s, mapOutput, out.EndPoints[plan.LastMap()]),
		}}
	}
	return list
}
