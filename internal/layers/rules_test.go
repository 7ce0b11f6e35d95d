package layers

// module is the path that all of our packages begin with.
const module = "github.com/nasnet-go/nasnet/"

// graft is TensorFlow's C API; importing it is what makes a package cgo.
const graft = "github.com/wamuir/graft/tensorflow"

// rule says what one package, or with /... all below a path, may import of
// ours. The first rule that fits a package holds.
type rule struct {
	pkg string
	cgo bool     // may link TensorFlow
	may []string // packages, or with /... all below
	why string   // told to whoever breaks it
}

var rules = []rule{
	{"cells", false, nil, "a genotype is plain data that everything else may hold"},
	{"cells/model", false, []string{"cells"}, "the plan is arithmetic over genotypes; graphs are built from it elsewhere"},
	{"cells/detector", false, []string{"cells", "cells/model"}, "the plan of a detector is arithmetic, too"},
	{"cells/draw", false, []string{"cells", "cells/model"}, "a drawing needs the data alone"},
	{"cells/network", true, []string{"cells", "cells/model", "tfgraph", "tfgraph/nn"}, "it interprets the plan and knows of no data, training or search"},

	{"controller", false, []string{"cells"}, "a policy is a pure function of the trials, without TensorFlow, so that replays are bit-equal"},
	{"controller/table", false, []string{"controller", "internal/..."}, "a table replays policies; it trains nothing"},
	{"controller/search/...", false, []string{"cells", "cells/model", "controller", "controller/search/...", "internal/..."}, "search declares the Evaluator it needs and never imports training; internal/engine fills it by processes"},

	{"tfgraph", true, nil, "the door to TensorFlow knows nothing of networks"},
	{"tfgraph/tftest", true, []string{"tfgraph", "internal/reftest"}, "a test helper of the lowest layer"},
	{"tfgraph/...", true, []string{"tfgraph"}, "layers and optimizers stand side by side on tfgraph"},

	{"pipeline/data/sets/...", false, []string{"pipeline/data/sets/...", "internal/..."}, "fetching and converting data sets must work without TensorFlow"},
	{"pipeline/data", true, []string{"tfgraph/...", "internal/...", "pipeline/data/sets"}, "an input pipeline knows of no network"},
	{"pipeline/train", true, []string{"tfgraph", "tfgraph/optim", "tfgraph/nn", "internal/..."}, "the loop gets its network and its data from its caller"},
	{"pipeline/eval", false, []string{"internal/..."}, "metrics are computed from outputs, whatever made them; the front compares predictions too"},
	{"pipeline/detect", true, []string{"cells", "cells/model", "cells/detector", "cells/network", "tfgraph/...", "internal/..."}, "detection builds on features and evaluation"},

	{"savedmodel", true, []string{"tfgraph", "internal/..."}, "any graph can be exported; it need not be ours"},
	{"savedmodel/weights", false, []string{"cells", "cells/model"}, "names and shapes of weights are mapped by arithmetic; the engine moves the values"},
	{"savedmodel/serving/...", false, []string{"savedmodel/serving/...", "internal/..."}, "the serving front must survive TensorFlow, so it does not link it"},

	{"configs", false, []string{"cells", "cells/model", "cells/detector"}, "a configuration is read by every layer and imports none"},
	{"internal/engine/api", false, []string{"cells/model", "cells/detector"}, "the documents between front and engine carry a model or a detector and nothing else of ours"},
	{"internal/...", false, []string{"internal/..."}, "tools for every layer depend on none of them"},

	{"cmd/nasnet/...", false, []string{"..."}, "the command people call starts without TensorFlow"},
	{"cmd/nasnet-engine/...", true, []string{"..."}, "it wires the engine's commands"},
	{"bench/...", true, []string{"..."}, "benchmarks use what they measure"},
}

// reserved are imports that only some of our packages may have. A path with
// /... stands for all below it.
var reserved = []struct {
	path string
	only []string // our packages
	why  string
}{
	{graft, []string{"tfgraph/...", "savedmodel"}, "TensorFlow is reached through tfgraph, whose errors and memory are under control"},
	{graft + "/op", []string{"tfgraph/...", "savedmodel"}, "59,000 generated lines that cost 24 s of a build; tfgraph has the operations we use"},
	{"github.com/spf13/viper", []string{"configs"}, "one package knows how a configuration is read"},
	{"github.com/rs/zerolog/log", nil, "the logger is passed in; a global one cannot be silenced in a test"},
	{"gopkg.in/yaml.v3", nil, "YAML is go.yaml.in/yaml/v3; two forks in one binary disagree"},
	{"github.com/mattn/go-sqlite3", nil, "SQLite is modernc.org/sqlite, which needs no cgo"},
}

// Sizes that reading at one sitting allows.
const (
	maxFileLines     = 600
	maxFunctionLines = 80 // outside tests
	medianFunction   = 12
	ninetyPercent    = 40
	maxTopFolders    = 10
)
