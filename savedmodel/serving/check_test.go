package serving

import (
	"strings"
	"testing"

	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
	"github.com/nasnet-go/nasnet/savedmodel/serving/hostile"
)

// Whatever message arrives: a tensor that passes has the elements that its shape
// says, all in one place, and is no larger than a request may be.
func FuzzCheckTensor(f *testing.F) {
	images, err := hostile.Images()
	if err != nil {
		f.Fatal(err)
	}
	for _, x := range []*tensorProto{
		numbers([]int64{2, 1}, 1, 2), numbers([]int64{1 << 32, 1 << 32}, 1), numbers([]int64{-1}, 1), numbers(nil, 1),
		{Dtype: text, TensorShape: tensorproto.Shape([]int64{1}), StringVal: [][]byte{images["a PNG bomb"]}},
		{Dtype: typespb.DataType_DT_INT8, TensorShape: tensorproto.Shape([]int64{3}), IntVal: []int32{-5}},
	} {
		raw, err := proto.Marshal(x)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	limits := Limits{MaxBody: 1 << 16}.fill()
	f.Fuzz(func(t *testing.T, raw []byte) {
		var x tensorProto
		if proto.Unmarshal(raw, &x) != nil {
			return
		}
		before := proto.CloneOf(&x)
		sig := &signatureDef{Inputs: map[string]*corepb.TensorInfo{"x": info("x:0", x.GetDtype())}}
		if checkInputs(map[string]*tensorProto{"x": &x}, sig, limits) != nil {
			return
		}
		n := int64(1)
		for _, d := range tensorproto.Dims(x.GetTensorShape()) {
			if n *= d; d < 1 || n < 1 || n > limits.MaxBody {
				t.Fatalf("taken: %v", before)
			}
		}
		size := int64(tensorproto.Size(x.GetDtype()))
		if size == 0 && (x.GetDtype() != text || int64(len(x.GetStringVal())) != n) || size > 0 && int64(len(x.GetTensorContent())) != n*size || n*size > limits.MaxBody {
			t.Fatalf("taken: %v", before)
		}
	})
}

func TestShapesThatFit(t *testing.T) {
	for _, c := range []struct {
		dims, want []int64
		fits       bool
	}{
		{[]int64{3}, []int64{-1}, true},
		{[]int64{3, 1}, []int64{-1, 1}, true},
		{[]int64{3}, []int64{-1, 1}, true},
		{[]int64{2, 2}, []int64{-1, 1}, true},
		{nil, []int64{-1, 1}, false},
		{[]int64{1, 1, 1}, []int64{-1, 1}, false},
		{[]int64{3}, []int64{3, 1}, true},
		{[]int64{2}, []int64{3, 1}, false},
		{[]int64{3, 2}, []int64{-1, 2}, true},
		{[]int64{3}, []int64{-1, 2}, false},
		{[]int64{3, 3}, []int64{-1, 2}, false},
		{nil, []int64{}, true},
		{[]int64{1}, []int64{}, false},
		{[]int64{9, 9, 9}, nil, true},
		{[]int64{1, 8, 8, 1}, []int64{-1, 8, 8, 1}, true},
		{[]int64{1, 8, 8, 3}, []int64{-1, 8, 8, 1}, false},
		{[]int64{1, 8, 8}, []int64{-1, 8, 8, 1}, false},
	} {
		if got := fits(c.dims, info("", float, c.want...).GetTensorShape()); got != c.fits {
			t.Errorf("%v as %v: %v", c.dims, c.want, got)
		}
	}
}

// Images are judged wherever they stand; what is none passes where it may be anything.
func TestImagesAreJudged(t *testing.T) {
	images, err := hostile.Images()
	if err != nil {
		t.Fatal(err)
	}
	inExample := func(value []byte) []byte {
		raw, err := proto.Marshal(&examplepb.Example{Features: &examplepb.Features{Feature: map[string]*examplepb.Feature{
			"id": {Kind: &examplepb.Feature_Int64List{Int64List: &examplepb.Int64List{Value: []int64{1, 2}}}},
			"z":  {Kind: &examplepb.Feature_BytesList{BytesList: &examplepb.BytesList{Value: [][]byte{[]byte("text"), value}}}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, raw := range images {
		for _, input := range []string{"image_bytes", "anything"} {
			if err := checkImages(input, [][]byte{raw}, 50_000_000); err == nil {
				t.Errorf("%s passes as %s", name, input)
			}
		}
		if err := checkImages("examples", [][]byte{inExample(raw)}, 50_000_000); err == nil || !strings.Contains(err.Error(), "Example") {
			t.Errorf("%s in an Example: %v", name, err)
		}
	}
	for _, s := range []string{"", "hello", "BMW", "RIFFRAFF", "\n\x80", string(inExample([]byte("hello")))} {
		if err := checkImages("words", [][]byte{[]byte(s)}, 50_000_000); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if err := checkImages("image_bytes", [][]byte{[]byte(s)}, 50_000_000); err == nil {
			t.Errorf("%q is an image", s)
		}
	}
}
