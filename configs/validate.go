package configs

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// cifarImages is the size of CIFAR-10's training set.
const cifarImages = 50000

// Validate returns all faults as an *Error.
func (c Config) Validate() error { return c.faults().err(c.BasedOn) }

func (c Config) faults() faults {
	var f faults
	v := validator{&f}
	v.want(c.Seed >= 0, "seed", "%d is negative; want 0 or more", c.Seed)
	v.data(c.Data)
	v.files(c)
	v.model(c.Model)
	v.train(c.Train)
	if c.Data.Set == "detection" {
		v.detection(c)
	}
	v.cluster(c.Engine, c.Train)
	v.search(c.Search)
	v.children(c)
	v.want(c.Train.Evaluation.EveryEpochs == 0 || c.Data.Validation > 0 || c.Data.Set == "detection", "train.evaluation.every_epochs", "%g, but no images are held out; set data.validation", c.Train.Evaluation.EveryEpochs)
	v.want(c.Eval.Batch >= 1, "eval.batch", "%d images; want 1 or more", c.Eval.Batch)
	v.export(c.Export)
	v.between("serve.rest_port", c.Serve.RESTPort, 0, 65535)
	v.between("serve.grpc_port", c.Serve.GRPCPort, 0, 65535)
	v.engine(c.Engine)
	return f
}

func (v validator) export(e Export) {
	v.want(e.Name != "" && !strings.ContainsAny(e.Name, "/:\\ "), "export.name", "%q cannot name a model; want a word without / : and spaces", e.Name)
	v.want(e.CheckImages >= 1, "export.check_images", "%d; want 1 or more: an export that nobody checked does not count", e.CheckImages)
	v.want(e.Tolerance > 0, "export.tolerance", "%g; want more than 0", e.Tolerance)
	if e.Weights == "int8" {
		v.want(false, "export.weights", "int8 cannot be had: TensorFlow's C API has no quantisation of graphs (its converters are TensorFlow Lite's, in Python); want float32, float16, bfloat16")
		return
	}
	v.oneOf("export.weights", e.Weights, "float32", "float16", "bfloat16")
	v.want(e.Optimize || e.Weights == "float32", "export.optimize", "false, but export.weights is %s; variables are float32, only an optimised export stores weights otherwise", e.Weights)
}

type validator struct{ faults *faults }

func (v validator) want(ok bool, key, format string, args ...any) {
	if !ok {
		v.faults.add("", key, format, args...)
	}
}

func (v validator) oneOf(key, value string, choices ...string) {
	v.want(slices.Contains(choices, value), key, "%q is unknown; want %s", value, strings.Join(choices, ", "))
}

func (v validator) between(key string, n, low, high int) {
	v.want(low <= n && n <= high, key, "%d is out of range; want %d to %d", n, low, high)
}

func (v validator) atLeast(key string, n, low float64) {
	v.want(n >= low, key, "%g is too small; want %g or more", n, low)
}

// share wants low <= x < 1.
func (v validator) share(key string, x float64) {
	v.want(x >= 0 && x < 1, key, "%g is out of range; want 0 to below 1", x)
}

func (v validator) data(d Data) {
	v.oneOf("data.set", d.Set, "cifar10", "imagenet", "folder", "detection")
	v.oneOf("data.augment.standardize", d.Augment.Standardize, "image", "channel", "inception", "none")
	v.atLeast("data.validation", float64(d.Validation), 0)
	v.want(d.Set != "cifar10" || d.Validation < cifarImages, "data.validation", "%d images held out of the %d of CIFAR-10 leave none to train on", d.Validation, cifarImages)
	v.between("data.label_offset", d.LabelOffset, -1, 1)
	v.oneOf("data.bad.policy", d.Bad.Policy, "fail", "skip")
	v.atLeast("data.bad.limit", float64(d.Bad.Limit), 0)
	v.atLeast("data.augment.crop_pad", float64(d.Augment.CropPad), 0)
	v.atLeast("data.augment.cutout", float64(d.Augment.Cutout), 0)
}

