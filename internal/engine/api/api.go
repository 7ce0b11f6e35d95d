package api

import "github.com/nasnet-go/nasnet/cells/model"

// The commands of nasnet-engine.
const (
	Trial        = "trial"         // train a search's child and measure it on held-out images
	Train        = "train"         // train a network in a run directory, resuming
	TrainServer  = "train-server"  // compute for trainings of other machines until it is stopped
	Eval         = "eval"          // measure a checkpoint or a SavedModel
	Export       = "export"        // write a SavedModel
	CheckExport  = "check-export"  // load a SavedModel anew and compare its logits
	Predict      = "predict"       // classify images or arrays
	Weights      = "weights"       // convert a network's weights
	ServeBackend = "serve-backend" // answer predictions on a socket
	FirstStep    = "first-step"    // time from process start to the end of the first training step
	InputRate    = "input-rate"    // time an input pipeline
	InferRate    = "infer-rate"    // time networks that run forward
	SessionRate  = "session-rate"  // time a SavedModel without a server around it
	Show         = "show"          // write images as the network sees them
	Doctor       = "doctor"        // TensorFlow's version and devices
	Abort        = "abort"         // kill itself with SIGABRT: for tests of the supervision
)

// DeviceLibraries is the variable of the environment that lists TensorFlow's
// pluggable device libraries, separated as in PATH: the engine loads them first.
const DeviceLibraries = "NASNET_DEVICE_LIBRARIES"

// Threads says how TensorFlow uses the machine.
type Threads struct {
	InterOp   int    `json:"inter_op"`          // operations at once; 0: one a core
	IntraOp   int    `json:"intra_op"`          // threads of one operation; 0: one a core
	Grappler  string `json:"grappler"`          // "", "one" or "off"
	Precision string `json:"precision"`         // "", "bf16" or "fp16"
	XLA       bool   `json:"xla"`               // compile clusters
	Devices   int    `json:"devices,omitempty"` // virtual CPU devices; 0: one
}

// Optimizer says how gradients change weights.
type Optimizer struct {
	Name     string  `json:"name"` // momentum | sgd | rmsprop | adam | adamw | lamb
	Momentum float64 `json:"momentum"`
	Nesterov bool    `json:"nesterov"`
	Decay    float64 `json:"decay"`   // rmsprop's mean square
	Epsilon  float64 `json:"epsilon"` // inside the root for rmsprop
	Beta1    float64 `json:"beta1,omitempty"`
	Beta2    float64 `json:"beta2,omitempty"`
}

// Schedule is the learning rate's.
type Schedule struct {
	Name        string    `json:"name"` // cosine | exponential | steps | constant
	Rate        float64   `json:"rate"`
	WarmupSteps int64     `json:"warmup_steps"`
	DecayEpochs float64   `json:"decay_epochs"`         // exponential: epochs an interval
	DecayRate   float64   `json:"decay_rate"`           // exponential: factor an interval
	Boundaries  []float64 `json:"boundaries,omitempty"` // steps: epochs
	AtSteps     []int     `json:"at_steps,omitempty"`   // steps: the same by number
	Factor      float64   `json:"factor,omitempty"`     // steps: factor at each
}

// Training is a recipe.
type Training struct {
	Batch           int64     `json:"batch"`
	Epochs          float64   `json:"epochs"`
	Steps           int64     `json:"steps"` // instead of epochs, if not 0
	Optimizer       Optimizer `json:"optimizer"`
	Schedule        Schedule  `json:"schedule"`
	WeightDecay     float64   `json:"weight_decay"`
	ClipNorm        float64   `json:"clip_norm"`
	LabelSmoothing  float64   `json:"label_smoothing"`
	Mixup           float64   `json:"mixup,omitempty"`
	CutMix          float64   `json:"cutmix,omitempty"`
	AuxWeight       float64   `json:"aux_weight"`
	DropPathVersion string    `json:"drop_path_version"`
	EMA             float64   `json:"ema"`
	CheckpointSteps int64     `json:"checkpoint_steps"`
	KeepCheckpoints int       `json:"keep_checkpoints"`
	ReportSteps     int64     `json:"report_steps"`
	Run             RunExtras `json:"run"`
}

// RunExtras are what a whole training has and a search's child has not.
type RunExtras struct {
	Accumulate     int64    `json:"accumulate,omitempty"`
	Devices        []string `json:"devices,omitempty"` // cpu:0, gpu:0, gpu:all
	BudgetSeconds  float64  `json:"budget_seconds,omitempty"`
	KeepHours      float64  `json:"keep_hours,omitempty"`      // a checkpoint for each so much time stays
	EvaluateEpochs float64  `json:"evaluate_epochs,omitempty"` // between looks at the held-out images
	Patience       int      `json:"patience,omitempty"`
	EventImages    int      `json:"event_images,omitempty"`
	HistogramSteps int64    `json:"histogram_steps,omitempty"`
	EventText      string   `json:"event_text,omitempty"` // the configuration, for TensorBoard
	Weights        string   `json:"weights,omitempty"`    // to begin with: checkpoint directory or prefix
	NewHead        bool     `json:"new_head,omitempty"`
	Freeze         []string `json:"freeze,omitempty"` // beginnings of names
	BodyRate       float64  `json:"body_rate,omitempty"`
}

