package configs

import "github.com/nasnet-go/nasnet/cells/detector"

// Config is everything a run is made of. Its YAML form is the configuration
// file; presets/defaults.yaml states every default.
type Config struct {
	// BasedOn is the preset the configuration came from. It is written into a
	// run for its readers and has no effect when read.
	BasedOn string `yaml:"based_on"`
	// Seed starts every random number: the split, first weights, crops, masks
	// and the controller. 0 or more. The same seed gives the same search.
	Seed   int64  `yaml:"seed"`
	Data   Data   `yaml:"data"`
	Model  Model  `yaml:"model"`
	Train  Train  `yaml:"train"`
	Search Search `yaml:"search"`
	Eval   Eval   `yaml:"eval"`
	Export Export `yaml:"export"`
	Serve  Serve  `yaml:"serve"`
	// Detect makes a detector of the model, for the commands under detect.
	Detect detector.Options `yaml:"detect"`
	Engine Engine           `yaml:"engine"`
}

// Data says which images a run learns from.
type Data struct {
	Set     string `yaml:"set"`                   // cifar10 | imagenet | folder | detection
	Dir     string `yaml:"dir" change:"free"`     // record files of ImageNet (empty: the user's cache) or of a detection set; your own images in class folders, or their record files
	Source  string `yaml:"source" change:"free"`  // archive or directory to take CIFAR-10 from; empty: download
	Offline bool   `yaml:"offline" change:"free"` // never ask the network
	// Validation is the number of training images held out of training; what
	// is measured on them says nothing of the test images.
	Validation int `yaml:"validation"`
	// LabelOffset is what stored labels are too great by: -1 takes the manifest's, or
	// what the records' keys tell.
	LabelOffset int     `yaml:"label_offset"`
	Bad         Bad     `yaml:"bad"`
	Augment     Augment `yaml:"augment"`
}

// Bad says what becomes of broken records and images.
type Bad struct {
	Policy string `yaml:"policy"`              // fail: the first ends the run | skip: they are found before, listed and left out
	Limit  int    `yaml:"limit" change:"free"` // skip: more end the run after all
}

// Augment is what happens to a training image before the network sees it.
type Augment struct {
	CropPad     int    `yaml:"crop_pad"`    // zero pixels added on each side before a random crop; 0: no crop
	Flip        bool   `yaml:"flip"`        // left to right, half of the images
	Cutout      int    `yaml:"cutout"`      // side in pixels of a square set to zero; 0: none
	Standardize string `yaml:"standardize"` // image | channel: to mean 0, deviation 1; inception: to -1..1; none: to 0..1. Evaluation does the same

	// The rest is for images in files, of any size.
	CropArea    float64     `yaml:"crop_area"` // smallest random box as a share of the area, resized to the network's input; 0: the whole image
	Colour      bool        `yaml:"colour"`    // change brightness and saturation
	RandAugment RandAugment `yaml:"rand_augment"`
}

// RandAugment is operations drawn at random (Cubuk et al.).
type RandAugment struct {
	Layers    int     `yaml:"layers"`    // operations of an image; 0: none
	Magnitude float64 `yaml:"magnitude"` // their strength, 0 to 10
}

// Model is a network: a built-in model or a model file, and what differs from
// it. A zero leaves the value of that model.
type Model struct {
	Name               string    `yaml:"name"`           // of a built-in model, or a model file
	Cell               string    `yaml:"cell,omitempty"` // a genotype's name or file; a search puts its best cell here
	NormalCells        int       `yaml:"normal_cells,omitempty"`
	Filters            int       `yaml:"filters,omitempty"`
	StemMultiplier     float64   `yaml:"stem_multiplier,omitempty"`
	FilterScaling      float64   `yaml:"filter_scaling,omitempty"`
	SkipReductionInput *bool     `yaml:"skip_reduction_input,omitempty"`
	Input              []int     `yaml:"input,omitempty,flow"`
	Classes            int       `yaml:"classes,omitempty"`
	AuxHead            *bool     `yaml:"aux_head,omitempty"`
	DropPathKeep       float64   `yaml:"drop_path_keep,omitempty"`
	DropoutKeep        float64   `yaml:"dropout_keep,omitempty"`
	BatchNorm          BatchNorm `yaml:"batch_norm,omitempty"`
	Pooling            string    `yaml:"pooling,omitempty"`
}

// BatchNorm holds batch norm's constants; 0 leaves the model's.
type BatchNorm struct {
	Decay   float64 `yaml:"decay,omitempty"`
	Epsilon float64 `yaml:"epsilon,omitempty"`
}

