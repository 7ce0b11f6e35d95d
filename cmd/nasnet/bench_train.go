package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
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

// benchNet is a network that training is timed on, and how the peers are told
// to build the same one.
type benchNet struct {
	name   string
	preset string
	cells  int
	filter int
	batch  int64
	pixels int
}

var benchNets = []benchNet{
	{"child N=2 F=32 batch 32", "nasnet-a-cifar", 6, 32, 32, 32},
	{"child N=1 F=8 batch 64", "nasnet-a-cifar", 3, 8, 64, 32},
	{"mobile 96 px batch 16", "nasnet-a-mobile", 12, 44, 16, 96},
}

func (n benchNet) model() (model.Model, error) {
	m, err := model.Preset(n.preset)
	m.NormalCells, m.Filters, m.Input = n.cells, n.filter, [3]int{n.pixels, n.pixels, 3}
	m.AuxHead, m.DropPathKeep, m.DropoutKeep = false, 1, 1
	return m, err
}

func (n benchNet) arguments(steps int64) []string {
	args := []string{
		"--normal-cells", strconv.Itoa(n.cells), "--filters", strconv.Itoa(n.filter), "--batch", strconv.FormatInt(n.batch, 10),
		"--pixels", strconv.Itoa(n.pixels), "--steps", strconv.FormatInt(steps, 10),
	}
	if n.preset == "nasnet-a-mobile" {
		args = append(args, "--mobile")
	}
	return args
}

// runner times one network in a process of its own.
type runner struct {
	name string
	run  func(ctx context.Context, n benchNet, steps int64) (timing, error)
}

// timing is one run's figures, under the names that the peers print too.
type timing struct {
	ImagesPerSecond float64 `json:"images_per_second"`
	PeakMemory      int64   `json:"peak_memory_bytes"`
	Params          int64   `json:"trainable_params"`
	peak            float64 // share of the matrix products' peak; ours alone
}

// benchRow is the medians of one runner on one network.
type benchRow struct {
	Net    string    `json:"net"`
	Runner string    `json:"runner"`
	Params int64     `json:"trainable_params"`
	Rate   float64   `json:"images_per_second"` // median of the rounds
	Rates  []float64 `json:"images_per_second_all"`
	Memory int64     `json:"peak_memory_bytes"` // median
	Ratio  float64   `json:"nasnet_ratio"`      // nasnet's rate over this one's
	// Peak is the share of the machine's multiply-adds, as measured on a large
	// matrix product, that training comes to: three times the forward pass's.
	Peak  float64 `json:"share_of_matrix_peak"`
	Error string  `json:"error,omitempty"`
}

func (a *app) benchTrainCommand() *cobra.Command {
	var steps int64
	var rounds int
	var compiled, profile bool
	var keras, torch, scripts, only string
	c := &cobra.Command{
		Use: "train", Short: "Images a second in training, beside Keras and PyTorch where they are", Args: cobra.NoArgs,
		Long: "Time training steps of three networks: two children of a search and NASNet-A mobile at\n" +
			"96 px. With --keras-python or --torch-python, a Python that has them, the same networks\n" +
			"written with Keras and PyTorch (bench/peers) run by turns with ours, each in a process\n" +
			"of its own. Medians of the rounds.",
		Example: "  nasnet bench train --json\n  nasnet bench train --keras-python ~/.cache/nasnet/peers/bin/python --rounds 3",
	}
	c.Flags().Int64Var(&steps, "steps", 30, "steps timed in a run")
	c.Flags().IntVar(&rounds, "rounds", 3, "runs of each")
	c.Flags().StringVar(&keras, "keras-python", "", "Python with Keras and TensorFlow")
	c.Flags().StringVar(&torch, "torch-python", "", "Python with PyTorch")
	c.Flags().BoolVar(&compiled, "torch-compile", false, "time PyTorch compiled too; compiling takes minutes")
	c.Flags().StringVar(&scripts, "peers", "bench/peers", "directory of the peers' scripts")
	c.Flags().BoolVar(&profile, "profile", false, "instead of timing, tell which operations take the time")
	c.Flags().StringVar(&only, "net", "", "only networks whose name contains this")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if steps < 1 || rounds < 1 {
			return usagef("bench train: --steps and --rounds are %d and %d; want 1 or more", steps, rounds)
		}
		l, err := a.launcher(c.Context(), configs.Engine{})
		if err != nil {
			return err
		}
		nets := slices.DeleteFunc(slices.Clone(benchNets), func(n benchNet) bool { return !strings.Contains(n.name, only) })
		if profile {
			return a.profileNets(c.Context(), l, nets)
		}
		runners := []runner{{"nasnet", ours(l)}}
		if keras != "" {
			script := filepath.Join(scripts, "keras_child.py")
			runners = append(runners, runner{"keras", peer(keras, script)}, runner{"keras, jit_compile off", peer(keras, script, "--jit", "off")})
		}
		if torch != "" {
			script := filepath.Join(scripts, "torch_child.py")
			runners = append(runners, runner{"torch, eager", peer(torch, script)})
			if compiled {
				runners = append(runners, runner{"torch, compiled", peer(torch, script, "--compile")})
			}
		}
		var rows []benchRow
		for _, n := range nets {
			rows = append(rows, a.timeNet(c.Context(), n, runners, steps, rounds)...)
		}
		return a.benchRows(rows)
	}
	return c
}

