package train_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// trained runs a training and returns its directory's newest checkpoint and
// its variables.
func trained(t *testing.T) (prefix string, values map[string][]float32) {
	t.Helper()
	dir := t.TempDir()
	values = weights(t, options(dir), source, tower)
	return filepath.Join(dir, "checkpoints", "step-00000060", "model.ckpt"), values
}

// frozen are options of one step that changes nothing but the names given.
func frozen(prefix string) train.Options {
	o := options("")
	o.Steps, o.Initial, o.EMA = 1, train.Initial{Prefix: prefix}, 0.9
	return o
}

func TestFineTuningBeginsWithTheWeightsGiven(t *testing.T) {
	prefix, want := trained(t)
	o := frozen(prefix)
	o.Initial.Anew = []string{"fc/"}
	o.RateScales = []train.RateScale{{Names: "fc/", Scale: 1}, {Names: "", Scale: 0}} // all but the head is frozen
	got := weights(t, o, source, tower)
	for _, name := range []string{"conv/weights", "bn/gamma", "bn/beta"} {
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("%s is not the frozen one", name)
		}
	}
	if slices.Equal(got["fc/weights"], want["fc/weights"]) {
		t.Error("the head was to be drawn anew")
	}
	if !slices.Equal(got["conv/weights"+optim.AverageSuffix], want["conv/weights"]) {
		t.Error("the moving average does not begin with the weight")
	}
	if _, ok := got["conv/weights/Momentum"]; ok {
		t.Error("a frozen variable has a slot")
	}
}

func TestFineTuningMayBeginWithTheAverages(t *testing.T) {
	prefix, want := trained(t)
	o := frozen(prefix)
	o.Initial.Averages, o.Rate = true, optim.Constant(0)
	got := weights(t, o, source, tower)
	if !slices.Equal(got["fc/weights"], want["fc/weights"+optim.AverageSuffix]) || slices.Equal(got["fc/weights"], want["fc/weights"]) {
		t.Error("the head is not the average")
	}
}

// With half the rate and no momentum, a variable moves half as far.
func TestRateScalesHoldByName(t *testing.T) {
	prefix, start := trained(t)
	moved := func(scales ...train.RateScale) map[string][]float32 {
		o := frozen(prefix)
		o.Rule, o.Rate, o.ClipNorm, o.RateScales = optim.SGD{}, optim.Constant(0.1), 0, scales
		return weights(t, o, source, tower)
	}
	full, half := moved(), moved(train.RateScale{Names: "fc/weights", Scale: 0.5})
	for i, w := range start["fc/weights"] {
		a, b := full["fc/weights"][i]-w, half["fc/weights"][i]-w
		if d := a - 2*b; d > 1e-6 || d < -1e-6 {
			t.Fatalf("element %d moved by %g, with half the rate by %g", i, a, b)
		}
	}
	if !slices.Equal(full["conv/weights"], half["conv/weights"]) {
		t.Error("another variable's rate changed")
	}
}

func TestInitialWeightsThatDoNotFitAreAllNamed(t *testing.T) {
	prefix, _ := trained(t)
	o := frozen(prefix)
	tr, err := train.New(o, batches(8), plainTower)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if _, err := tr.Run(t.Context()); err != nil {
		t.Errorf("a part of the checkpoint's variables is enough: %v", err)
	}
	dir := t.TempDir()
	weights(t, func() train.Options { o := parallel(dir); o.Steps = 1; return o }(), batches(8), plainTower)
	o = frozen(filepath.Join(dir, "checkpoints", "step-00000001", "model.ckpt"))
	tr, err = train.New(o, source, tower)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	_, err = tr.Run(t.Context())
	for _, want := range []string{"bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
}

// Weights may stand under other names. What is left over is named, but for slots
// and averages of what was used.
func TestInitialWeightsUnderOtherNames(t *testing.T) {
	prefix, want := trained(t)
	o := frozen(prefix)
	o.Rate = optim.Constant(0)
	var asked []string
	o.Initial.Key = func(name string) string {
		asked = append(asked, name)
		if name == "bn/gamma" {
			return "bn/beta"
		}
		return name
	}
	var notes []string
	o.OnNote = func(text string) { notes = append(notes, text) }
	got := weights(t, o, source, tower)
	if !slices.Equal(got["bn/gamma"], want["bn/beta"]) || !slices.Equal(got["bn/beta"], want["bn/beta"]) || len(asked) == 0 {
		t.Errorf("gamma is %v, want %v", got["bn/gamma"], want["bn/beta"])
	}
	if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "; 3 others there are not used: bn/gamma, ") }) {
		t.Errorf("nothing is said of what was not used: %q", notes)
	}
}
