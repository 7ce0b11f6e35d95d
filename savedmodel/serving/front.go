package serving

import (
	"context"
	"maps"
	"slices"

	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// Names that TensorFlow Serving gives a meaning.
const (
	defaultSignature = "serving_default"
	classifyMethod   = "tensorflow/serving/classify"
	regressMethod    = "tensorflow/serving/regress"
	examplesInput    = "inputs" // of a classification or regression: serialized tf.Examples
	classesOutput    = "classes"
	scoresOutput     = "scores"
	valuesOutput     = "outputs"
	signaturesField  = "signature_def" // of a model's metadata
)

// front does what the transports have in common: it finds the model that a
// request names, checks the request against it, and asks it.
type front struct {
	models Models
	limits Limits
}

func signatureName(spec *servingpb.ModelSpec) string {
	if name := spec.GetSignatureName(); name != "" {
		return name
	}
	return defaultSignature
}

// resolved is the spec that a reply carries.
func resolved(m Held, signature string) *servingpb.ModelSpec {
	return &servingpb.ModelSpec{
		Name: m.Name(), SignatureName: signature, VersionChoice: &servingpb.ModelSpec_Version{Version: wrapperspb.Int64(m.Version())},
	}
}

// predict asks a held model. The inputs are checked and changed in place.
func (f front) predict(ctx context.Context, m Held, signature string, sig *corepb.SignatureDef, inputs map[string]*tensorpb.TensorProto, filter []string) (*servingpb.PredictResponse, error) {
	if err := checkInputs(inputs, sig, f.limits); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, name := range filter {
		if sig.GetOutputs()[name] == nil {
			return nil, invalid("output tensor alias not found in signature: %s Outputs expected to be in the set {%s}.", clip(name), joined(sig.GetOutputs()))
		}
		if seen[name] {
			return nil, invalid("duplicate output tensor alias: %s", name)
		}
		seen[name] = true
	}
	out, err := m.Predict(ctx, &servingpb.PredictRequest{ModelSpec: resolved(m, signature), Inputs: inputs, OutputFilter: filter})
	if err != nil {
		return nil, stateOf(ctx, err)
	}
	out.ModelSpec = resolved(m, signature)
	return out, nil
}

// stateOf gives every error a state; a client that left or ran out of time is
// told apart from a failure.
func stateOf(ctx context.Context, err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.FromContextError(err).Err()
}

// examplesOf are the serialized Examples of an input, a context before each.
func examplesOf(in *servingpb.Input) ([][]byte, error) {
	list := in.GetExampleList().GetExamples()
	var context []byte
	if c := in.GetExampleListWithContext(); c != nil {
		list = c.GetExamples()
		raw, err := proto.Marshal(c.GetContext())
		if err != nil {
			return nil, invalid("context: %v", err)
		}
		context = raw
	}
	if len(list) == 0 {
		return nil, invalid("Input is empty.")
	}
	out := make([][]byte, len(list))
	for i, e := range list {
		if e == nil {
			e = &examplepb.Example{}
		}
		raw, err := proto.MarshalOptions{}.MarshalAppend(slices.Clip(context), e)
		if err != nil {
			return nil, invalid("Example %d: %v", i, err)
		}
		out[i] = raw
	}
	return out, nil
}

// onExamples runs a signature that takes serialized Examples.
func (f front) onExamples(ctx context.Context, m Held, signature string, sig *corepb.SignatureDef, examples [][]byte) (map[string]*tensorpb.TensorProto, error) {
	inputs := map[string]*tensorpb.TensorProto{examplesInput: {
		Dtype: typespb.DataType_DT_STRING, TensorShape: tensorproto.Shape([]int64{int64(len(examples))}), StringVal: examples,
	}}
	out, err := f.predict(ctx, m, signature, sig, inputs, nil)
	return out.GetOutputs(), err
}

// signatureFor finds a signature for a method on Examples, by its form, as
// TensorFlow Serving does.
func signatureFor(m Held, spec *servingpb.ModelSpec, method string) (*corepb.SignatureDef, error) {
	sig, ok := m.Signatures()[signatureName(spec)]
	if !ok {
		return nil, invalid("No signature was found with the name: %s", clip(signatureName(spec)))
	}
	return sig, checkForm(sig, method)
}

// checkForm holds a signature against what a method needs of it.
func checkForm(sig *corepb.SignatureDef, method string) error {
	in, out := sig.GetInputs(), sig.GetOutputs()
	kind, most := "classification", 2
	if method == regressMethod {
		kind, most = "regression", 1
	}
	switch {
	case len(in) != 1:
		return invalid("Expected one input Tensor.")
	case kind == "regression" && len(out) != 1:
		return invalid("Expected one output Tensor.")
	case len(out) < 1 || len(out) > most:
		return invalid("Expected one or two output Tensors, found %d", len(out))
	case in[examplesInput] == nil:
		return invalid("No %s inputs found in SignatureDef: its input is %s", kind, joined(in))
	case kind == "regression" && out[valuesOutput] == nil:
		return invalid("No regression outputs found in SignatureDef: its outputs are %s", joined(out))
	case kind == "classification" && out[classesOutput] == nil && out[scoresOutput] == nil:
		return invalid("Expected classification signature outputs to contain at least one of \"classes\" or \"scores\". Signature was: its outputs are %s", joined(out))
	}
	return nil
}

// classify answers with candidates for each Example.
func (f front) classify(ctx context.Context, spec *servingpb.ModelSpec, in *servingpb.Input) (*servingpb.ClassificationResponse, error) {
	a, err := f.answer(ctx, spec, in, classifyMethod)
	if err != nil {
		return nil, err
	}
	result, err := classifications(a.outputs, a.examples)
	return &servingpb.ClassificationResponse{ModelSpec: a.spec, Result: result}, err
}

// regress answers with one number for each Example.
func (f front) regress(ctx context.Context, spec *servingpb.ModelSpec, in *servingpb.Input) (*servingpb.RegressionResponse, error) {
	a, err := f.answer(ctx, spec, in, regressMethod)
	if err != nil {
		return nil, err
	}
	result, err := regressions(a.outputs, a.examples)
	return &servingpb.RegressionResponse{ModelSpec: a.spec, Result: result}, err
}

// answered is what a signature made of Examples.
type answered struct {
	spec     *servingpb.ModelSpec // the version that answered
	outputs  map[string]*tensorpb.TensorProto
	examples int
}

// answer runs a signature of a method on Examples.
func (f front) answer(ctx context.Context, spec *servingpb.ModelSpec, in *servingpb.Input, method string) (a answered, err error) {
	m, err := f.models.Find(spec)
	if err != nil {
		return a, stateOf(ctx, err)
	}
	defer m.Release()
	sig, err := signatureFor(m, spec, method)
	if err != nil {
		return a, err
	}
	examples, err := examplesOf(in)
	if err != nil {
		return a, err
	}
	a.spec, a.examples = resolved(m, signatureName(spec)), len(examples)
	a.outputs, err = f.onExamples(ctx, m, signatureName(spec), sig, examples)
	return a, err
}

// infer runs several classifications and regressions of one model on the same
// Examples. TensorFlow Serving computes them in one run; here each is a run.
func (f front) infer(ctx context.Context, r *servingpb.MultiInferenceRequest) (*servingpb.MultiInferenceResponse, error) {
	if len(r.GetTasks()) == 0 {
		return nil, invalid("ModelSpec has no name specified.")
	}
	first := r.GetTasks()[0].GetModelSpec()
	m, err := f.models.Find(first)
	if err != nil {
		return nil, stateOf(ctx, err)
	}
	defer m.Release()
	if err := checkTasks(m, r.GetTasks()); err != nil {
		return nil, err
	}
	examples, err := examplesOf(r.GetInput())
	if err != nil {
		return nil, err
	}
	reply := &servingpb.MultiInferenceResponse{}
	for _, task := range r.GetTasks() {
		name := signatureName(task.GetModelSpec())
		out, err := f.onExamples(ctx, m, name, m.Signatures()[name], slices.Clone(examples))
		if err != nil {
			return nil, err
		}
		result := &servingpb.InferenceResult{ModelSpec: resolved(m, name)}
		if task.GetMethodName() == classifyMethod {
			var c *servingpb.ClassificationResult
			c, err = classifications(out, len(examples))
			result.Result = &servingpb.InferenceResult_ClassificationResult{ClassificationResult: c}
		} else {
			var v *servingpb.RegressionResult
			v, err = regressions(out, len(examples))
			result.Result = &servingpb.InferenceResult_RegressionResult{RegressionResult: v}
		}
		if err != nil {
			return nil, err
		}
		reply.Results = append(reply.Results, result)
	}
	return reply, nil
}

func checkTasks(m Held, tasks []*servingpb.InferenceTask) error {
	seen := map[string]bool{}
	for _, task := range tasks {
		spec := task.GetModelSpec()
		name := signatureName(spec)
		switch {
		case spec.GetName() == "":
			return invalid("Found ModelSpec with an empty model name.")
		case spec.GetName() != tasks[0].GetModelSpec().GetName():
			return invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
		case seen[name]:
			return invalid("Duplicate evaluation of signature: %s", clip(name))
		case m.Signatures()[name] == nil:
			return invalid("Requested signature not found in model graph: %s", clip(name))
		case task.GetMethodName() != classifyMethod && task.GetMethodName() != regressMethod:
			return unimplemented("Unsupported signature method_name: %s", clip(task.GetMethodName()))
		}
		if err := checkForm(m.Signatures()[name], task.GetMethodName()); err != nil {
			return err
		}
		seen[name] = true
	}
	return nil
}

// metadata is the model's signatures.
func (f front) metadata(ctx context.Context, spec *servingpb.ModelSpec) (*servingpb.GetModelMetadataResponse, *servingpb.SignatureDefMap, error) {
	m, err := f.models.Find(spec)
	if err != nil {
		return nil, nil, stateOf(ctx, err)
	}
	defer m.Release()
	signatures := &servingpb.SignatureDefMap{SignatureDef: maps.Clone(m.Signatures())}
	packed, err := anypb.New(signatures)
	if err != nil {
		return nil, nil, stateOf(ctx, err)
	}
	return &servingpb.GetModelMetadataResponse{
		ModelSpec: resolved(m, ""), Metadata: map[string]*anypb.Any{signaturesField: packed},
	}, signatures, nil
}
