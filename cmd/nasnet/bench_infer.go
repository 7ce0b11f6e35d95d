package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/term"
)

// inferNet is a network that inference is timed on.
type inferNet struct {
	name, preset string
	peers        []string // that can run it, as infer.py calls them
	forms        []string // of ours, the baseline first; they share a process
}

var inferNets = []inferNet{
	{"mobile", "nasnet-a-mobile", []string{"keras", "torch", "onnxruntime", "openvino"}, inferForms},
	{"large", "nasnet-a-large", []string{"timm"}, []string{"plain", "optimized", "optimized+bf16"}}, // each takes gigabytes
}

// inferBench is what is timed.
type inferBench struct {
	nets                  []inferNet
	batches               []int
	runs, rounds          int
	keras, peers, scripts string
	profile               bool
	inter, intra          int
}

// inferRow is one program's, or one form's, rate on one network and batch.
type inferRow struct {
	Net    string    `json:"net"`
	Batch  int       `json:"batch"`
	Runner string    `json:"runner"`
	Rate   float64   `json:"images_per_second"` // median of the rounds
	Rates  []float64 `json:"images_per_second_all"`
	Ratio  float64   `json:"nasnet_ratio"`                      // rate of our optimised form, of the same precision, over this one's
	Memory int64     `json:"peak_memory_bytes"`                 // of its process; our forms share one
	Diff   float64   `json:"logit_difference,omitempty"`        // from the plain form's, as a share of the largest logit
	First  float64   `json:"seconds_to_first_answer,omitempty"` // of the first run, which optimises the graph

	Kinds []api.KindTime `json:"kinds,omitempty"`
	Error string         `json:"error,omitempty"`
}

// inferForms are all our forms.
var inferForms = []string{"plain", "frozen", "optimized", "optimized+float16", "optimized+bfloat16", "optimized+bf16"}

func (a *app) benchInferCommand() *cobra.Command {
	var b inferBench
	var nets []string
	c := &cobra.Command{
		Use: "infer", Short: "Images a second of exported networks, plain and optimised, beside other programs", Args: cobra.NoArgs,
		Long: "Time NASNet-A with random weights: as variables (plain), as constants (frozen), as exported (optimized), with\n" +
			"weights stored in half the bits, and computed in bfloat16; by turns, in one process. Beside it, where they are,\n" +
			"Keras, PyTorch (channels last), timm, ONNX Runtime and OpenVINO on the same structure (bench/peers/infer.py), each\n" +
			"run in a process of its own, by turns with ours. Medians of the rounds.",
		Example: "  nasnet bench infer --json\n  nasnet bench infer --keras-python PYTHON --peers-python PYTHON --batches 1,16",
	}
	f := c.Flags()
	f.StringSliceVar(&nets, "net", []string{"mobile"}, "mobile, large")
	f.IntSliceVar(&b.batches, "batches", []int{1, 16}, "images a run")
	f.IntVar(&b.runs, "runs", 10, "runs timed in a round; at one image, four times as many")
	f.IntVar(&b.rounds, "rounds", 5, "rounds")
	f.StringVar(&b.keras, "keras-python", "", "Python with Keras and TensorFlow")
	f.StringVar(&b.peers, "peers-python", "", "Python with PyTorch, timm, ONNX, ONNX Runtime and OpenVINO")
	f.StringVar(&b.scripts, "peers", "bench/peers", "directory of the peers' scripts")
	f.BoolVar(&b.profile, "profile", false, "tell which operations take the time too")
	f.IntVar(&b.inter, "inter-op", 2, "operations at once, of ours; 0: one a core")
	f.IntVar(&b.intra, "intra-op", 1, "threads of one operation, of ours; 0: one a core")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if b.runs < 1 || b.rounds < 1 || len(b.batches) == 0 || slices.Min(b.batches) < 1 {
			return usagef("bench infer: --runs, --rounds and --batches are %d, %d and %v; want 1 or more", b.runs, b.rounds, b.batches)
		}
		for _, name := range nets {
			at := slices.IndexFunc(inferNets, func(n inferNet) bool { return n.name == name })
			if at < 0 {
				return usagef("bench infer: no network is called %q; want mobile or large", name)
			}
			b.nets = append(b.nets, inferNets[at])
		}
		return a.benchInfer(c.Context(), b)
	}
	return c
}

func (a *app) benchInfer(ctx context.Context, b inferBench) error {
	l, err := a.launcher(ctx, configs.Engine{})
	if err != nil {
		return err
	}
	var rows []inferRow
	for _, n := range b.nets {
		for _, batch := range b.batches {
			timed, err := a.inferNet(ctx, l, b, n, batch)
			if err != nil {
				return err
			}
			rows = append(rows, timed...)
		}
	}
	if a.json {
		return a.document(rows)
	}
	return a.inferTable(rows)
}