// files checks what is for images in files, and refuses it for others: nothing is
// ignored.
func (v validator) files(c Config) {
	g, e := c.Data.Augment, c.Eval
	v.want(g.CropArea >= 0 && g.CropArea <= 1, "data.augment.crop_area", "%g; want a share of 0 to 1", g.CropArea)
	v.want(g.RandAugment.Layers >= 0 && g.RandAugment.Layers <= 10, "data.augment.rand_augment.layers", "%d; want 0 to 10", g.RandAugment.Layers)
	v.want(g.RandAugment.Magnitude >= 0 && g.RandAugment.Magnitude <= 10, "data.augment.rand_augment.magnitude", "%g; want 0 to 10", g.RandAugment.Magnitude)
	v.want(e.Crop >= 0 && e.Crop <= 1, "eval.crop", "%g; want a share of 0 to 1", e.Crop)
	v.oneOf("eval.resize", e.Resize, "style", "legacy", "antialias")
	v.want(e.Crops == 1 || e.Crops == 5 || e.Crops == 10, "eval.crops", "%d views; want 1, 5 or 10", e.Crops)
	v.want(c.Train.Mixup == 0 || c.Train.CutMix == 0, "train.cutmix", "%g, and train.mixup %g; want one of them", c.Train.CutMix, c.Train.Mixup)
	v.atLeast("train.cutmix", c.Train.CutMix, 0)
	switch c.Data.Set {
	case "imagenet", "folder":
		v.want(g.CropPad == 0, "data.augment.crop_pad", "%d, but images in files are cropped by crop_area; want 0", g.CropPad)
		v.want(g.Standardize != "channel", "data.augment.standardize", "channel scales by CIFAR-10's mean; want inception, image or none")
		v.want(c.Search.Child.Shrink <= 1, "search.child.shrink", "%d, but images in files are resized to model.input; want 1", c.Search.Child.Shrink)
	default:
		const none = "%v, but data.set %s has images of one size; want %v"
		v.want(g.CropArea == 0, "data.augment.crop_area", none, g.CropArea, c.Data.Set, 0)
		v.want(!g.Colour, "data.augment.colour", none, g.Colour, c.Data.Set, false)
		v.want(g.RandAugment.Layers == 0, "data.augment.rand_augment.layers", none, g.RandAugment.Layers, c.Data.Set, 0)
		v.want(e.Crop == 0 && e.Resize == "style" && e.Crops == 1, "eval", "crop %g, resize %s, crops %d, but data.set %s has images of one size; want 0, style, 1", e.Crop, e.Resize, e.Crops, c.Data.Set)
		v.want(c.Data.Bad.Policy == "fail" || c.Data.Set == "detection", "data.bad.policy", "skip, but %s is known by its digests; want fail", c.Data.Set)
	}
}

func (v validator) model(m Model) {
	v.want(len(m.Input) == 0 || len(m.Input) == 3, "model.input", "%d numbers; want [height, width, channels]", len(m.Input))
	net, err := m.Network()
	if err == nil {
		err = net.Validate()
	}
	v.each("model", err)
}

