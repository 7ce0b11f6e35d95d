package serving

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// Messages and offsets recorded from rapidjson (python-rapidjson 1.23), wording
// as in its release 1.1.0, which TensorFlow Serving builds with.
func TestParseErrorsAreRapidjsons(t *testing.T) {
	for text, want := range map[string]string{
		`  `: "The document is empty. at offset: 2", `instances = [1, 2]`: "Invalid value. at offset: 0",
		`{"a":1`: "Missing a comma or } after an object member. at offset: 6", `{"a" 1}`: "Missing a colon after a name of object member. at offset: 5",
		`{"a":[1 2]}`: "Missing a comma or ] after an array element. at offset: 8", `{"a":[1,]}`: "Invalid value. at offset: 8",
		`{"a":1,}`: "Missing a name for object member. at offset: 7", `{a:1}`: "Missing a name for object member. at offset: 1",
		`[1.]`: "Miss fraction part in number. at offset: 3", `[1e]`: "Miss exponent in number. at offset: 3", `[1e999]`: "Number too big to be stored in double. at offset: 1",
		`["\x"]`: "Invalid escape character in string. at offset: 2", `["\u12"]`: "Incorrect hex digit after \\u escape in string. at offset: 2",
		`["\ud800"]`: "The surrogate pair in string is invalid. at offset: 2", `["\ud800\u0041"]`: "The surrogate pair in string is invalid. at offset: 2",
		`["\udc00"]`: "The surrogate pair in string is invalid. at offset: 2", `["ab`: "Missing a closing quotation mark in string. at offset: 4",
		"[\"a\nb\"]": "Invalid encoding in string. at offset: 3", `[nul]`: "Invalid value. at offset: 4", `[tru`: "Invalid value. at offset: 4",
		`[01]`: "Missing a comma or ] after an array element. at offset: 2", `[-]`: "Invalid value. at offset: 2", `[Infx]`: "Missing a comma or ] after an array element. at offset: 4",
		`[+1]`: "Invalid value. at offset: 1", `[.5]`: "Invalid value. at offset: 1",
	} {
		_, _, err := (&scanner{text: []byte(text)}).document()
		if err == nil || err.Error() != "JSON Parse error: "+want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{`[NaN,Infinity,-Infinity]`, `[-NaN]`, `[Inf]`, `{"a":{"b":[]},"c":{}}`, `[-0.5e-3, 0, 10E+2]`, `["\ud83d\ude00\/"]`} {
		if _, _, err := (&scanner{text: []byte(text)}).document(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestFloatsAreReadToTheLastBit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	texts := []string{
		"0", "-0", "1", "16777217", "16777219", "1.00000005960464477539062", "0.000000000000001", "123456789012345", "9007199254740993", "0.1", "1e-400", "3.4028236e38", "1e300",
		"1.0000000596046448", "0.50000002980232239", "33554434.0000000", "8388608.5", "8388609.5", "1234567890123456789012345678901234567890",
	}
	for range 20000 {
		x := math.Float32frombits(r.Uint32())
		if x != x || math.IsInf(float64(x), 0) {
			continue
		}
		texts = append(texts, fmt.Sprint(x), fmt.Sprint(float64(x)), strconv.FormatFloat(r.NormFloat64(), 'f', r.IntN(16), 64))
	}
	for _, text := range texts {
		want, _ := strconv.ParseFloat(text, 32) // infinite where too large
		got, ok := (&scanner{text: []byte(text)}).float32()
		if !ok || math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Errorf("%s is read as %g, want %g", text, got, want)
		}
	}
}

// A document is taken exactly if encoding/json takes it, apart from what is
// meant to differ, and its fields are the same.
func FuzzDocument(f *testing.F) {
	for _, s := range []string{`{"a": [1, 2.5e3, "x\u00e9", {"b": null}], "c": true}`, `{"instances": [[1]]}`, `[`, `{"a":1}{`, `"\ud800"`, `-`, `{"a": {"a": ""}}`, `1e400`, `[NaN]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		root, fields, err := (&scanner{text: text}).document()
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		var want any
		wantErr := d.Decode(&want)
		if err != nil {
			differs := strings.Contains(err.Error(), "surrogate") || strings.Contains(err.Error(), "too big") || strings.Contains(err.Error(), "deeper")
			if wantErr == nil && !differs {
				t.Fatalf("%q is refused: %v", text, err)
			}
			return
		}
		if wantErr != nil {
			if !strings.ContainsAny(string(root), "NI") && utf8.Valid(root) {
				t.Fatalf("%q is taken: %v", text, wantErr)
			}
			return
		}
		object, ok := want.(map[string]any)
		if ok != (root[0] == '{') {
			t.Fatalf("%q: root %q", text, root)
		}
		if !utf8.Valid(text) {
			return // encoding/json replaces what is not UTF-8
		}
		for _, m := range fields {
			var v any
			d := json.NewDecoder(strings.NewReader(string(m.value)))
			d.UseNumber()
			if err := d.Decode(&v); err != nil {
				t.Fatalf("%q: field %q: %v", text, m.key, err)
			}
			if _, ok := object[m.key]; !ok {
				t.Fatalf("%q: field %q is not one", text, m.key)
			}
		}
	})
}

// What parses as a tensor has the elements that its shape says, and they are
// those that encoding/json reads.
func FuzzPredictRequest(f *testing.F) {
	for _, s := range []string{
		`{"instances": [[1,2],[3,4]]}`, `{"instances": [NaN]}`, `{"inputs": 1}`, `{"inputs": {"x": [[1e3]]}}`, `{"instances": [{"x": 1}, {"x": 2}]}`,
		`{"inputs": [{"b64": "YQ=="}, "a"]}`, `{"instances": [true, false]}`, `{"signature_name": "a\u0041", "instances": [{"x": -128}]}`,
	} {
		for _, dtype := range []typespb.DataType{float, text, typespb.DataType_DT_BOOL, typespb.DataType_DT_INT8, typespb.DataType_DT_DOUBLE, typespb.DataType_DT_UINT64} {
			f.Add([]byte(s), int32(dtype))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, dtype int32) {
		r, err := parseRequest(body)
		if err != nil {
			return
		}
		_, _ = r.examples()
		sig := &corepb.SignatureDef{Inputs: map[string]*corepb.TensorInfo{"x": info("x:0", typespb.DataType(dtype))}}
		l := &lease{budget: &budget{limit: 1 << 30}}
		inputs, _, err := r.tensors(sig, l)
		if err != nil {
			return
		}
		x := inputs["x"]
		if have := len(x.GetTensorContent()); int64(have) > l.taken {
			t.Fatalf("%q: %d bytes were taken for %d", body, l.taken, have)
		}
		n := int64(1)
		for _, d := range tensorproto.Dims(x.GetTensorShape()) {
			n *= d
		}
		if x.GetDtype() == text && int64(len(x.GetStringVal())) != n || x.GetDtype() != text && int64(len(x.GetTensorContent())) != n*int64(tensorproto.Size(x.GetDtype())) {
			t.Fatalf("%q: shape %v with %d strings, %d bytes", body, tensorproto.Dims(x.GetTensorShape()), len(x.GetStringVal()), len(x.GetTensorContent()))
		}
		if err := checkInputs(inputs, sig, Limits{}.fill()); err != nil && !strings.Contains(err.Error(), "image") && !strings.Contains(err.Error(), "element 0") {
			t.Fatalf("%q: %v", body, err)
		}
	})
}

// pictures is the body of a request for 16 pictures, as a client in Python
// writes float32 (digits 0: the shortest form of a float64 that holds it).
func pictures(n, side, digits int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	b := []byte(`{"instances": [`)
	for i := range n * side * side * 3 {
		if i > 0 {
			b = append(b, ", "...)
		}
		row, column := i%(side*3) == 0, i%3 == 0
		if i%(side*side*3) == 0 {
			b = append(b, '[')
		}
		if row {
			b = append(b, '[')
		}
		if column {
			b = append(b, '[')
		}
		x := float64(r.Float32())
		if digits == 0 {
			b = strconv.AppendFloat(b, x, 'g', -1, 64)
		} else {
			b = strconv.AppendFloat(b, x, 'f', digits, 64)
		}
		if (i+1)%3 == 0 {
			b = append(b, ']')
		}
		if (i+1)%(side*3) == 0 {
			b = append(b, ']')
		}
		if (i+1)%(side*side*3) == 0 {
			b = append(b, ']')
		}
	}
	return append(b, "]}"...)
}

func TestPicturesBody(t *testing.T) {
	var doc struct{ Instances [][][][]float32 }
	if err := json.Unmarshal(pictures(2, 4, 0), &doc); err != nil || len(doc.Instances) != 2 || len(doc.Instances[1]) != 4 || len(doc.Instances[1][3]) != 4 || len(doc.Instances[1][3][3]) != 3 {
		t.Errorf("%v, %v", doc, err)
	}
}

// onCPU reports megabytes a second of processor time since begin, which other
// programs disturb less than the clock.
func onCPU(b *testing.B, begin time.Duration, size int) {
	b.ReportMetric(float64(size)*float64(b.N)/1e6/(cpuTime(b)-begin).Seconds(), "MB/cpu-s")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkJSON(b *testing.B) {
	sig := &corepb.SignatureDef{Inputs: map[string]*corepb.TensorInfo{"images": info("x:0", float, -1, 224, 224, 3)}}
	for _, c := range []struct {
		name   string
		digits int
	}{{"short", 6}, {"float64", 0}} {
		body := pictures(16, 224, c.digits)
		b.Run("ours/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			defer onCPU(b, cpuTime(b), len(body))
			for b.Loop() {
				r, err := parseRequest(body)
				if err != nil {
					b.Fatal(err)
				}
				inputs, _, err := r.tensors(sig, &lease{budget: &budget{limit: 1 << 40}})
				if err != nil {
					b.Fatal(err)
				}
				if err := checkInputs(inputs, sig, Limits{}.fill()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("encoding-json/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			defer onCPU(b, cpuTime(b), len(body))
			for b.Loop() {
				var doc struct{ Instances [][][][]float32 }
				if err := json.Unmarshal(body, &doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReply(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	logits := numbers([]int64{16, 1000})
	for range 16000 {
		logits.FloatVal = append(logits.FloatVal, float32(r.NormFloat64()))
	}
	size, begin := 0, cpuTime(b)
	for b.Loop() {
		logits.TensorContent = nil
		text, err := reply(map[string]*tensorProto{"logits": logits}, true)
		if err != nil {
			b.Fatal(err)
		}
		size = len(text)
	}
	b.SetBytes(int64(size))
	onCPU(b, begin, size)
}

// A request between front and engine: numbers in tensor_content against numbers
// in float_val, both ways through the codec.
func BenchmarkWire(b *testing.B) {
	content := &tensorProto{Dtype: float, TensorShape: tensorproto.Shape([]int64{16, 224, 224, 3}), TensorContent: make([]byte, 4*16*224*224*3)}
	values := numbers([]int64{16, 224, 224, 3}, make([]float32, 16*224*224*3)...)
	for name, t := range map[string]*tensorProto{"content": content, "values": values} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content.TensorContent)))
			b.ReportAllocs()
			defer onCPU(b, cpuTime(b), len(content.TensorContent))
			for b.Loop() {
				raw, err := proto.Marshal(&servingpb.PredictRequest{Inputs: map[string]*tensorProto{"images": t}})
				if err != nil {
					b.Fatal(err)
				}
				var back servingpb.PredictRequest
				if err := proto.Unmarshal(raw, &back); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