// TrialRequest asks for one child of a search.
type TrialRequest struct {
	Model     model.Model `json:"model"`
	Data      Data        `json:"data"`
	Train     Training    `json:"train"`
	Seed      int64       `json:"seed"`
	Threads   Threads     `json:"threads"`
	EvalBatch int64       `json:"eval_batch"`
	// TestImages asks for the accuracy on the first test images too, which a
	// search must not see: for tables of benchmarks.
	TestImages int `json:"test_images,omitempty"`
	// Evaluations are looks at the held-out images while the child trains, told
	// in its progress as TrialLook.
	Evaluations int  `json:"evaluations,omitempty"`
	Latency     bool `json:"latency,omitempty"` // time single images
}

// TrialLook is the progress value with a look's accuracy.
const TrialLook = "held_out_accuracy"

// TrialResult is what a child came to.
type TrialResult struct {
	Accuracy        float64 `json:"accuracy"` // on the held-out images
	TestAccuracy    float64 `json:"test_accuracy,omitempty"`
	LatencyMillis   float64 `json:"latency_ms,omitempty"` // of one image
	Loss            float64 `json:"loss"`                 // of the last training report
	Steps           int64   `json:"steps"`
	Seconds         float64 `json:"seconds"` // of its training steps
	Params          int64   `json:"params"`  // trainable
	ImagesPerSecond float64 `json:"images_per_second"`
}

// TrainRequest asks for a training in a run directory; it goes on from the
// newest checkpoint there.
type TrainRequest struct {
	Dir     string      `json:"dir"`
	Digest  string      `json:"digest"` // of the configuration: checkpoints of another one are refused
	Model   model.Model `json:"model"`
	Data    Data        `json:"data"`
	Train   Training    `json:"train"`
	Seed    int64       `json:"seed"`
	Threads Threads     `json:"threads"`
	Cluster *Cluster    `json:"cluster,omitempty"` // machines that compute the replicas
}

// Cluster names the machines of a training by host:port.
type Cluster struct {
	Host    string   `json:"host"`    // of the training itself, as the workers reach it
	Workers []string `json:"workers"` // of their train-server
	GPU     bool     `json:"gpu"`     // the workers have GPUs
}

// TrainServerRequest starts TensorFlow's gRPC server.
type TrainServerRequest struct {
	Address string  `json:"address"` // host:port; TensorFlow listens on all interfaces
	Threads Threads `json:"threads"`
}

// TrainResult is what a training came to.
type TrainResult struct {
	Steps      int64   `json:"steps"`
	Epochs     float64 `json:"epochs"`
	Loss       float64 `json:"loss"`
	Checkpoint string  `json:"checkpoint"`
	Best       string  `json:"best,omitempty"`      // checkpoint of the best evaluation
	BestTop1   float64 `json:"best_top1,omitempty"` // on the held-out images
	Ended      string  `json:"ended,omitempty"`     // why training ended early
	ResumedAt  int64   `json:"resumed_at"`
	Seconds    float64 `json:"seconds"`
	Params     int64   `json:"params"`

	ImagesPerSecond float64 `json:"images_per_second"` // of this process, behind its first step
}

// EvalRequest asks for the accuracy of a checkpoint or a SavedModel.
type EvalRequest struct {
	Model       *model.Model `json:"model,omitempty"`       // with Checkpoint; of a SavedModel, where images are not prepared by itself
	Checkpoint  string       `json:"checkpoint,omitempty"`  // its directory or prefix
	SavedModel  string       `json:"saved_model,omitempty"` // or a SavedModel version's directory
	Averages    bool         `json:"averages"`              // use moving averages where the checkpoint has them
	Data        Data         `json:"data"`
	Split       string       `json:"split"` // test | validation
	Batch       int64        `json:"batch"`
	Predictions string       `json:"predictions,omitempty"` // file for the logits, .npy float32 [N,classes]
	Threads     Threads      `json:"threads"`
}

// EvalResult is a measurement. Intervals are Wilson's at 95 %.
type EvalResult struct {
	Images          int64      `json:"images"`
	Top1            float64    `json:"top1"`
	Top5            float64    `json:"top5"`
	Top1CI95        [2]float64 `json:"top1_ci95"`
	Top5CI95        [2]float64 `json:"top5_ci95"`
	Loss            float64    `json:"loss"`
	ImagesPerSecond float64    `json:"images_per_second"`
}

