package train_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// pictures are 40 tiny images of two classes: bright on the left, or on the right.
func pictures() data.Images {
	im := data.Images{Size: [3]int64{4, 4, 3}}
	for i := range 40 {
		im.Labels = append(im.Labels, int64(i%2))
		for p := range 16 {
			v := uint8(40 + (i*7+p*13)%60)
			if (p%4 < 2) == (i%2 == 0) {
				v += 120
			}
			im.Pixels = append(im.Pixels, v, v/2, 255-v)
		}
	}
	return im
}

func source(s *tfgraph.Scope) train.Source {
	m := data.NewMemory(s, "input", pictures(), data.MemoryOptions{
		Batch: 8, Shuffle: true, Repeat: true, Seed: 3,
		Standardize: data.Unscaled, Augment: data.Augment{CropPad: 1},
	})
	return train.Source{Images: m.Images, Labels: m.Labels, Start: m.Start}
}

// tower is a convolution with batch norm and drop path, a pool and a dense layer.
func tower(s *tfgraph.Scope, st *tfgraph.Store, in train.Inputs) train.Tower {
	w := st.Get(s, "conv/weights", []int64{3, 3, 3, 4}, true, tfgraph.FanOutInit)
	p := []*tfgraph.Variable{}
	for i, name := range []string{"gamma", "beta", "moving_mean", "moving_variance"} {
		init := tfgraph.ZerosInit
		if i%3 == 0 {
			init = tfgraph.OnesInit
		}
		p = append(p, st.Get(s, "bn/"+name, []int64{4}, i < 2, init))
	}
	x := nn.Conv(s, in.Images, w.Read, nn.Window{Kernel: [2]int64{3, 3}, Stride: [2]int64{1, 1}, Padding: nn.Same})
	params := nn.BatchNormParams{Gamma: p[0].Read, Beta: p[1].Read, Mean: p[2].Read, Variance: p[3].Read}
	x, mean, variance := nn.BatchNormTrain(s, x, params, 1e-3, 0.9)
	u := tfgraph.StatelessUniform(s, tfgraph.Vector(s, 1, in.Images.Dim(0)), in.Noise)
	x = tfgraph.Mul(s, nn.ReLU(s, x), nn.DropMasks(s, in.Keep, u, 1)[0])
	fc := st.Get(s, "fc/weights", []int64{4 * 16, 2}, true, tfgraph.FanOutInit)
	b := st.Get(s, "fc/biases", []int64{2}, true, tfgraph.ZerosInit)
	logits := nn.Dense(s, tfgraph.Reshape(s, x, -1, 4*16), fc.Read, b.Read)
	ce := nn.CrossEntropy(s, logits, nn.Targets(s, in.Labels, 2, 0))
	return train.Tower{
		Loss:     ce,
		Parts:    map[string]tfgraph.Tensor{"ce": ce},
		Accuracy: nn.Accuracy(s, logits, in.Labels),
		Updates:  []tfgraph.Operation{p[2].Assign(s, mean), p[3].Assign(s, variance)},
		Decayed:  []*tfgraph.Variable{w, fc},
	}
}

func options(dir string) train.Options {
	return train.Options{
		Dir: dir, Digest: "d", Batch: 8, Steps: 60, Epoch: 40, Rule: optim.Momentum{Momentum: 0.9}, Rate: optim.Cosine(0.1, 60, 0),
		WeightDecay: 1e-4, ClipNorm: 5, EMA: 0.99, DropPath: train.DropPath{Keep: 0.7, Cells: 1, Steps: 60}, Seed: 11,
		CheckpointSteps: 10, ReportSteps: 5, Session: tfgraph.SessionOptions{IntraOp: 1, InterOp: 1, Grappler: tfgraph.GrapplerOff},
	}
}

func run(t *testing.T, ctx context.Context, o train.Options) (train.Result, map[string][]float32, error) {
	t.Helper()
	tr, err := train.New(o, source, tower)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	res, err := tr.Run(ctx)
	if err != nil {
		return res, nil, err
	}
	return res, variables(t, tr), nil
}

// variables are a trainer's, by name.
func variables(t *testing.T, tr *train.Trainer) map[string][]float32 {
	t.Helper()
	values := map[string][]float32{}
	for _, v := range tr.Store.All() {
		out, err := tr.Session.Run(nil, []tfgraph.Tensor{v.Read})
		if err != nil {
			t.Fatal(err)
		}
		values[v.Name] = tftest.Floats(t, out)[0]
	}
	return values
}

func same(t *testing.T, what string, got, want map[string][]float32) {
	t.Helper()
	near(t, what, got, want, 0)
}

func near(t *testing.T, what string, got, want map[string][]float32, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d variables and %d", what, len(got), len(want))
	}
	for name, w := range want {
		tftest.Near(t, what+": "+name, got[name], w, tol)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// losses are the loss values of metrics.jsonl, which hold no times.
func losses(t *testing.T, dir string) []string {
	var out []string
	for line := range strings.Lines(read(t, filepath.Join(dir, "metrics.jsonl"))) {
		_, rest, _ := strings.Cut(line, `"loss":`)
		value, _, _ := strings.Cut(rest, ",")
		out = append(out, value)
	}
	return out
}

func TestLearnsTheTask(t *testing.T) {
	res, _, err := run(t, context.Background(), options(""))
	if err != nil {
		t.Fatal(err)
	}
	if res.Steps != 60 || !(res.Loss < 0.4) {
		t.Errorf("after %d steps the loss is %g, want below 0.4 (it starts at about 0.7)", res.Steps, res.Loss)
	}
}

func TestResumeIsBitEqualToAnUndisturbedRun(t *testing.T) {
	straightDir, dir := t.TempDir(), t.TempDir()
	_, want, err := run(t, context.Background(), options(straightDir))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := options(dir)
	o.OnProgress = func(p train.Progress) {
		if p.Step == 25 {
			cancel()
		}
	}
	if res, _, err := run(t, ctx, o); !errors.Is(err, train.ErrInterrupted) || res.Steps != 25 {
		t.Fatalf("interrupted at step %d: %v", res.Steps, err)
	}
	res, got, err := run(t, context.Background(), options(dir))
	if err != nil || res.ResumedAt != 25 {
		t.Fatalf("resumed at %d: %v", res.ResumedAt, err)
	}
	same(t, "after resuming", got, want)
	if a, b := losses(t, dir), losses(t, straightDir); strings.Join(a, " ") != strings.Join(b, " ") {
		t.Errorf("losses\n%v\n%v", a, b)
	}
	again, _, err := run(t, context.Background(), options(dir))
	if err != nil || again.Loss != res.Loss || again.Checkpoint != res.Checkpoint {
		t.Errorf("a finished run, run again: %+v %v, want %+v", again, err, res)
	}
}

func TestValidateListsAllFaults(t *testing.T) {
	err := train.Options{EMA: 2}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"batch", "steps", "optimizer", "learning rate", "moving average"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

// Memory must not grow with the number of steps.
func TestResidentMemoryIsFlat(t *testing.T) {
	o := options("")
	o.Steps, o.ReportSteps = 10_000, 500
	var seen []int64
	o.OnProgress = func(p train.Progress) { seen = append(seen, p.ResidentBytes) }
	if _, _, err := run(t, context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if seen[0] == 0 {
		t.Skip("this system does not tell a process's memory")
	}
	if first, last := seen[0], seen[len(seen)-1]; float64(last) > 1.05*float64(first) {
		t.Errorf("resident memory grew from %d to %d bytes", first, last)
	}
}
