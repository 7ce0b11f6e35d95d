package train_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// plainTower is a convolution and a dense layer, without batch norm and masks:
// then a mean over replicas is the mean over the batch.
func plainTower(s *tfgraph.Scope, st *tfgraph.Store, in train.Inputs) train.Tower {
	w := st.Get(s, "conv/weights", []int64{3, 3, 3, 4}, true, tfgraph.FanOutInit)
	x := nn.Conv(s, in.Images, w.Read, nn.Window{Kernel: [2]int64{3, 3}, Stride: [2]int64{1, 1}, Padding: nn.Same})
	fc := st.Get(s, "fc/weights", []int64{4 * 16, 2}, true, tfgraph.FanOutInit)
	b := st.Get(s, "fc/biases", []int64{2}, true, tfgraph.ZerosInit)
	logits := nn.Dense(s, tfgraph.Reshape(s, nn.ReLU(s, x), -1, 4*16), fc.Read, b.Read)
	return train.Tower{
		Loss:     nn.CrossEntropy(s, logits, nn.Targets(s, in.Labels, 2, 0)),
		Accuracy: nn.Accuracy(s, logits, in.Labels),
		Decayed:  []*tfgraph.Variable{w, fc},
	}
}

// batches is the source of pictures in batches of n.
func batches(n int64) func(s *tfgraph.Scope) train.Source {
	return func(s *tfgraph.Scope) train.Source {
		m := data.NewMemory(s, "input", pictures(), data.MemoryOptions{Batch: n, Shuffle: true, Repeat: true, Seed: 3, Standardize: data.Unscaled})
		return train.Source{Images: m.Images, Labels: m.Labels, Start: m.Start}
	}
}

// parallel are the options of a training that is the same however it is divided.
func parallel(dir string) train.Options {
	o := options(dir)
	o.Batch, o.Steps, o.ReportSteps, o.DropPath = 8, 20, 1, train.DropPath{}
	o.Session.CPUDevices = 2
	return o
}

// Two devices, two accumulated batches, and both, against one batch of the same
// images. With plain gradient descent a step's change of the weights is its
// gradient.
func TestAveragedGradientsAreThoseOfTheWholeBatch(t *testing.T) {
	one := func(o train.Options) train.Options {
		o.Steps, o.Rule, o.Rate, o.ClipNorm, o.EMA = 1, optim.SGD{}, optim.Constant(1), 0, 0
		return o
	}
	two := []string{"/device:CPU:0", "/device:CPU:1"}
	want := weights(t, one(parallel("")), batches(8), plainTower)
	long := weights(t, parallel(""), batches(8), plainTower)
	for name, c := range map[string]struct {
		devices    []string
		accumulate int64
	}{"devices": {two, 1}, "accumulated": {nil, 2}, "both": {two, 2}} {
		o, p := one(parallel("")), parallel("")
		o.Devices, o.Accumulate, p.Devices, p.Accumulate = c.devices, c.accumulate, c.devices, c.accumulate
		near(t, name+", one step", weights(t, o, batches(8/c.accumulate), plainTower), want, 1e-6)
		near(t, name+", twenty steps with momentum", weights(t, p, batches(8/c.accumulate), plainTower), long, 1e-5)
	}
}

// Masks, batch norm and resume work on two devices with accumulation too.
func TestReplicasResumeBitEqual(t *testing.T) {
	in := func(dir string) train.Options {
		o := options(dir)
		o.Devices, o.Accumulate, o.Session.CPUDevices = []string{"/device:CPU:0", "/device:CPU:1"}, 2, 2
		o.Steps = 30
		return o
	}
	want := weightsOf(t, context.Background(), in(t.TempDir()), batches(4), tower, nil)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	o := in(dir)
	o.OnProgress = func(p train.Progress) {
		if p.Step == 15 {
			cancel()
		}
	}
	weightsOf(t, ctx, o, batches(4), tower, train.ErrInterrupted)
	same(t, "after resuming", weightsOf(t, context.Background(), in(dir), batches(4), tower, nil), want)
}

// Accumulated gradients are of the moment: no checkpoint holds them.
func TestSumsAreNotSaved(t *testing.T) {
	o := parallel("")
	o.Accumulate = 2
	for name := range weights(t, o, batches(4), plainTower) {
		if strings.Contains(name, "Accumulated") {
			t.Errorf("%s is among the variables", name)
		}
	}
}

func TestABatchThatDoesNotDivideIsRefused(t *testing.T) {
	o := parallel("")
	o.Batch, o.Devices, o.Accumulate = 10, []string{"/device:CPU:0", "/device:CPU:1"}, 2
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "multiple of the 4 parts") {
		t.Errorf("got %v", err)
	}
}

func weights(t *testing.T, o train.Options, src func(*tfgraph.Scope) train.Source, build train.Build) map[string][]float32 {
	t.Helper()
	return weightsOf(t, context.Background(), o, src, build, nil)
}

// weightsOf trains and returns all variables, or none where an error is wanted.
func weightsOf(t *testing.T, ctx context.Context, o train.Options, src func(*tfgraph.Scope) train.Source, build train.Build, wanted error) map[string][]float32 {
	t.Helper()
	tr, err := train.New(o, src, build)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if _, err := tr.Run(ctx); !errors.Is(err, wanted) {
		t.Fatal(fmt.Errorf("want %v: %w", wanted, err))
	}
	if wanted != nil {
		return nil
	}
	return variables(t, tr)
}