// engineSteps has the engine train the network as a search's child.
func engineSteps(ctx context.Context, l *engine.Launcher, n benchNet, steps, profile int64) (out api.FirstStepResult, err error) {
	m, err := n.model()
	if err != nil {
		return out, err
	}
	t := api.Training{Batch: n.batch, Optimizer: api.Optimizer{Name: "momentum", Momentum: 0.9}, Schedule: api.Schedule{Rate: 0.025}, ClipNorm: 5}
	r := api.FirstStepRequest{Model: m, Train: t, Threads: api.Threads{InterOp: 2, IntraOp: 1}, Steps: steps, Profile: profile, Peak: profile == 0}
	err = call(ctx, l, engine.Job{Command: api.FirstStep, Request: r}, &out)
	return out, err
}

// ours times the engine.
func ours(l *engine.Launcher) func(context.Context, benchNet, int64) (timing, error) {
	return func(ctx context.Context, n benchNet, steps int64) (timing, error) {
		out, err := engineSteps(ctx, l, n, steps, 0)
		t := timing{ImagesPerSecond: out.ImagesPerSecond, PeakMemory: out.PeakMemoryBytes, Params: out.Params}
		if out.PeakMACs > 0 {
			t.peak = 3 * float64(out.MACs) * out.ImagesPerSecond / out.PeakMACs
		}
		return t, err
	}
}

// netProfile is where the steps of one network spend their time.
type netProfile struct {
	Net   string         `json:"net"`
	Kinds []api.KindTime `json:"kinds"`
}

// profileNets traces five steps of each network.
func (a *app) profileNets(ctx context.Context, l *engine.Launcher, nets []benchNet) error {
	var profiles []netProfile
	for _, n := range nets {
		out, err := engineSteps(ctx, l, n, 3, 5)
		if err != nil {
			return err
		}
		profiles = append(profiles, netProfile{n.name, out.Kinds})
	}
	if a.json {
		return a.document(profiles)
	}
	var lines [][]string
	for _, p := range profiles {
		for _, k := range p.Kinds {
			if k.Share >= 0.005 {
				lines = append(lines, []string{p.Net, k.Kind, fmt.Sprintf("%.0f", k.Count), fmt.Sprintf("%.1f", k.Seconds*1000), fmt.Sprintf("%.1f %%", 100*k.Share)})
			}
		}
	}
	return term.Table(a.stdout, []string{"network", "operation", "a step", "ms a step", "share"}, lines)
}

// peer times a script.
func peer(python, script string, more ...string) func(context.Context, benchNet, int64) (timing, error) {
	return func(ctx context.Context, n benchNet, steps int64) (timing, error) {
		var t timing
		out, err := runPeer(ctx, python, script, append(n.arguments(steps), more...)...)
		if err != nil {
			return t, err
		}
		err = json.Unmarshal(out, &t)
		return t, err
	}
}

// runPeer runs a script and returns the last line of its output, a JSON document.
func runPeer(ctx context.Context, python, script string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, python, append([]string{script}, args...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "LD_LIBRARY_PATH=") })
	out, err := cmd.Output()
	if err != nil {
		if failed, ok := err.(*exec.ExitError); ok {
			lines := strings.Split(strings.TrimSpace(string(failed.Stderr)), "\n")
			return nil, fmt.Errorf("%s: %w: %s", script, err, lines[len(lines)-1])
		}
		return nil, fmt.Errorf("%s: %w", script, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return []byte(lines[len(lines)-1]), nil
}

// timeNet runs all runners by turns. One that fails is not run again.
func (a *app) timeNet(ctx context.Context, n benchNet, runners []runner, steps int64, rounds int) []benchRow {
	rows := make([]benchRow, len(runners))
	memory := make([][]int64, len(runners))
	errs := a.byTurns(n.name, len(runners), rounds, func(i int) (string, error) {
		t, err := runners[i].run(ctx, n, steps)
		if err != nil {
			return "", err
		}
		rows[i].Peak = max(rows[i].Peak, t.peak)
		rows[i].Params, rows[i].Rates = t.Params, append(rows[i].Rates, t.ImagesPerSecond)
		memory[i] = append(memory[i], t.PeakMemory)
		return fmt.Sprintf("%s %.0f images/s", runners[i].name, t.ImagesPerSecond), nil
	})
	for i, r := range runners {
		rows[i].Net, rows[i].Runner = n.name, r.name
		if errs[i] != nil {
			rows[i].Error = errs[i].Error()
		}
	}
	for i := range rows {
		rows[i].Rate, rows[i].Memory = median(rows[i].Rates), median(memory[i])
		if rows[i].Rate > 0 {
			rows[i].Ratio = rows[0].Rate / rows[i].Rate
		}
		if rows[i].Ratio > 0 { // the same network, the same multiply-adds; without a rate of ours there is no share
			rows[i].Peak = rows[0].Peak / rows[i].Ratio
		}
	}
	return rows
}

func median[T float64 | int64](list []T) T {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func (a *app) benchRows(rows []benchRow) error {
	if a.json {
		return a.document(rows)
	}
	var lines [][]string
	for _, r := range rows {
		if r.Error != "" {
			lines = append(lines, []string{r.Net, r.Runner, "-", "-", "-", "-", r.Error})
			continue
		}
		lines = append(lines, []string{r.Net, r.Runner, fmt.Sprintf("%.1f", r.Rate), mebibytes(r.Memory), fmt.Sprintf("%.2f", r.Ratio), fmt.Sprintf("%.0f %%", 100*r.Peak), ""})
	}
	return term.Table(a.stdout, []string{"network", "by", "images/s", "peak memory", "nasnet is x times", "of matrix peak", ""}, lines)
}