// ExportRequest asks for a SavedModel.
type ExportRequest struct {
	Model       model.Model `json:"model"`
	Checkpoint  string      `json:"checkpoint"`
	Averages    bool        `json:"averages"`
	Name        string      `json:"name"` // for clients
	Dir         string      `json:"dir"`  // NAME/ : the version is a directory in it
	Version     int64       `json:"version"`
	Classes     []string    `json:"classes"`
	Standardize string      `json:"standardize"`
	Eval        Preparation `json:"eval"`
	Optimize    bool        `json:"optimize"` // folded and frozen; otherwise with variables
	Weights     string      `json:"weights"`  // float32 | float16 | bfloat16: how they are stored
	Features    bool        `json:"features"` // a signature for pooled features and the last map
	Origin      Origin      `json:"origin"`
}

// Origin is what the front knows of a model, for its manifest.
type Origin struct {
	Run      string      `json:"run,omitempty"`
	Version  string      `json:"version"` // of nasnet
	Accuracy *EvalResult `json:"accuracy,omitempty"`
}

// ExportResult is what was written.
type ExportResult struct {
	Dir        string   `json:"dir"`
	Bytes      int64    `json:"bytes"`
	Signatures []string `json:"signatures"`
}

// CheckExportRequest asks for a comparison of every signature of a SavedModel,
// loaded anew, with logits computed before, and of its features with those of the
// plain network of the checkpoint.
type CheckExportRequest struct {
	SavedModel string      `json:"saved_model"`
	Model      model.Model `json:"model"`
	Checkpoint string      `json:"checkpoint"`
	Averages   bool        `json:"averages"`
	Data       Data        `json:"data"`
	Images     int         `json:"images"`   // of the test split, from the first
	Expected   string      `json:"expected"` // .npy float32 [N,classes]
	Threads    Threads     `json:"threads"`
}

// CheckExportResult is how far the outputs are apart.
type CheckExportResult struct {
	Images       int                `json:"images"`
	MaxAbsDiff   float64            `json:"max_abs_diff"`  // of all signatures
	Signatures   map[string]float64 `json:"signatures"`    // by signature; classify: of probabilities; features: of values, as a share of the largest
	LargestLogit float64            `json:"largest_logit"` // of the trainer's, by size
	SameClass    int                `json:"same_class"`    // images whose best class is the trainer's
}

// InferRateRequest asks how fast networks with random weights run, each form by
// turns with the others.
type InferRateRequest struct {
	Model   model.Model `json:"model"`
	Batch   int64       `json:"batch"`
	Runs    int         `json:"runs"`   // timed, of each form in a round
	Rounds  int         `json:"rounds"` // after one that warms up
	Forms   []string    `json:"forms"`  // plain | frozen | optimized, with +bf16, +float16 and +bfloat16
	Profile bool        `json:"profile,omitempty"`
	Threads Threads     `json:"threads"`
}

// InferRateResult has a form's rates, in the order asked for.
type InferRateResult struct {
	Forms           []FormRate `json:"forms"`
	PeakMemoryBytes int64      `json:"peak_memory_bytes"` // of all forms together
}

// FormRate is one form's.
type FormRate struct {
	Form            string     `json:"form"`
	ImagesPerSecond []float64  `json:"images_per_second_all"` // by round
	MaxAbsDiff      float64    `json:"max_abs_diff"`          // of its logits from the first form's
	LargestLogit    float64    `json:"largest_logit"`         // of the first form
	FirstSeconds    float64    `json:"first_seconds"`         // of the first run: TensorFlow optimises the graph
	Kinds           []KindTime `json:"kinds,omitempty"`
}

// PredictRequest asks for the logits of an array, or the classes of image files.
type PredictRequest struct {
	SavedModel string       `json:"saved_model,omitempty"`
	Model      *model.Model `json:"model,omitempty"`   // with Weights
	Weights    string       `json:"weights,omitempty"` // checkpoint directory or prefix
	Input      string       `json:"input,omitempty"`   // .npy float32 [N,H,W,C]
	Output     string       `json:"output,omitempty"`  // .npy for the logits
	Files      []string     `json:"files,omitempty"`   // encoded images
	// Standardize replaces that of the model's style, for Files with Weights.
	Standardize string   `json:"standardize,omitempty"`
	Labels      []string `json:"labels,omitempty"` // class names; otherwise the SavedModel's
	Top         int      `json:"top"`
	Threads     Threads  `json:"threads"`
}

// PredictResult lists classes, best first, for each file.
type PredictResult struct {
	Shape []int64      `json:"shape,omitempty"` // of the logits written
	Files []Prediction `json:"files,omitempty"`
}