// Train is the recipe for one network.
type Train struct {
	Batch          int        `yaml:"batch"`  // images a step, over all devices and accumulated batches
	Epochs         float64    `yaml:"epochs"` // passes over the training images
	Steps          int64      `yaml:"steps"`  // instead of epochs, if not 0
	Optimizer      Optimizer  `yaml:"optimizer"`
	LearningRate   float64    `yaml:"learning_rate"` // at the start, or at its peak after warm-up
	RateBatch      int        `yaml:"rate_batch"`    // the batch that learning_rate is meant for: another one scales it linearly; 0: it does not
	Schedule       Schedule   `yaml:"schedule"`
	WeightDecay    float64    `yaml:"weight_decay"`    // L2, on convolutions and dense layers alone; decoupled for adamw and lamb
	ClipNorm       float64    `yaml:"clip_norm"`       // of all gradients together; 0: no clipping
	LabelSmoothing float64    `yaml:"label_smoothing"` // share of probability spread over the classes
	Mixup          float64    `yaml:"mixup"`           // alpha of the Beta distribution that pairs of images are mixed by; 0: none
	CutMix         float64    `yaml:"cutmix"`          // the same for boxes of one image in another; not with mixup
	AuxWeight      float64    `yaml:"aux_weight"`      // of the auxiliary head's loss; 0: left out of the loss
	DropPath       DropPath   `yaml:"drop_path"`
	EMA            EMA        `yaml:"ema"`
	Accumulate     int        `yaml:"accumulate"`     // batches whose gradients make one step
	Devices        []string   `yaml:"devices,flow"`   // replicas: cpu:0, gpu:0, gpu:all; several share a step's images
	FineTune       FineTune   `yaml:"fine_tune"`      // weights to begin with
	Evaluation     Evaluation `yaml:"evaluation"`     // on the images held out (data.validation), while training
	BudgetSeconds  float64    `yaml:"budget_seconds"` // training ends in good order after so much time; 0: none
	Checkpoint     Checkpoint `yaml:"checkpoint"`
	Events         Events     `yaml:"events"`
	ReportSteps    int64      `yaml:"report_steps" change:"free"` // steps between lines of metrics.jsonl
}

// Optimizer says how gradients change weights.
type Optimizer struct {
	Name        string  `yaml:"name"`         // momentum | sgd | rmsprop | adam | adamw | lamb
	Momentum    float64 `yaml:"momentum"`     // momentum, rmsprop
	Nesterov    bool    `yaml:"nesterov"`     // momentum
	Decay       float64 `yaml:"decay"`        // rmsprop: of the mean square
	Epsilon     float64 `yaml:"epsilon"`      // rmsprop: inside the root, as TensorFlow 1 has it
	Beta1       float64 `yaml:"beta1"`        // adam, adamw, lamb
	Beta2       float64 `yaml:"beta2"`        // ditto
	AdamEpsilon float64 `yaml:"adam_epsilon"` // ditto
}

// Schedule is how the learning rate moves.
type Schedule struct {
	Name        string    `yaml:"name"`                    // cosine | exponential | steps | constant
	WarmupSteps int64     `yaml:"warmup_steps"`            // of linear rise from 0
	DecayEpochs float64   `yaml:"decay_epochs"`            // exponential: epochs between two decays
	DecayRate   float64   `yaml:"decay_rate"`              // exponential: factor of one decay
	Boundaries  []float64 `yaml:"boundaries,flow"`         // steps: epochs at which the rate is multiplied by the factor
	AtSteps     []int     `yaml:"at_steps,omitempty,flow"` // the same in steps, instead of epochs
	Factor      float64   `yaml:"factor"`                  // steps
}

// DropPath is how ScheduledDropPath grows; its last value is the model's
// drop_path_keep.
type DropPath struct {
	Version string `yaml:"version"` // v1: by step | v2: by depth | v3: by both
}

// EMA keeps a moving average of the weights, which evaluation and export use.
type EMA struct {
	Decay float64 `yaml:"decay"` // a step; 0: no average
}

// FineTune begins with the weights of another network of the same cell.
type FineTune struct {
	Weights  string   `yaml:"weights"`     // checkpoint: its directory or prefix; empty: weights are drawn by the seed
	NewHead  bool     `yaml:"new_head"`    // the last layer, and the auxiliary head's, are drawn anew
	Freeze   []string `yaml:"freeze,flow"` // beginnings of variables' names that do not change, such as cell_stem_
	BodyRate float64  `yaml:"body_rate"`   // factor of the learning rate of all but the last layer
}

// Evaluation says when the held-out images are looked at.
type Evaluation struct {
	EveryEpochs float64 `yaml:"every_epochs"` // 0: not while training
	Patience    int     `yaml:"patience"`     // evaluations without a better top-1 after which training ends; 0: it goes on
}