// detection checks a detector, and refuses what a detector's training and export
// do not know: nothing is ignored.
func (v validator) detection(c Config) {
	v.each("detect", c.Detect.Validate())
	const none = "%v, but a detector's training has no such thing; want %v"
	v.want(c.Data.Augment.CropPad == 0, "data.augment.crop_pad", none, c.Data.Augment.CropPad, 0)
	v.want(c.Data.Augment.Cutout == 0, "data.augment.cutout", none, c.Data.Augment.Cutout, 0)
	v.want(c.Data.Augment.Standardize == "none", "data.augment.standardize", "%s, but a detector scales pixels to -1..1 itself; want none", c.Data.Augment.Standardize)
	v.want(c.Data.Validation == 0, "data.validation", none, c.Data.Validation, 0)
	v.want(c.Train.LabelSmoothing == 0, "train.label_smoothing", none, c.Train.LabelSmoothing, 0)
	v.want(c.Train.Mixup == 0, "train.mixup", none, c.Train.Mixup, 0)
	v.want(c.Train.CutMix == 0, "train.cutmix", none, c.Train.CutMix, 0)
	v.want(c.Train.AuxWeight == 0, "train.aux_weight", none, c.Train.AuxWeight, 0)
	v.want(!c.Engine.XLA, "engine.xla", "true, but XLA cannot compile the suppression of boxes; want false")
	v.want(c.Export.Optimize && c.Export.Weights == "float32" && !c.Export.Features, "export", "optimize %v, weights %s, features %v; a detector is exported optimised, in float32, without features", c.Export.Optimize, c.Export.Weights, c.Export.Features)
}

// each splits a joined error into a fault a line.
func (v validator) each(key string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			v.each(key, e)
		}
		return
	}
	v.want(err == nil, key, "%v", err)
}

func (v validator) train(t Train) {
	v.atLeast("train.batch", float64(t.Batch), 1)
	v.want(t.Steps >= 0, "train.steps", "%d is negative; want 0 (use epochs) or more", t.Steps)
	v.want(t.Steps > 0 || t.Epochs > 0, "train.epochs", "%g; want more than 0, or train.steps", t.Epochs)
	v.oneOf("train.optimizer.name", t.Optimizer.Name, "momentum", "sgd", "rmsprop", "adam", "adamw", "lamb")
	v.share("train.optimizer.momentum", t.Optimizer.Momentum)
	v.share("train.optimizer.decay", t.Optimizer.Decay)
	v.want(t.Optimizer.Epsilon > 0, "train.optimizer.epsilon", "%g; want more than 0", t.Optimizer.Epsilon)
	v.want(t.LearningRate > 0, "train.learning_rate", "%g; want more than 0", t.LearningRate)
	v.oneOf("train.schedule.name", t.Schedule.Name, "cosine", "exponential", "steps", "constant")
	v.atLeast("train.schedule.warmup_steps", float64(t.Schedule.WarmupSteps), 0)
	v.want(t.Schedule.DecayEpochs > 0, "train.schedule.decay_epochs", "%g; want more than 0", t.Schedule.DecayEpochs)
	v.want(t.Schedule.DecayRate > 0 && t.Schedule.DecayRate <= 1, "train.schedule.decay_rate", "%g is out of range; want above 0 to 1", t.Schedule.DecayRate)
	v.atLeast("train.weight_decay", t.WeightDecay, 0)
	v.atLeast("train.clip_norm", t.ClipNorm, 0)
	v.share("train.label_smoothing", t.LabelSmoothing)
	v.atLeast("train.aux_weight", t.AuxWeight, 0)
	v.oneOf("train.drop_path.version", t.DropPath.Version, "v1", "v2", "v3")
	v.share("train.ema.decay", t.EMA.Decay)
	v.atLeast("train.checkpoint.steps", float64(t.Checkpoint.Steps), 0)
	v.atLeast("train.checkpoint.keep", float64(t.Checkpoint.Keep), 1)
	v.atLeast("train.report_steps", float64(t.ReportSteps), 1)
	v.trainExtras(t)
}

