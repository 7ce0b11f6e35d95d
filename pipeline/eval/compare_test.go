package eval_test

import (
	"math"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/eval"
)

// Values of statsmodels.stats.contingency_tables.mcnemar.
func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		b, c            int64
		exact, chi, chP float64
	}{
		{0, 0, 1, 0, 1},
		{10, 10, 1, 0.05, 0.8230632737581214},
		{6, 16, 0.052478790283203125, 3.6818181818181817, 0.055008833629265896},
		{0, 9, 0.00390625, 7.111111111111111, 0.007660761135179461},
		{1200, 1350, 0.003163536948938072, 8.706274509803922, 0.0031711662297351536},
	} {
		got := eval.NewMcNemar(c.b, c.c)
		if math.Abs(got.PExact-c.exact) > 1e-9 || math.Abs(got.ChiSquare-c.chi) > 1e-9 || math.Abs(got.PChiSquare-c.chP) > 1e-9 {
			t.Errorf("%d and %d: %+v, want %+v", c.b, c.c, got, c)
		}
	}
}

func prediction(image string, label int, right bool) eval.Prediction {
	p := eval.Prediction{Image: image, Label: label, Predicted: label, Top: []int{label}}
	if !right {
		p.Predicted, p.Rank, p.Top = label+1, 1, []int{label + 1}
	}
	return p
}

func TestCompareSaysWhichIsBetter(t *testing.T) {
	var first, second []eval.Prediction
	for i := range 40 {
		first = append(first, prediction(name(i), 0, i < 30))
		second = append([]eval.Prediction{prediction(name(i), 0, i < 10)}, second...) // in another order
	}
	c, err := eval.Compare(first, second)
	if err != nil || c.OnlyFirst != 20 || c.BothRight != 10 || c.BothWrong != 10 || !strings.HasPrefix(c.Verdict, "the first is better") {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = eval.Compare(second, first); err != nil || c.Difference != -0.5 || !strings.HasPrefix(c.Verdict, "the second is better") {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = eval.Compare(first, first); err != nil || c.McNemar.PExact != 1 || !strings.Contains(c.Verdict, "not distinguishable") {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestCompareWantsTheSameImages(t *testing.T) {
	a, b := prediction("a", 0, true), prediction("b", 0, true)
	for want, pair := range map[string][2][]eval.Prediction{
		"not, or less often":    {{a, b}, {a}},
		"not among the first":   {{a}, {a, b}},
		"label 0 in the first":  {{a}, {prediction("a", 1, true)}},
		"twice in the second":   {{a}, {a, a}},
		"image a stands once":   {{a, a}, {a}},
		"there are no predicti": {nil, nil},
	} {
		if _, err := eval.Compare(pair[0], pair[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestReferences(t *testing.T) {
	m := eval.Measurement{Result: eval.Result{Images: 50_000, Top1: 0.824, Top5: 0.97, Top1CI: [2]float64{0.8206, 0.8273}, Top5CI: [2]float64{0.968, 0.971}}}
	refs := m.Against("nasnet-a-large", "imagenet")
	if len(refs) != 3 || !refs[0].Agrees || refs[1].Agrees || refs[1].Verdict != "is above the published 96.2 %" {
		t.Errorf("%+v", refs)
	}
	if !refs[2].Missing || refs[2].Metric != eval.MetricReal || refs[2].Agrees || refs[2].Verdict != "was not measured; published are 87.56 %" {
		t.Errorf("ReaL, which was not measured: %+v", refs[2])
	}
	if n := len(eval.References("", "")); n != 9 {
		t.Errorf("%d figures", n)
	}
	p := eval.References("nasnet-a-cifar", "cifar10")[0]
	for _, c := range []struct {
		high float64
		want bool
	}{{0.97344, false}, {0.97345, true}, {0.99, true}} { // 97.35 may be 97.345
		if got := p.Beside(0.97, [2]float64{0.96, c.high}); got.Agrees != c.want {
			t.Errorf("up to %g: %v", c.high, got.Agrees)
		}
	}
	if got := p.Beside(0.9, [2]float64{0.89, 0.91}).Verdict; got != "is below the published 97.35 %" {
		t.Error(got)
	}
}
