package eval_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/pipeline/eval"
)

//go:embed testdata/metrics.py
var metricsScript string

// random are predictions of two models and reassessed labels.
type random struct {
	Logits [][]float32 `json:"logits"`
	Labels []int       `json:"labels"`
	Other  []int       `json:"other"` // predictions of the other model
	Real   [][]int     `json:"real"`
	Bins   int         `json:"bins"`
}

// draw makes predictions that are right more often than chance; the last class
// has no images, but is predicted.
func draw(seed uint64, n, k, bins int, skill float32) random {
	r := rand.New(rand.NewPCG(seed, 0))
	d := random{Bins: bins}
	for range n {
		label := r.IntN(max(1, k-1))
		row := make([]float32, k)
		for j := range row {
			row[j] = 2 * float32(r.NormFloat64())
		}
		row[label] += skill
		other := label
		if r.Float64() < 0.4 {
			other = r.IntN(k)
		}
		var real []int
		for range r.IntN(3) {
			real = append(real, r.IntN(k))
		}
		d.Logits, d.Labels, d.Other, d.Real = append(d.Logits, row), append(d.Labels, label), append(d.Other, other), append(d.Real, append([]int{}, real...))
	}
	return d
}

func name(i int) string { return fmt.Sprintf("val/ILSVRC2012_val_%08d.JPEG", i+1) }

// reference are the figures of metrics.py.
type reference struct {
	Top1, Top5, Loss float64
	Top1CI           [2]float64   `json:"top1_ci95"`
	Confusion        [][]int64    `json:"confusion"`
	Recall           []float64    `json:"recall"`
	RecallCI         [][2]float64 `json:"recall_ci95"`
	Precision        []float64    `json:"precision"`
	MeanRecall       float64      `json:"mean_recall"`
	MeanRecallCI     [2]float64   `json:"mean_recall_ci95"`
	MeanPrecision    float64      `json:"mean_precision"`
	ECE, MCE         float64
	BinRight         []float64  `json:"bin_right"`
	BinConfidence    []float64  `json:"bin_confidence"`
	PExact           float64    `json:"p_exact"`
	ChiSquare        float64    `json:"chi_square"`
	PChiSquare       float64    `json:"p_chi_square"`
	Difference       float64    `json:"difference"`
	DifferenceCI     [2]float64 `json:"difference_ci95"`
	RealTop1         float64    `json:"real_top1"`
	RealImages       int64      `json:"real_images"`
	Worst            []int      `json:"worst"`
}

func ours(t *testing.T, d random) (eval.Measurement, eval.Comparison) {
	t.Helper()
	text, err := json.Marshal(d.Real)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "real.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	real, err := eval.ReadReal(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := eval.NewScores(eval.Options{Classes: len(d.Logits[0]), Bins: d.Bins, Real: real})
	if err != nil {
		t.Fatal(err)
	}
	var first, second []eval.Prediction
	for i, row := range d.Logits {
		p, err := eval.Judge(name(i), row, d.Labels[i])
		if err == nil {
			err = s.Add(p)
		}
		if err != nil {
			t.Fatal(err)
		}
		q := eval.Prediction{Image: name(i), Label: d.Labels[i], Predicted: d.Other[i]}
		if q.Predicted != q.Label {
			q.Rank = 1
		}
		first, second = append(first, p), append(second, q)
	}
	c, err := eval.Compare(first, second)
	if err != nil {
		t.Fatal(err)
	}
	return s.Measurement(), c
}

// figures lists what is compared, ours and theirs, in the same order.
func figures(m eval.Measurement, c eval.Comparison, want reference) (names []string, got, ref []float64) {
	add := func(name string, a, b float64) { names, got, ref = append(names, name), append(got, a), append(ref, b) }
	both := func(name string, a, b [2]float64) {
		add(name+" low", a[0], b[0])
		add(name+" high", a[1], b[1])
	}
	add("top1", m.Top1, want.Top1)
	add("top5", m.Top5, want.Top5)
	both("top1 ci", m.Top1CI, want.Top1CI)
	add("loss", m.Loss, want.Loss)
	add("mean recall", m.MeanRecall, want.MeanRecall)
	both("mean recall ci", m.MeanRecallCI, want.MeanRecallCI)
	add("mean precision", m.MeanPrecision, want.MeanPrecision)
	for i, r := range m.Recall {
		add(fmt.Sprint("recall ", i), r.Recall, want.Recall[i])
		both(fmt.Sprint("recall ci ", i), r.RecallCI, want.RecallCI[i])
		add(fmt.Sprint("precision ", i), r.Precision, want.Precision[i])
	}
	add("ece", m.Calibration.ECE, want.ECE)
	add("mce", m.Calibration.MCE, want.MCE)
	at := 0
	for _, b := range m.Calibration.Bins {
		if b.Images == 0 {
			continue // the reference leaves empty bins out
		}
		add("bin right", b.Right, want.BinRight[at])
		add("bin confidence", b.Confidence, want.BinConfidence[at])
		at++
	}
	add("bins", float64(at), float64(len(want.BinRight)))
	add("mcnemar exact", c.McNemar.PExact, want.PExact)
	add("mcnemar chi square", c.McNemar.ChiSquare, want.ChiSquare)
	add("mcnemar p of chi square", c.McNemar.PChiSquare, want.PChiSquare)
	add("difference", c.Difference, want.Difference)
	both("difference ci", c.CI95, want.DifferenceCI)
	add("real", m.RealTop1, want.RealTop1)
	add("real images", float64(m.RealImages), float64(want.RealImages))
	return names, got, ref
}

func agree(t *testing.T, d random, want reference) {
	t.Helper()
	m, c := ours(t, d)
	names, got, ref := figures(m, c, want)
	for i, name := range names {
		if !(math.Abs(got[i]-ref[i]) <= 1e-9) {
			t.Errorf("%s: %.12g, the reference has %.12g", name, got[i], ref[i])
		}
	}
	if !reflect.DeepEqual(m.Confusion, want.Confusion) {
		t.Errorf("confusion\n%v\nthe reference has\n%v", m.Confusion, want.Confusion)
	}
	var worst []int
	for _, p := range m.Worst {
		for i := range d.Labels {
			if p.Image == name(i) {
				worst = append(worst, i)
			}
		}
	}
	if !reflect.DeepEqual(worst, want.Worst) {
		t.Errorf("worst mistakes %v, the reference has %v", worst, want.Worst)
	}
}

func TestMetricsEqualThoseOfPythonsLibraries(t *testing.T) {
	for _, c := range []struct {
		seed       uint64
		n, k, bins int
		skill      float32
	}{{1, 700, 7, 15, 2}, {2, 40, 12, 10, 1}, {3, 300, 3, 15, 4}, {4, 2000, 1000, 15, 6}, {5, 60, 2, 5, 0.5}} {
		t.Run(fmt.Sprintf("seed %d, %d images of %d classes", c.seed, c.n, c.k), func(t *testing.T) {
			d := draw(c.seed, c.n, c.k, c.bins, c.skill)
			agree(t, d, python(t, d))
		})
	}
}

func python(t *testing.T, d random) (want reference) {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "predictions.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(reftest.PythonWith(t, "statsmodels", metricsScript, file)), &want); err != nil {
		t.Fatal(err)
	}
	return want
}

// The small sibling of the test above: its figures are what metrics.py printed
// (scikit-learn 1.9.1, statsmodels 0.15.0, numpy 2.4.6).
func TestMetricsEqualRecordedOnes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "metrics.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want reference
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	agree(t, draw(2, 40, 12, 10, 1), want)
}
