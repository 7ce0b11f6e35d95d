package train_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
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
	m := data.NewMemory(s, "input", pictures(), data.MemoryOptions{Batch: 8, Shuffle: true, Repeat: true, Seed: 3,
		Standardize: data.Unscaled, Augment: data.Augment{CropPad: 1}})
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
	u := tfgraph.StatelessUniform(s, tfgraph.Vector(s, int64(1), 8), in.Noise)
	x = tfgraph.Mul(s, nn.ReLU(s, x), nn.DropMasks(s, in.Keep, u, 1)[0])
	fc := st.Get(s, "fc/weights", []int64{4 * 16, 2}, true, tfgraph.FanOutInit)
	b := st.Get(s, "fc/biases", []int64{2}, true, tfgraph.ZerosInit)
	logits := nn.Dense(s, tfgraph.Reshape(s, x, -1, 4*16), fc.Read, b.Read)
	return train.Tower{
		Loss:     nn.CrossEntropy(s, logits, nn.Targets(s, in.Labels, 2, 0)),
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
	weights := map[string][]float32{}
	if err != nil {
		return res, weights, err
	}
	for _, v := range tr.Store.All() {
		out, err := tr.Session.Run(nil, []tfgraph.Tensor{v.Read})
		if err != nil {
			t.Fatal(err)
		}
		weights[v.Name] = tftest.Floats(t, out)[0]
	}
	return res, weights, err
}

func same(t *testing.T, what string, got, want map[string][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d variables and %d", what, len(got), len(want))
	}
	for name, w := range want {
		tftest.Near(t, what+": "+name, got[name], w, 0)
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

// Cut at any place, a checkpoint is refused, said so, and the one before it used.
func TestDamagedCheckpointsAreWalkedPast(t *testing.T) {
	dir := t.TempDir()
	_, want, err := run(t, context.Background(), options(dir))
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"model.ckpt.data-00000-of-00001", "model.ckpt.index", "state.json"}
	newest := filepath.Join(dir, "checkpoints", "step-00000060")
	for i := range 12 {
		file := filepath.Join(newest, files[i%3])
		whole := read(t, file)
		cut := (i*7919 + 13) % len(whole)
		damaged := whole[:cut]
		if i%2 == 1 && i%3 == 0 { // a flipped bit instead of a cut
			b := []byte(whole)
			b[cut] ^= 4
			damaged = string(b)
		}
		if err := os.WriteFile(file, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		var notes []string
		o := options(dir)
		o.OnNote = func(n string) { notes = append(notes, n) }
		res, got, err := run(t, context.Background(), o)
		if err != nil || res.ResumedAt != 50 || !strings.Contains(strings.Join(notes, "\n"), "damaged") {
			t.Fatalf("%s damaged at %d: resumed at %d, notes %q, error %v", files[i%3], cut, res.ResumedAt, notes, err)
		}
		same(t, "after the damage", got, want)
	}
}

func TestCheckpointsArePrunedAndNamed(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	o.KeepCheckpoints = 2
	if _, _, err := run(t, context.Background(), o); err != nil {
		t.Fatal(err)
	}
	list, err := train.Checkpoints(filepath.Join(dir, "checkpoints"))
	if err != nil || len(list) != 2 || list[0].State.Step != 60 || list[1].State.Step != 50 {
		t.Errorf("checkpoints %v, %v", list, err)
	}
	text := read(t, filepath.Join(dir, "checkpoints", "checkpoint"))
	if !strings.HasPrefix(text, `model_checkpoint_path: "step-00000060/model.ckpt"`) || strings.Count(text, "all_model") != 2 {
		t.Errorf("checkpoint file:\n%s", text)
	}
}

func TestPythonReadsOurCheckpoints(t *testing.T) {
	dir := t.TempDir()
	_, want, err := run(t, context.Background(), options(dir))
	if err != nil {
		t.Fatal(err)
	}
	got := reftest.Python(t, `
import sys, tensorflow as tf
r = tf.train.load_checkpoint(tf.train.latest_checkpoint(sys.argv[1]))
print(len(r.get_variable_to_shape_map()), repr(float(r.get_tensor("fc/biases")[1])))`, filepath.Join(dir, "checkpoints"))
	if expected := fmt.Sprintf("%d %v", len(want), float64(want["fc/biases"][1])); got != expected {
		t.Errorf("Python read %q, want %q", got, expected)
	}
}

func TestAnotherConfigurationIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := run(t, context.Background(), options(dir)); err != nil {
		t.Fatal(err)
	}
	o := options(dir)
	o.Digest = "other"
	if _, _, err := run(t, context.Background(), o); err == nil || !strings.Contains(err.Error(), "another configuration") {
		t.Errorf("got %v", err)
	}
}

func TestDivergenceIsAnError(t *testing.T) {
	o := options(t.TempDir())
	o.Rate, o.ClipNorm = optim.Constant(1e30), 0
	if _, _, err := run(t, context.Background(), o); !errors.Is(err, train.ErrDiverged) {
		t.Errorf("got %v", err)
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

// Every row of slim's table of keep probabilities.
func TestDropPathAgainstSlim(t *testing.T) {
	f, err := os.Open(reftest.Shared(t, "golden", "slim", "droppath.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, row := range rows[1:] {
		num := func(name string) float64 {
			x, err := strconv.ParseFloat(row[column[name]], 64)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		d := train.DropPath{Keep: num("drop_path_keep_prob"), Version: row[column["version"]],
			Cells: int(num("total_num_cells")), Steps: int64(num("total_training_steps"))}
		got := d.At(int64(num("step")))[int(num("cell_num"))]
		if math.Abs(float64(got)-num("keep_prob")) > 1e-6 {
			t.Errorf("%v: keep probability %g", row, got)
		}
	}
}

// Memory must not grow with the number of steps.
func TestResidentMemoryIsFlat(t *testing.T) {
	o := options("")
	o.Steps, o.ReportSteps = 3000, 500
	var seen []int64
	o.OnProgress = func(p train.Progress) { seen = append(seen, p.ResidentBytes) }
	if _, _, err := run(t, context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if seen[0] == 0 {
		t.Skip("this system does not tell a process's memory")
	}
	if first, last := seen[0], seen[len(seen)-1]; float64(last) > 1.05*float64(first)+(8<<20) {
		t.Errorf("resident memory grew from %d to %d bytes", first, last)
	}
}
