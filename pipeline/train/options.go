package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// Options configures a training.
type Options struct {
	Dir    string // run directory for metrics, events and checkpoints; "": keep none (a search's child)
	Digest string // of the configuration; a checkpoint of another one is refused
	Batch  int64  // images an update: those of one batch of the source, times Accumulate
	Steps  int64  // updates in all
	Epoch  int64  // images an epoch, for metrics; 0: epochs are not counted

	Rule        optim.Rule     // how gradients change weights
	Rate        optim.Schedule // learning rate by step
	WeightDecay float32        // of the tower's decayed weights; added to gradients as L2, decoupled for AdamW and LAMB
	ClipNorm    float32        // of the global gradient norm, after decay was added; 0: none
	ClipEach    bool           // ClipNorm bounds each variable's gradient by itself
	EMA         float32        // decay of the moving averages of weights and statistics; 0: none
	DropPath    DropPath       // keep probabilities fed each step
	Seed        int64          // of first weights and masks
	Initial     Initial        // weights to begin with; zero: drawn by Seed
	RateScales  []RateScale    // parts of the network with a learning rate of their own, or none

	// Devices are the replicas: each computes an equal share of a batch, with
	// batch norm of its own share, and the gradients are averaged. The first
	// must be TensorFlow's default device, which holds the variables. Empty:
	// one replica there. With Session.Cluster they are devices of its workers,
	// and the host has variables, input, updates and checkpoints.
	Devices    []string
	Accumulate int64 // batches whose gradients are averaged into one update; 0: 1

	// XLA compiles the whole step, with static shapes: the way an XLA device
	// such as a TPU takes. With one device, without accumulation.
	XLA bool

	CheckpointSteps int64         // steps between checkpoints; 0: only at the end
	KeepCheckpoints int           // newest ones that stay, beside the best; 0: 3
	KeepEvery       time.Duration // one for each so much time stays for good; 0: none
	ReportSteps     int64         // steps between metrics; 0: 50
	Budget          time.Duration // of training, over all its processes; then it ends early; 0: none
	Evaluation      Evaluation    // on other images, now and then
	Events          Events        // for TensorBoard
	Hooks           []Hook        // the caller's own

	Session    tfgraph.SessionOptions
	OnProgress func(Progress) // called at each report; may be nil
	OnNote     func(string)   // things a user should know; may be nil
}

// Evaluation measures the network during training, finds its best checkpoint
// and ends a training that no longer gets better.
type Evaluation struct {
	// Run returns named figures; they join the step's metrics as eval_NAME. It
	// may use the trainer's session. Nil: no evaluation.
	Run   func(ctx context.Context, t *Trainer) (map[string]float64, error)
	Every int64 // steps between evaluations; 0: only at the end
	// Metric is the figure that says which checkpoint is best, which then is
	// kept for good; "": none is.
	Metric   string
	Lower    bool // the smallest is best, as of a loss
	Patience int  // evaluations without a better one after which training ends; 0: it never does
}

// Hook is work of the caller's between steps.
type Hook struct {
	Name  string
	Every int64 // steps; 0: only after the last
	// Run may return ErrStop, after which training ends as if all steps were
	// done; any other error is the training's.
	Run func(ctx context.Context, t *Trainer, p Progress) error
}

// ErrStop is what a hook returns to end the training early, in good order.
var ErrStop = errors.New("the training is to end here")

// remote reports whether the replicas are on other machines than the variables.
func (o Options) remote() bool { return o.Session.Cluster != nil }

// Validate returns all faults.
func (o Options) Validate() error {
	var faults []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("train: "+format, args...))
		}
	}
	parts := max(1, o.Accumulate) * int64(max(1, len(o.Devices)))
	want(o.Batch >= 1, "batch %d: want at least 1", o.Batch)
	want(o.Batch%parts == 0, "batch %d: want a multiple of the %d parts that %d devices and %d accumulated batches make", o.Batch, parts, len(o.Devices), o.Accumulate)
	want(o.Accumulate >= 0, "accumulate %d: want 1 or more", o.Accumulate)
	want(!o.XLA || o.Accumulate <= 1 && len(o.Devices) <= 1, "XLA compiles a step of one device without accumulated batches; here are %d devices and %d batches", len(o.Devices), o.Accumulate)
	want(!o.remote() || len(o.Devices) > 0, "a cluster without devices of its workers")
	want(!o.XLA || !o.remote(), "XLA compiles a step of one machine, not of a cluster")
	want(o.Steps >= 1, "steps %d: want at least 1", o.Steps)
	want(o.Rule != nil, "no optimizer given")
	want(o.Rate != nil, "no learning rate schedule given")
	want(o.ClipNorm >= 0, "clip norm %g: want 0 (none) or more", o.ClipNorm)
	want(o.WeightDecay >= 0, "weight decay %g: want 0 (none) or more", o.WeightDecay)
	want(o.EMA >= 0 && o.EMA < 1, "moving average decay %g: want 0 (none) to below 1", o.EMA)
	want(o.Budget >= 0, "time budget %v: want 0 (none) or more", o.Budget)
	want(o.Evaluation.Patience == 0 || o.Evaluation.Metric != "", "patience %d needs the name of a metric", o.Evaluation.Patience)
	want(o.Evaluation.Metric == "" || o.Evaluation.Run != nil, "metric %q: no evaluation is given", o.Evaluation.Metric)
	for _, r := range o.RateScales {
		want(r.Scale >= 0, "rate scale %g of %q: want 0 (frozen) or more", r.Scale, r.Names)
	}
	for _, h := range o.Hooks {
		want(h.Run != nil && h.Every >= 0, "hook %q: want a function, and every 0 steps (at the end) or more", h.Name)
	}
	faults = append(faults, o.DropPath.validate())
	return errors.Join(faults...)
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	if o.ReportSteps <= 0 {
		o.ReportSteps = 50
	}
	if o.KeepCheckpoints <= 0 {
		o.KeepCheckpoints = 3
	}
	o.Accumulate = max(1, o.Accumulate)
	return o
}

// Result is what a training came to.
type Result struct {
	Steps        int64   `json:"steps"`
	Epochs       float64 `json:"epochs"`
	Loss         float64 `json:"loss"` // of the last report
	Checkpoint   string  `json:"checkpoint,omitempty"`
	Best         string  `json:"best,omitempty"`        // checkpoint with the best metric
	BestStep     int64   `json:"best_step,omitempty"`   // its step
	BestMetric   float64 `json:"best_metric,omitempty"` // its value
	Ended        string  `json:"ended,omitempty"`       // why it ended before its last step; "" if it did not
	ResumedAt    int64   `json:"resumed_at"`            // step; 0: from the start
	Seconds      float64 `json:"seconds"`               // of this process's steps
	FirstSeconds float64 `json:"first_seconds"`         // of its first step alone
}
