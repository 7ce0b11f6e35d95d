package savedmodel_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"

	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "write the models below serving/testdata anew")

// fixture is TensorFlow Serving's test model in the form of its own export
// script: y = x/2 + 2, y2 = x/2 + 3, y3 = x2/2 + 3; x and x2 are fed, or come out
// of tf.Examples. add is 1 more for half_plus_three.
func fixture(add float32) savedmodel.Content {
	g := tfgraph.New()
	s := g.Root()
	examples := tfgraph.Placeholder(s, "tf_example", tfgraph.String, nil)
	none := tfgraph.StringsConst(s, []string{})
	// The older of TensorFlow's two operations, for it knows its outputs' shapes, [N,1].
	features := s.Add("ParseExample", tfgraph.Attrs{
		"sparse_types": []tfgraph.DataType{}, "Tdense": []tfgraph.DataType{tfgraph.Float32, tfgraph.Float32}, "dense_shapes": []tfgraph.Shape{{1}, {1}},
	}, examples, none, []tfgraph.Tensor{}, []tfgraph.Tensor{tfgraph.StringConst(s, "x"), tfgraph.StringConst(s, "x2")},
		[]tfgraph.Tensor{tfgraph.Const(s, []float32{}, 0), tfgraph.Const(s, []float32{0}, 1)})
	x, x2 := tfgraph.Identity(s, "x", features.Output(0)), tfgraph.Identity(s, "x2", features.Output(1))
	plus := func(name string, x tfgraph.Tensor, c float32) tfgraph.Tensor {
		return tfgraph.Identity(s, name, tfgraph.Add(s, tfgraph.Mul(s, x, tfgraph.Scalarc(s, float32(0.5))), tfgraph.Scalarc(s, c+add)))
	}
	y, y2, y3 := plus("y", x, 2), plus("y2", x, 3), plus("y3", x2, 3)
	type tensors = map[string]tfgraph.Tensor
	regress := func(in, out tfgraph.Tensor) savedmodel.Signature {
		return savedmodel.Signature{Method: "tensorflow/serving/regress", Inputs: tensors{"inputs": in}, Outputs: tensors{"outputs": out}}
	}
	classify := func(in, out tfgraph.Tensor) savedmodel.Signature {
		return savedmodel.Signature{Method: savedmodel.ClassifyMethod, Inputs: tensors{"inputs": in}, Outputs: tensors{"scores": out}}
	}
	return savedmodel.Content{Graph: g, Signatures: map[string]savedmodel.Signature{
		"serving_default": {Method: savedmodel.PredictMethod, Inputs: tensors{"x": x}, Outputs: tensors{"y": y}},
		"regress_x_to_y":  regress(examples, y), "regress_x_to_y2": regress(examples, y2), "regress_x2_to_y3": regress(x2, y3),
		"classify_x_to_y": classify(examples, y), "classify_x2_to_y3": classify(x2, y3),
	}}
}

// The models that tests without TensorFlow serve through bin/nasnet-engine are
// what this writes. They are written again by -update.
func TestServingFixtures(t *testing.T) {
	for name, add := range map[string]float32{"half_plus_two": 0, "half_plus_three": 1} {
		dir, err := savedmodel.Write(t.TempDir(), 123, fixture(add))
		if err != nil {
			t.Fatal(err)
		}
		kept := filepath.Join("serving", "testdata", name)
		if *update {
			if err := os.RemoveAll(kept); err != nil {
				t.Fatal(err)
			}
			if _, err := savedmodel.Write(kept, 123, fixture(add)); err != nil {
				t.Fatal(err)
			}
		}
		if !proto.Equal(readModel(t, dir), readModel(t, filepath.Join(kept, "123"))) {
			t.Errorf("%s differs from what is written now; run this test with -update", kept)
		}
		m, err := savedmodel.Load(filepath.Join(kept, "123"), tfgraph.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		checkFixture(t, m, add)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// readModel is a saved_model.pb without the TensorFlow that wrote it.
func readModel(t *testing.T, dir string) *corepb.SavedModel {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "saved_model.pb"))
	if err != nil {
		t.Fatal(err)
	}
	var m corepb.SavedModel
	if err := proto.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	for _, g := range m.GetMetaGraphs() {
		g.MetaInfoDef.TensorflowVersion, g.GraphDef.Versions = "", nil
	}
	return &m
}

func checkFixture(t *testing.T, m *savedmodel.Model, add float32) {
	t.Helper()
	x, err := tfgraph.NewValue([]float32{1, 2, 5}, 3)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(&examplepb.Example{Features: &examplepb.Features{Feature: map[string]*examplepb.Feature{
		"x": {Kind: &examplepb.Feature_FloatList{FloatList: &examplepb.FloatList{Value: []float32{2}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	examples, err := tfgraph.Strings([]string{string(raw)})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		input string
		in    *tfgraph.Value
		want  []float32
	}{
		"serving_default": {"x", x, []float32{2.5, 3, 4.5}}, "regress_x2_to_y3": {"inputs", x, []float32{3.5, 4, 5.5}}, "classify_x2_to_y3": {"inputs", x, []float32{3.5, 4, 5.5}},
		"regress_x_to_y": {"inputs", examples, []float32{3}}, "regress_x_to_y2": {"inputs", examples, []float32{4}}, "classify_x_to_y": {"inputs", examples, []float32{3}},
	} {
		_, out, err := m.Run(name, map[string]*tfgraph.Value{c.input: c.in}, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p, err := savedmodel.ToProto(out[0])
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range c.want {
			if got := p.GetFloatVal(); len(got) != len(c.want) || got[i] != want+add {
				t.Errorf("%s: %v, want %v + %g", name, got, c.want, add)
			}
		}
		if dims := tensorproto.Dims(p.GetTensorShape()); dims[0] != int64(len(c.want)) {
			t.Errorf("%s: shape %v", name, dims)
		}
	}
}
