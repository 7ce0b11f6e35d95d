package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// heads begin the names of the layers that classes decide the shape of.
var heads = []string{"final_layer/FC/", "aux_"}

// withExtras adds what a whole training has to its options.
func withExtras(o train.Options, r api.TrainRequest, plan *model.Plan, heldOut examples) (train.Options, error) {
	return wholeTraining(o, r.Train.Run, heads, train.Evaluation{Run: heldOutTop1(r, plan, heldOut), Metric: "top1"})
}

// wholeTraining is withExtras for any network: heads begin the names of its last
// layers, look is how it is evaluated.
func wholeTraining(o train.Options, x api.RunExtras, heads []string, look train.Evaluation) (train.Options, error) {
	var err error
	if o.Devices, o.Session.CPUDevices, err = devices(x.Devices); err != nil {
		return o, err
	}
	o.Accumulate = max(1, x.Accumulate)
	o.Budget = time.Duration(x.BudgetSeconds * float64(time.Second))
	o.KeepEvery = time.Duration(x.KeepHours * float64(time.Hour))
	o.Events = train.Events{Text: x.EventText, Images: x.EventImages, Histograms: x.HistogramSteps}
	if x.EvaluateEpochs > 0 {
		look.Every, look.Patience = max(1, int64(x.EvaluateEpochs*float64(o.Epoch)/float64(o.Batch))), x.Patience
		o.Evaluation = look
	}
	if x.Weights != "" {
		o.Initial = train.Initial{Prefix: checkpointPrefix(x.Weights), Averages: true}
		if x.NewHead {
			o.Initial.Anew = heads
		}
	}
	for _, name := range x.Freeze {
		o.RateScales = append(o.RateScales, train.RateScale{Names: name})
	}
	if x.BodyRate != 1 && x.Weights != "" { // the heads keep the whole rate
		for _, name := range heads {
			o.RateScales = append(o.RateScales, train.RateScale{Names: name, Scale: 1})
		}
		o.RateScales = append(o.RateScales, train.RateScale{Scale: float32(x.BodyRate)})
	}
	return o, nil
}

// checkpointPrefix is that of a checkpoint's directory, or the path itself.
func checkpointPrefix(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return train.Checkpoint{Dir: path}.Prefix()
	}
	return path
}

// heldOutTop1 measures the network on the held-out images, by its moving
// averages where it has them. Its tower is added at the first call.
func heldOutTop1(r api.TrainRequest, plan *model.Plan, heldOut examples) func(context.Context, *train.Trainer) (map[string]float64, error) {
	var e *evaluation
	return func(ctx context.Context, t *train.Trainer) (map[string]float64, error) {
		if e == nil {
			made := newEvaluation(t.Graph.Root().Sub("held_out"), t.Store.SharedAs(optim.AverageSuffix), plan, heldOut, 100)
			e = &made
		}
		measured, err := measure(ctx, t.Session, *e, nil)
		return map[string]float64{"top1": measured.Top1, "top5": measured.Top5, "loss": measured.Loss}, err
	}
}

var gpuDevice = regexp.MustCompile(`GPU:(\d+)$`)

// devices translates names such as cpu:1 and gpu:all to TensorFlow's, and tells
// how many virtual CPU devices they need.
func devices(names []string) (list []string, cpus int, err error) {
	for _, name := range names {
		kind, number, _ := strings.Cut(name, ":")
		switch {
		case name == "gpu:all":
			found, err := gpus()
			if err == nil && len(found) == 0 {
				err = fmt.Errorf("gpu:all: TensorFlow sees no GPU here (`nasnet doctor` lists its devices); use cpu:0, or a TensorFlow library with GPU support")
			}
			if err != nil {
				return nil, 0, err
			}
			list = append(list, found...)
		case kind == "cpu":
			n, err := strconv.Atoi(number)
			if err != nil || n > 64 {
				return nil, 0, fmt.Errorf("device %q; want cpu:0 to cpu:64", name)
			}
			cpus = max(cpus, n+1)
			list = append(list, "/device:CPU:"+number)
		case kind == "gpu":
			list = append(list, "/device:GPU:"+number)
		default:
			return nil, 0, fmt.Errorf("device %q; want cpu:N, gpu:N or gpu:all", name)
		}
	}
	return list, cpus, nil
}

// requireGPUs refuses GPUs that are not there: TensorFlow would compute on the
// CPU instead and not say so.
func requireGPUs(devices []string) error {
	asked := slices.DeleteFunc(slices.Clone(devices), func(d string) bool { return !gpuDevice.MatchString(d) })
	if len(asked) == 0 {
		return nil
	}
	found, err := gpus()
	if err != nil {
		return err
	}
	for _, d := range asked {
		if !slices.Contains(found, d) {
			return fmt.Errorf("%s was asked for, but TensorFlow sees %d GPUs here (`nasnet doctor --require-gpu` says why); use cpu:0, or see to the GPU", d, len(found))
		}
	}
	return nil
}

// onGPU reports whether towers run on GPUs, which are quickest with the
// operations as the model has them.
func onGPU(c *api.Cluster) bool {
	if c != nil {
		return c.GPU
	}
	list, err := gpus()
	return err == nil && len(list) > 0
}

// gpus are the names of the GPUs that TensorFlow sees here.
func gpus() ([]string, error) {
	sess, err := tfgraph.NewSession(tfgraph.New(), tfgraph.SessionOptions{AllowGrowth: true})
	if err != nil {
		return nil, err
	}
	defer sess.Close()
	all, err := sess.Devices()
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var list []string
	for _, d := range all {
		if m := gpuDevice.FindStringSubmatch(d.Name); m != nil {
			list = append(list, "/device:GPU:"+m[1])
		}
	}
	return list, nil
}
