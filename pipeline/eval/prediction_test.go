package eval_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nasnet-go/nasnet/pipeline/eval"
)

func TestJudge(t *testing.T) {
	p, err := eval.Judge("a.png", []float32{0, 2, 2, -1, 1, 0, 0}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if p.Predicted != 1 || p.Rank != 1 || p.Right() || !slices.Equal(p.Top, []int{1, 2, 4, 0, 5}) {
		t.Errorf("of equal logits the first comes first: %+v", p)
	}
	if want := -math.Log(p.Confidence); math.Abs(p.Loss-want) > 1e-12 { // both have the largest logit
		t.Errorf("loss %g, want %g", p.Loss, want)
	}
	for _, bad := range [][]float32{{float32(math.NaN()), 1}, {0, float32(math.Inf(1))}} {
		if _, err := eval.Judge("b.png", bad, 0); err == nil || !strings.Contains(err.Error(), "b.png") {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := eval.Judge("b.png", []float32{1, 2}, 2); err == nil {
		t.Error("a label out of range was judged")
	}
}

// Scores, the tally of the trainer and the file of predictions tell the same.
func TestAFileOfPredictionsGivesTheSameFigures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 60).Draw(t, "images"), rapid.IntRange(2, 9).Draw(t, "classes"), 15, 2)
		k := len(d.Logits[0])
		direct, fromFile := scores(t, k), scores(t, k)
		var tally eval.Tally
		var text bytes.Buffer
		w, err := eval.NewWriter(&text, []string{"a", `b "quoted", too`, "c"})
		fatal(t, err)
		for i, row := range d.Logits {
			p, err := eval.Judge(name(i), row, d.Labels[i])
			fatal(t, err)
			fatal(t, direct.Add(p))
			fatal(t, w.Write(p))
			fatal(t, tally.Add(row, []int64{int64(d.Labels[i])}))
		}
		fatal(t, w.Flush())
		fatal(t, eval.Read(&text, fromFile.Add))
		if got := fromFile.Measurement(); !reflect.DeepEqual(got, direct.Measurement()) {
			t.Errorf("from the file %+v, directly %+v", got, direct.Measurement())
		}
		if got := direct.Measurement().Result; got != tally.Result() {
			t.Errorf("scores %+v, tally %+v", got, tally.Result())
		}
	})
}

type fataler interface{ Fatal(args ...any) }

func fatal(t fataler, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func scores(t fataler, classes int) *eval.Scores {
	s, err := eval.NewScores(eval.Options{Classes: classes})
	fatal(t, err)
	return s
}

func TestTheOrderOfImagesChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	var list []eval.Prediction
	for i := range 300 { // losses that are often equal, and sums that are exact
		list = append(list, eval.Prediction{Image: name(i), Label: 0, Predicted: r.IntN(2), Rank: 1, Loss: float64(r.IntN(8)), Confidence: 0.5, Top: []int{1, 0}})
		if list[i].Predicted == 0 {
			list[i].Rank = 0
		}
	}
	first, second := scores(t, 2), scores(t, 2)
	for _, p := range list {
		fatal(t, first.Add(p))
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for _, p := range list {
		fatal(t, second.Add(p))
	}
	if a, b := first.Measurement(), second.Measurement(); !reflect.DeepEqual(a, b) {
		t.Errorf("%+v, in another order %+v", a, b)
	}
	if n := len(first.Measurement().Worst); n != 50 {
		t.Errorf("%d mistakes are kept, want 50", n)
	}
}

func TestMeanOfCrops(t *testing.T) {
	// Softmax 0.75/0.25 and 0.25/0.75 average to a half each; the second image's
	// crops are equal.
	l := float32(math.Log(3))
	out, err := eval.MeanOfCrops([]float32{l, 0, 0, l, 5, 5 + l, 5, 5 + l}, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{0.5, 0.5, 0.25, 0.75} {
		if got := math.Exp(float64(out[i])); math.Abs(got-want) > 1e-7 {
			t.Errorf("probability %d is %g, want %g", i, got, want)
		}
	}
	if _, err := eval.MeanOfCrops(make([]float32, 7), 2, 2); err == nil {
		t.Error("7 logits are no crops of 2 classes")
	}
}

func TestProbabilitiesAsLogits(t *testing.T) {
	logits, err := eval.Logits([]float32{0.7, 0.3, 0})
	if err != nil {
		t.Fatal(err)
	}
	p, err := eval.Judge("x", logits, 2)
	if err != nil || math.Abs(p.Confidence-0.7) > 1e-7 || math.Abs(p.Loss-103.279) > 1e-3 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []float32{-0.1, 2, float32(math.NaN())} {
		if _, err := eval.Logits([]float32{bad}); err == nil {
			t.Errorf("%g is a probability", bad)
		}
	}
}

func TestWithoutBackground(t *testing.T) {
	logits := make([]float32, 2*1001)
	logits[0], logits[1], logits[1001+1000] = 9, 5, 7
	out, labels, err := eval.WithoutBackground(logits, []int{1, 1000})
	if err != nil || len(out) != 2000 || out[0] != 5 || out[1999] != 7 || !slices.Equal(labels, []int{0, 999}) {
		t.Errorf("%d logits, labels %v, %v", len(out), labels, err)
	}
	for _, label := range []int{0, 1001} {
		if _, _, err := eval.WithoutBackground(logits[:1001], []int{label}); err == nil {
			t.Errorf("label %d was shifted", label)
		}
	}
}

func TestFilesOfPredictionsAppearWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "predictions.csv")
	want, err := eval.Judge("cat.png", []float32{1, 2, 3}, 1)
	fatal(t, err)
	f, err := eval.Create(path, []string{"cat", "dog", "eel"})
	fatal(t, err)
	fatal(t, f.Write(want))
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there before it is closed")
	}
	fatal(t, f.Close())
	f.Discard()
	got, err := eval.ReadFile(path)
	if err != nil || !reflect.DeepEqual(got, []eval.Prediction{want}) {
		t.Errorf("%+v, %v", got, err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(string(text), "2 1 0,dog,eel\n") {
		t.Errorf("%s, %v", text, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

const head = "image,label,prediction,rank,confidence,loss,top5\n"

func TestReadNamesTheLine(t *testing.T) {
	for row, want := range map[string]string{
		"a,1,1,0,0.9,0.1,1 0\nb,x,1,0,0.9,0.1,1": "line 3: strconv.Atoi",
		"a,1,2,0,0.9,0.1,2":                      "contradict",
		"a,1,1,0,1.5,0.1,1":                      "no probability",
		"a,1,1,0,0.5,-1,1":                       "loss -1",
		"a,1,1,0,0.5,NaN,1":                      "loss NaN",
		"a,1,1,0,0.5,1,2 1":                      "do not begin",
		"a,-1,-1,0,0.5,1,2 1":                    "negative",
	} {
		err := eval.Read(strings.NewReader(head+row+"\n"), func(eval.Prediction) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", row, err)
		}
	}
	if err := eval.Read(strings.NewReader("file,label\n"), nil); err == nil || !strings.Contains(err.Error(), `"image"`) {
		t.Errorf("another table: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(head + "a,1,1,0,0.9,0.1,1 0\n")
	f.Add(head + "\"a\nb\",3,1,2,1e-3,7,1 0 3 4 5\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		_ = eval.Read(strings.NewReader(text), func(p eval.Prediction) error { // must neither panic nor let nonsense through
			if p.Confidence < 0 || p.Confidence > 1 || math.IsNaN(p.Loss) || p.Label < 0 {
				t.Errorf("%+v", p)
			}
			return nil
		})
	})
}