// Checkpoint says how often a training can be taken up again.
type Checkpoint struct {
	Steps int64   `yaml:"steps" change:"free"` // between two; 0: one at the end only
	Keep  int     `yaml:"keep" change:"free"`  // newest ones that stay
	Hours float64 `yaml:"hours" change:"free"` // one for each so many hours stays for good; 0: none
}

// Events is what TensorBoard gets to see beside the metrics.
type Events struct {
	Images         int   `yaml:"images" change:"free"`          // pictures after augmentation, once; 0: none
	HistogramSteps int64 `yaml:"histogram_steps" change:"free"` // steps between histograms of all weights; 0: none
}

// Search is how cells are looked for.
type Search struct {
	Space        Space  `yaml:"space"`
	Policy       Policy `yaml:"policy"`
	Trials       int    `yaml:"trials"`                // children of the policy
	RandomTrials int    `yaml:"random_trials"`         // children of uniform sampling beside it; -1: as many as trials
	Workers      int    `yaml:"workers" change:"free"` // children trained at once by this process; 0: by workers elsewhere alone
	Queue        Queue  `yaml:"queue"`
	Mode         string `yaml:"mode"` // sync: the same search whatever the workers | async: no waiting, not reproducible
	// Beside lists further policies, such as evolution, with as many children as
	// the chosen one.
	Beside    []string  `yaml:"beside,flow"`
	Objective Objective `yaml:"objective"`
	Stopping  Stopping  `yaml:"stopping"`
	Child     Child     `yaml:"child"`
	Limits    Limits    `yaml:"limits"`
	TopK      int       `yaml:"top_k" change:"free"` // best cells listed at the end
}

// Space is what cells may look like: a space's name or file, and what differs.
type Space struct {
	Name     string   `yaml:"name"` // nasnet, or a space file
	Ops      []string `yaml:"ops,omitempty,flow"`
	Blocks   int      `yaml:"blocks,omitempty"` // a cell
	Combines []string `yaml:"combines,omitempty,flow"`
	Tied     *bool    `yaml:"tied,omitempty"` // the reduction cell repeats the normal one
}

// Objective makes a reward of a child's held-out accuracy and what it costs.
// Costs are params, macs, and latency_ms: the measured time of one image, which
// is not the same on every run.
type Objective struct {
	// Penalties are spelled COST>TARGET:WEIGHT, such as macs>5000000:0.1: nothing
	// is taken off up to the target, the weight for twice the target.
	Penalties []string `yaml:"penalties,flow"`
	Front     []string `yaml:"front,flow"` // costs that span a Pareto front with the reward, for the report
}

// Penalty is an entry of Objective.Penalties.
type Penalty struct {
	Cost           string
	Target, Weight float64
}

// Stopping ends bad children early, by their accuracy on held-out images while
// they train.
type Stopping struct {
	Rule        string `yaml:"rule"`        // none | median | halving
	Evaluations int    `yaml:"evaluations"` // looks at the held-out images in a child's training
	After       int    `yaml:"after"`       // number of the look that may first end a child
	Trials      int    `yaml:"trials"`      // children that must be done before any is ended
	Factor      int    `yaml:"factor"`      // halving: the best 1/factor go on
}

// Queue is how workers elsewhere reach a search. Its token comes from the
// environment (NASNET_QUEUE_TOKEN); without one, the search makes one up.
type Queue struct {
	URL    string `yaml:"url" change:"free"`    // of an outside NATS server; empty: one inside of the search
	Listen string `yaml:"listen" change:"free"` // host:port of the one inside; port 0: a free one
	Cert   string `yaml:"cert" change:"free"`   // TLS: files of the one inside
	Key    string `yaml:"key" change:"free"`
	CA     string `yaml:"ca" change:"free"` // certificates to trust instead of the system's
}

// Policy says who samples the cells. A zero leaves what the controller takes
// for a budget of that many trials.
type Policy struct {
	Name         string  `yaml:"name"`                     // ppo | reinforce | random | evolution
	Batch        int     `yaml:"batch"`                    // trials an update; in sync mode a barrier
	Hidden       int     `yaml:"hidden,omitempty"`         // units of the LSTM
	LearningRate float64 `yaml:"learning_rate,omitempty"`  // of Adam
	Entropy      float64 `yaml:"entropy,omitempty"`        // weight of the entropy bonus
	Baseline     float64 `yaml:"baseline_decay,omitempty"` // of the reward's moving average
	Clip         float64 `yaml:"clip,omitempty"`           // ppo: of the probability ratio
	Epochs       int     `yaml:"epochs,omitempty"`         // ppo: passes over a batch
	Population   int     `yaml:"population,omitempty"`     // evolution
	Tournament   int     `yaml:"tournament,omitempty"`     // evolution: candidates for a parent
}