// trainExtras checks what a plain recipe leaves alone.
func (v validator) trainExtras(t Train) {
	v.share("train.optimizer.beta1", t.Optimizer.Beta1)
	v.share("train.optimizer.beta2", t.Optimizer.Beta2)
	v.want(t.Optimizer.AdamEpsilon > 0, "train.optimizer.adam_epsilon", "%g; want more than 0", t.Optimizer.AdamEpsilon)
	v.want(t.Schedule.Name != "steps" || (len(t.Schedule.Boundaries) > 0) != (len(t.Schedule.AtSteps) > 0), "train.schedule.boundaries", "%v, and at_steps %v; want one of both: where the rate steps down", t.Schedule.Boundaries, t.Schedule.AtSteps)
	v.want(slices.IsSorted(t.Schedule.Boundaries) && slices.IsSorted(t.Schedule.AtSteps), "train.schedule.boundaries", "%v, and at_steps %v; want them in order", t.Schedule.Boundaries, t.Schedule.AtSteps)
	v.want(t.Schedule.Factor > 0 && t.Schedule.Factor <= 1, "train.schedule.factor", "%g is out of range; want above 0 to 1", t.Schedule.Factor)
	v.atLeast("train.rate_batch", float64(t.RateBatch), 0)
	v.atLeast("train.mixup", t.Mixup, 0)
	v.atLeast("train.accumulate", float64(t.Accumulate), 1)
	for _, d := range t.Devices {
		v.want(deviceName.MatchString(d), "train.devices", "%q; want cpu:N, gpu:N or gpu:all", d)
	}
	v.atLeast("train.fine_tune.body_rate", t.FineTune.BodyRate, 0)
	parts := max(1, t.Accumulate) * max(1, len(t.Devices))
	v.want(t.Batch%parts == 0, "train.batch", "%d images cannot be shared by %d devices and %d accumulated batches", t.Batch, max(1, len(t.Devices)), t.Accumulate)
	begins := t.FineTune.Weights != ""
	v.want(begins || !t.FineTune.NewHead && len(t.FineTune.Freeze) == 0 && t.FineTune.BodyRate == 1, "train.fine_tune", "new_head, freeze and body_rate need weights to begin with")
	v.atLeast("train.evaluation.every_epochs", t.Evaluation.EveryEpochs, 0)
	v.atLeast("train.evaluation.patience", float64(t.Evaluation.Patience), 0)
	v.want(t.Evaluation.Patience == 0 || t.Evaluation.EveryEpochs > 0, "train.evaluation.patience", "%d, but every_epochs is 0: nothing is evaluated", t.Evaluation.Patience)
	v.atLeast("train.budget_seconds", t.BudgetSeconds, 0)
	v.atLeast("train.checkpoint.hours", t.Checkpoint.Hours, 0)
	v.atLeast("train.events.images", float64(t.Events.Images), 0)
	v.atLeast("train.events.histogram_steps", float64(t.Events.HistogramSteps), 0)
}

// deviceName is what train.devices may list.
var deviceName = regexp.MustCompile(`^(cpu:\d+|gpu:(\d+|all))$`)

func (v validator) search(s Search) {
	space, err := s.Space.Cells()
	if err == nil {
		err = spaceFaults(space)
	}
	v.each("search.space", err)
	v.oneOf("search.policy.name", s.Policy.Name, "ppo", "reinforce", "random", "evolution")
	v.atLeast("search.policy.batch", float64(s.Policy.Batch), 1)
	v.atLeast("search.policy.hidden", float64(s.Policy.Hidden), 0)
	v.atLeast("search.policy.learning_rate", s.Policy.LearningRate, 0)
	v.atLeast("search.policy.entropy", s.Policy.Entropy, 0)
	v.share("search.policy.baseline_decay", s.Policy.Baseline)
	v.atLeast("search.policy.clip", s.Policy.Clip, 0)
	v.atLeast("search.policy.epochs", float64(s.Policy.Epochs), 0)
	v.atLeast("search.policy.population", float64(s.Policy.Population), 0)
	v.atLeast("search.policy.tournament", float64(s.Policy.Tournament), 0)
	v.atLeast("search.trials", float64(s.Trials), 1)
	v.want(s.RandomTrials >= -1, "search.random_trials", "%d; want 0 or more, or -1 for as many as trials", s.RandomTrials)
	v.between("search.workers", s.Workers, 0, 1000)
	v.address("search.queue.listen", s.Queue.Listen)
	v.want((s.Queue.Cert == "") == (s.Queue.Key == ""), "search.queue.cert", "want both cert and key, or neither")
	v.oneOf("search.mode", s.Mode, "sync", "async")
	for _, name := range s.Beside {
		v.oneOf("search.beside", name, "ppo", "reinforce", "evolution")
		v.want(name != s.Policy.Name, "search.beside", "%s is the search's policy already", name)
	}
	_, err = s.Objective.Parse()
	v.each("search.objective.penalties", err)
	for _, name := range s.Objective.Front {
		v.oneOf("search.objective.front", name, costs...)
	}
	v.oneOf("search.stopping.rule", s.Stopping.Rule, "none", "median", "halving")
	v.between("search.stopping.evaluations", s.Stopping.Evaluations, 2, 1000)
	v.between("search.stopping.after", s.Stopping.After, 1, 1000)
	v.atLeast("search.stopping.trials", float64(s.Stopping.Trials), 1)
	v.between("search.stopping.factor", s.Stopping.Factor, 2, 100)
	v.atLeast("search.top_k", float64(s.TopK), 1)
	v.atLeast("search.limits.seconds", s.Limits.Seconds, 0)
	v.atLeast("search.limits.memory_mb", float64(s.Limits.MemoryMB), 0)
	v.atLeast("search.limits.max_params", float64(s.Limits.MaxParams), 0)
	v.atLeast("search.limits.max_macs", float64(s.Limits.MaxMACs), 0)
}

