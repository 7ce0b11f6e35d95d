package train

import (
	"errors"
	"fmt"

	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// ErrInterrupted is returned when the context ended: the state is in the newest
// checkpoint and the same call goes on from there.
var ErrInterrupted = errors.New("training interrupted; it goes on from its last checkpoint")

// ErrDiverged is returned when the loss is no longer a finite number.
var ErrDiverged = errors.New("the loss is not finite")

// Options configures a training.
type Options struct {
	Dir    string // run directory for metrics and checkpoints; "": keep neither (a search's child)
	Digest string // of the configuration; a checkpoint of another one is refused
	Batch  int64  // images a step
	Steps  int64  // in all
	Epoch  int64  // images an epoch, for metrics

	Rule        optim.Rule     // how gradients change weights
	Rate        optim.Schedule // learning rate by step
	WeightDecay float32        // L2, added to the gradients of the decayed weights
	ClipNorm    float32        // of the global gradient norm; 0: none
	EMA         float32        // decay of the weights' moving averages; 0: none
	DropPath    DropPath       // keep probabilities fed each step
	Seed        int64          // of first weights and masks

	CheckpointSteps int64 // steps between checkpoints; 0: only at the end
	KeepCheckpoints int   // newest ones that stay; 0: 3
	ReportSteps     int64 // steps between metrics; 0: 50

	Session    tfgraph.SessionOptions
	OnProgress func(Progress) // called at each report; may be nil
	OnNote     func(string)   // things a user should know; may be nil
}

// Validate returns all faults.
func (o Options) Validate() error {
	var faults []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("train: "+format, args...))
		}
	}
	want(o.Batch >= 1, "batch %d: want at least 1", o.Batch)
	want(o.Steps >= 1, "steps %d: want at least 1", o.Steps)
	want(o.Rule != nil, "no optimizer given")
	want(o.Rate != nil, "no learning rate schedule given")
	want(o.ClipNorm >= 0, "clip norm %g: want 0 (none) or more", o.ClipNorm)
	want(o.WeightDecay >= 0, "weight decay %g: want 0 (none) or more", o.WeightDecay)
	want(o.EMA >= 0 && o.EMA < 1, "moving average decay %g: want 0 (none) to below 1", o.EMA)
	return errors.Join(faults...)
}

// Progress is one report of a training: a line of metrics.jsonl.
type Progress struct {
	Step            int64   `json:"step"` // done so far
	Steps           int64   `json:"steps"`
	Epoch           float64 `json:"epoch"`
	Loss            float64 `json:"loss"` // cross entropy with its smoothing, auxiliary part included
	Accuracy        float64 `json:"accuracy"`
	LearningRate    float64 `json:"learning_rate"`
	KeepFirst       float64 `json:"drop_path_keep_first"`
	KeepLast        float64 `json:"drop_path_keep_last"`
	GradientNorm    float64 `json:"gradient_norm"`
	ImagesPerSecond float64 `json:"images_per_second"`
	ResidentBytes   int64   `json:"resident_bytes"`
}

// Result is what a training came to.
type Result struct {
	Steps        int64   `json:"steps"`
	Epochs       float64 `json:"epochs"`
	Loss         float64 `json:"loss"` // of the last report
	Checkpoint   string  `json:"checkpoint,omitempty"`
	ResumedAt    int64   `json:"resumed_at"`    // step; 0: from the start
	Seconds      float64 `json:"seconds"`       // of this process's steps
	FirstSeconds float64 `json:"first_seconds"` // of its first step alone
}