// Child is the small network that a cell is judged by: its recipe is Train with
// these values in place of its own.
type Child struct {
	NormalCells      int     `yaml:"normal_cells"`
	Filters          int     `yaml:"filters"`
	Images           int     `yaml:"images"`            // to train on
	ValidationImages int     `yaml:"validation_images"` // held out, to measure the reward on
	Epochs           float64 `yaml:"epochs"`
	Batch            int     `yaml:"batch"`
	LearningRate     float64 `yaml:"learning_rate"`
	Shrink           int     `yaml:"shrink"` // squares of so many pixels a side are averaged first: 2 makes 16x16 images; 1: none
}

// Limits bound a child. A cell over a static limit is not trained at all.
type Limits struct {
	Seconds   float64 `yaml:"seconds"`    // of wall time; 0: none
	MemoryMB  int64   `yaml:"memory_mb"`  // MiB resident; 0: none
	MaxParams int64   `yaml:"max_params"` // trainable parameters of the child; 0: none
	MaxMACs   int64   `yaml:"max_macs"`   // multiply-adds an image of the child; 0: none
}

// Eval is how a network is measured.
type Eval struct {
	Batch int `yaml:"batch" change:"free"` // images at once; no effect on the result

	// The rest is for images in files, of any size.
	Crop   float64 `yaml:"crop" change:"free"`   // share of each side in the middle that is kept; 0: 0.875 for ImageNet's networks, else all
	Resize string  `yaml:"resize" change:"free"` // legacy: TensorFlow 1's bilinear kernel | antialias | style: legacy for ImageNet's networks
	Crops  int     `yaml:"crops" change:"free"`  // views of an image whose probabilities are averaged: 1, 5 (with corners), 10 (and mirrored)
}

// Export is how a SavedModel is written.
type Export struct {
	Name     string `yaml:"name"`     // the model's name for its clients
	Optimize bool   `yaml:"optimize"` // weights as constants, norms folded: faster, no further training
	Weights  string `yaml:"weights"`  // float32 | float16 | bfloat16: how an optimised model stores them
	Features bool   `yaml:"features"` // a signature for pooled features and the last map too
	// CheckImages of the test images are classified by the SavedModel in a new
	// process; it counts only if their logits agree with the trainer's.
	CheckImages int `yaml:"check_images"`
	// Tolerance is the largest difference of two logits that counts as agreement,
	// with float32 weights.
	Tolerance float64 `yaml:"tolerance"`
}

// Allowed is the largest difference from the trainer's logits, the largest of
// which is given, that counts as agreement: the tolerance, and for weights that are
// stored in half the bits a share of that logit besides. Rounding a weight changes
// it by at most 2^-11 (float16) or 2^-8 (bfloat16) of its size; through a network's
// dozens of layers logits move by some times as much (docs/export.md). Logits above
// 10, as those of a network that has hardly learned, are rounded more coarsely.
func (e Export) Allowed(largest float64) float64 {
	share := map[string]float64{"float16": 1.0 / 128, "bfloat16": 1.0 / 16}
	return e.Tolerance*max(1, largest/10) + share[e.Weights]*largest
}

// Serve is the local server's.
type Serve struct {
	RESTPort int `yaml:"rest_port" change:"free"` // 0: a free one
	GRPCPort int `yaml:"grpc_port" change:"free"` // 0: a free one
}

// Engine is how TensorFlow uses the machine. None of it changes what is
// computed beyond rounding.
type Engine struct {
	InterOp   int    `yaml:"inter_op" change:"free"`  // operations at once; 0: one a core
	IntraOp   int    `yaml:"intra_op" change:"free"`  // threads of one operation; 0: one a core
	Grappler  string `yaml:"grappler" change:"free"`  // full | one | off: passes of graph optimisation; fewer start faster
	XLA       bool   `yaml:"xla" change:"free"`       // compile clusters of operations
	Precision string `yaml:"precision" change:"free"` // fp32 | bf16 | fp16
	// Cluster lists the workers (host:port of `nasnet worker --train`) that compute
	// a training's replicas, each on train.devices of its own. Empty: this machine.
	Cluster     []string `yaml:"cluster,flow" change:"free"`
	ClusterHost string   `yaml:"cluster_host" change:"free"` // host:port of this machine as the workers reach it; empty: found
	// DeviceLibraries are files of TensorFlow's pluggable devices, loaded first.
	DeviceLibraries []string `yaml:"device_libraries,flow" change:"free"`
}