// Prediction is one image's.
type Prediction struct {
	File string  `json:"file"`
	Best []Class `json:"best"`
}

// Class is one candidate.
type Class struct {
	Index       int     `json:"index"`
	Name        string  `json:"name,omitempty"`
	Probability float64 `json:"probability"`
}

// WeightsRequest asks for a network's weights in another form.
type WeightsRequest struct {
	Model          model.Model `json:"model"`
	From           string      `json:"from"`     // slim | npz
	Source         string      `json:"source"`   // checkpoint's prefix, or .npz
	To             string      `json:"to"`       // checkpoint | npz
	Out            string      `json:"out"`      // prefix, or .npz
	Averages       string      `json:"averages"` // auto | yes | no
	DropBackground bool        `json:"drop_background"`
}

// WeightsResult is what was converted.
type WeightsResult struct {
	Variables int         `json:"variables"`
	Values    int64       `json:"values"`   // elements of all of them
	Averages  int         `json:"averages"` // variables taken from their moving averages
	Ignored   []string    `json:"ignored"`  // entries that are no weights, never null
	Model     model.Model `json:"model"`    // without the auxiliary head if the source has none
}

// ServeRequest starts a backend that answers on a socket until it is stopped.
type ServeRequest struct {
	Socket   string  `json:"socket"`
	ModelDir string  `json:"model_dir"`
	Name     string  `json:"name"`
	Version  int64   `json:"version"`
	Threads  Threads `json:"threads"`
}

// SessionRateRequest asks how fast a SavedModel answers, without a server.
type SessionRateRequest struct {
	ModelDir  string   `json:"model_dir"`
	Signature string   `json:"signature"`
	Batch     int      `json:"batch"`            // rows of a run
	Encoded   [][]byte `json:"encoded"`          // images for an input of strings, taken in turn
	Floats    bool     `json:"floats,omitempty"` // the input takes float32, drawn at random
	Callers   int      `json:"callers"`          // that run it at once
	Seconds   float64  `json:"seconds"`          // of the measurement, after as many runs as callers to warm up
	Threads   Threads  `json:"threads"`
}

// SessionRateResult is what was measured.
type SessionRateResult struct {
	ImagesPerSecond float64 `json:"images_per_second"`
	Runs            int     `json:"runs"`
	CPUSeconds      float64 `json:"cpu_seconds"` // of all threads, in these runs
}

// FirstStepRequest is a child to be trained for one step.
type FirstStepRequest struct {
	Model   model.Model `json:"model"`
	Train   Training    `json:"train"`
	Threads Threads     `json:"threads"`
	Steps   int64       `json:"steps"`             // timed after the first
	Profile int64       `json:"profile,omitempty"` // steps traced after those
	Peak    bool        `json:"peak,omitempty"`    // measure the fastest matrix product too
}

// FirstStepResult tells the parts of the wait.
type FirstStepResult struct {
	BuildSeconds     float64 `json:"build_seconds"`
	FirstStepSeconds float64 `json:"first_step_seconds"` // the first run of the step itself
	ImagesPerSecond  float64 `json:"images_per_second,omitempty"`
	Params           int64   `json:"params"`
	PeakMemoryBytes  int64   `json:"peak_memory_bytes"`
	MACs             int64   `json:"macs"` // of one image, forward

	// PeakMACs is how many multiply-adds a second a large matrix product does
	// with the same threads.
	PeakMACs float64 `json:"peak_macs_per_second,omitempty"`

	Kinds []KindTime `json:"kinds,omitempty"` // where traced steps spent their time, longest first
}

// KindTime is what the operations of one type take in a step.
type KindTime struct {
	Kind    string  `json:"kind"`  // TensorFlow's, after graph optimization
	Count   float64 `json:"count"` // a step
	Seconds float64 `json:"seconds"`
	Share   float64 `json:"share"` // of all operations' time
}

// DoctorResult is what TensorFlow says of itself.
type DoctorResult struct {
	Version string   `json:"version"`
	Devices []string `json:"devices"`
}

// InputRateRequest asks how many images a second a pipeline over record files
// of JPEGs prepares.
type InputRateRequest struct {
	Files   []string `json:"files"`
	Size    int64    `json:"size"` // pixels a side
	Batch   int64    `json:"batch"`
	Images  int64    `json:"images"`  // timed
	Decode  bool     `json:"decode"`  // only read and decode: what libjpeg leaves to be reached
	Threads int64    `json:"threads"` // of the pipeline; 0: one a core
}

// InputRateResult is what it came to.
type InputRateResult struct {
	ImagesPerSecond float64 `json:"images_per_second"`
	GrowthBytes     int64   `json:"memory_growth_bytes"` // resident, from a tenth of the images to the last
	PeakMemoryBytes int64   `json:"peak_memory_bytes"`
}