// inferNet times one network and batch: a turn is all of our forms in one
// process, or one peer in its own.
func (a *app) inferNet(ctx context.Context, l *engine.Launcher, b inferBench, n inferNet, batch int) ([]inferRow, error) {
	m, err := model.Preset(n.preset)
	if err != nil {
		return nil, err
	}
	runs := b.runs
	if batch == 1 {
		runs *= 4
	}
	rows := make([]inferRow, len(n.forms))
	for i, form := range n.forms {
		rows[i].Runner = "nasnet " + form
	}
	turns := []func() (string, error){func() (string, error) {
		r := api.InferRateRequest{Model: m, Batch: int64(batch), Runs: runs, Rounds: 1, Forms: n.forms, Profile: b.profile, Threads: api.Threads{InterOp: b.inter, IntraOp: b.intra}}
		var out api.InferRateResult
		if err := call(ctx, l, engine.Job{Command: api.InferRate, Request: r}, &out); err != nil {
			return "", err
		}
		for i, f := range out.Forms {
			rows[i].Rates = append(rows[i].Rates, f.ImagesPerSecond...)
			rows[i].Memory, rows[i].Diff, rows[i].First, rows[i].Kinds = out.PeakMemoryBytes, f.MaxAbsDiff/f.LargestLogit, f.FirstSeconds, f.Kinds
		}
		return fmt.Sprintf("nasnet %s %.0f images/s", n.forms[0], rows[0].Rates[len(rows[0].Rates)-1]), nil
	}}
	for _, p := range b.runners(n) {
		at := len(rows)
		rows = append(rows, inferRow{Runner: p.name})
		turns = append(turns, func() (string, error) {
			t, err := p.run(ctx, m, batch, runs)
			if err != nil {
				return "", err
			}
			rows[at].Rates, rows[at].Memory = append(rows[at].Rates, t.ImagesPerSecond), t.PeakMemory
			return fmt.Sprintf("%s %.0f images/s", p.name, t.ImagesPerSecond), nil
		})
	}
	errs := a.byTurns(fmt.Sprintf("%s, batch %d", n.name, batch), len(turns), b.rounds, func(i int) (string, error) { return turns[i]() })
	if errs[0] != nil {
		return nil, errs[0]
	}
	for i := range rows {
		rows[i].Net, rows[i].Batch, rows[i].Rate = n.name, batch, median(rows[i].Rates)
		if peer := i - len(n.forms); peer >= 0 && errs[1+peer] != nil {
			rows[i].Error = errs[1+peer].Error()
		}
	}
	compareInference(rows)
	return rows, nil
}

// compareInference sets each rate against our optimised form's, in bfloat16
// against bfloat16.
func compareInference(rows []inferRow) {
	rate := map[bool]float64{}
	for _, r := range rows {
		switch r.Runner {
		case "nasnet optimized":
			rate[false] = r.Rate
		case "nasnet optimized+bf16":
			rate[true] = r.Rate
		}
	}
	for i := range rows {
		if rows[i].Rate > 0 {
			rows[i].Ratio = rate[strings.HasSuffix(rows[i].Runner, "bf16")] / rows[i].Rate
		}
	}
}

// inferPeer times one program.
type inferPeer struct {
	name string
	run  func(ctx context.Context, m model.Model, batch, runs int) (timing, error)
}

func (b inferBench) runners(n inferNet) []inferPeer {
	var list []inferPeer
	for _, by := range n.peers {
		python, precisions := b.peers, []string{"f32", "bf16"}
		switch by {
		case "keras":
			python, precisions = b.keras, precisions[:1]
		case "onnxruntime":
			precisions = precisions[:1]
		}
		for _, precision := range precisions {
			if python != "" {
				list = append(list, inferPeer{by + " " + precision, b.peer(python, by, precision)})
			}
		}
	}
	return list
}

func (b inferBench) peer(python, by, precision string) func(context.Context, model.Model, int, int) (timing, error) {
	return func(ctx context.Context, m model.Model, batch, runs int) (t timing, err error) {
		out, err := runPeer(ctx, python, filepath.Join(b.scripts, "infer.py"), "--by", by, "--precision", precision, "--batch", strconv.Itoa(batch),
			"--pixels", strconv.Itoa(m.Input[0]), "--normal-cells", strconv.Itoa(m.NormalCells), "--filters", strconv.Itoa(m.Filters), "--runs", strconv.Itoa(runs))
		if err == nil {
			err = json.Unmarshal(out, &t)
		}
		return t, err
	}
}

func (a *app) inferTable(rows []inferRow) error {
	var lines [][]string
	for _, r := range rows {
		lines = append(lines, []string{
			r.Net, strconv.Itoa(r.Batch), r.Runner, fmt.Sprintf("%.1f", r.Rate), fmt.Sprintf("%.2f", r.Ratio), mebibytes(r.Memory), fmt.Sprintf("%.2g", r.Diff), r.Error,
		})
		for _, k := range r.Kinds {
			if k.Share >= 0.01 {
				lines = append(lines, []string{"", "", "  " + k.Kind, fmt.Sprintf("%.2f ms", 1000*k.Seconds), fmt.Sprintf("%.0f %%", 100*k.Share), "", "", ""})
			}
		}
	}
	return term.Table(a.stdout, []string{"network", "batch", "by", "images/s", "optimised is x times", "peak memory", "logits differ", ""}, lines)
}