// children checks the recipe of a search's children.
func (v validator) children(c Config) {
	child := c.Search.Child
	v.atLeast("search.child.images", float64(child.Images), 1)
	v.atLeast("search.child.validation_images", float64(child.ValidationImages), 1)
	total := child.Images + child.ValidationImages
	v.want(c.Data.Set != "cifar10" || total <= cifarImages, "search.child.images",
		"%d to train on and %d held out are more than CIFAR-10's %d", child.Images, child.ValidationImages, cifarImages)
	v.want(child.Epochs > 0, "search.child.epochs", "%g; want more than 0", child.Epochs)
	v.atLeast("search.child.batch", float64(child.Batch), 1)
	v.want(child.Batch <= max(1, child.Images), "search.child.batch", "%d images a step, but a child has %d", child.Batch, child.Images)
	v.want(child.LearningRate > 0, "search.child.learning_rate", "%g; want more than 0", child.LearningRate)
	v.want(child.NormalCells > 0 && child.NormalCells%3 == 0, "search.child.normal_cells", "%d; want a multiple of 3: there are three stacks", child.NormalCells)
	v.atLeast("search.child.filters", float64(child.Filters), 1)
	v.want(slices.Contains([]int{1, 2, 4}, child.Shrink), "search.child.shrink", "%d; want 1, 2 or 4", child.Shrink)
}

func (v validator) engine(e Engine) {
	v.between("engine.inter_op", e.InterOp, 0, 1024)
	v.between("engine.intra_op", e.IntraOp, 0, 1024)
	v.oneOf("engine.grappler", e.Grappler, "full", "one", "off")
	v.oneOf("engine.precision", e.Precision, "fp32", "bf16", "fp16")
}

func (v validator) cluster(e Engine, t Train) {
	for _, address := range e.Cluster {
		v.address("engine.cluster", address)
	}
	if e.ClusterHost != "" {
		v.address("engine.cluster_host", e.ClusterHost)
	}
	if len(e.Cluster) > 0 {
		v.want(!e.XLA, "engine.xla", "true, but XLA compiles a step of one machine, and engine.cluster names others")
		v.want(!slices.Contains(t.Devices, "gpu:all"), "train.devices", "gpu:all is not known of other machines; name the devices of each worker, such as [gpu:0, gpu:1]")
	}
}

func (v validator) address(key, address string) {
	host, port, err := net.SplitHostPort(address)
	v.want(err == nil && host != "" && port != "", key, "%q; want host:port", address)
}

// Describe is one line for people.
func (c Config) Describe() string {
	return fmt.Sprintf("%s on %s, seed %d", c.Model.Name, c.Data.Set, c.Seed)
}
