package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/nasnet-go/nasnet/controller"
	"github.com/nasnet-go/nasnet/controller/table"
	"github.com/nasnet-go/nasnet/internal/term"
)

// searcherBench is the document of bench searcher.
type searcherBench struct {
	Table    string                   `json:"table"`
	Networks int                      `json:"networks"`
	Sizes    []int                    `json:"decisions"` // choices of each
	Reward   []string                 `json:"reward_columns"`
	Truth    []string                 `json:"truth_columns"`
	Trials   int                      `json:"trials"`
	Seeds    int                      `json:"seeds"`
	Policies map[string]policyFigures `json:"policies"`
}

// policyFigures are one policy's, each the mean over seeds of what the truth
// says of a search's networks.
type policyFigures struct {
	Config  controller.Config `json:"config"`
	Best    table.Figure      `json:"best"`    // the network with the largest reward
	Top25   table.Figure      `json:"top25"`   // mean of the 25 samples with the largest rewards
	Last100 table.Figure      `json:"last100"` // mean of the last 100 samples
	Unique  table.Figure      `json:"unique"`  // different networks sampled

	UniqueTop25 table.Figure `json:"unique_top25"` // top25 with no network twice
}

func (a *app) benchSearcherCommand() *cobra.Command {
	var file string
	var policies, reward, truth []string
	var trials, seeds int
	var paper bool
	c := &cobra.Command{
		Use: "searcher --table FILE", Short: "Replay search policies on a table of networks that are trained already", Args: cobra.NoArgs,
		Long: "Replay search policies on a table of a published benchmark: a CSV file with a column arch, which spells\n" +
			"the decisions, and columns of accuracies. Where a validation and a test accuracy of the same name stand\n" +
			"there, the first is the reward and the second judges; of columns that differ in a last number alone, a\n" +
			"search sees one at random for each network and the mean judges. Random search always runs beside the\n" +
			"others, and every figure says how far from it a policy is.",
		Example: "  nasnet bench searcher --table nb201.csv.gz --trials 500 --seeds 100\n" +
			"  nasnet bench searcher --table nb201.csv.gz --policy ppo --paper --trials 3000 --seeds 20 --json",
	}
	f := c.Flags()
	f.StringVar(&file, "table", "", "CSV file, .gz or not")
	f.StringSliceVar(&policies, "policy", []string{controller.PPO, controller.Evolution}, "ppo | reinforce | evolution | random, several with commas")
	f.IntVar(&trials, "trials", 500, "networks a search may train")
	f.IntVar(&seeds, "seeds", 100, "searches of each policy")
	f.BoolVar(&paper, "paper", false, "the paper's learning rate and sizes, meant for 20,000 trials, instead of those of the budget")
	f.StringSliceVar(&reward, "reward", nil, "columns of rewards, instead of those found by name")
	f.StringSliceVar(&truth, "truth", nil, "columns that judge, instead of those found by name")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if file == "" || trials < 1 || seeds < 2 {
			return usagef("bench searcher: want --table FILE, 1 or more --trials and 2 or more --seeds; got %q, %d and %d", file, trials, seeds)
		}
		t, err := table.Open(file, table.Columns{Reward: reward, Truth: truth})
		if err != nil {
			return usagef("%v", err)
		}
		doc := searcherBench{file, t.Rows, t.Sizes, t.Columns.Reward, t.Columns.Truth, trials, seeds, map[string]policyFigures{}}
		runs := map[string][]table.Run{}
		if !slices.Contains(policies, controller.Random) {
			policies = append(policies, controller.Random)
		}
		for _, name := range policies {
			config := controller.Defaults(name, trials)
			if paper {
				config = controller.Paper()
				config.Policy = name
			}
			if err := config.Validate(); err != nil {
				return usagef("%v", err)
			}
			if runs[name], err = a.playAll(c.Context(), t, config, trials, seeds); err != nil {
				return err
			}
			doc.Policies[name] = policyFigures{Config: config}
		}
		doc.judge(runs)
		if a.json {
			return a.document(doc)
		}
		return doc.print(a, policies)
	}
	return c
}

// playAll runs a policy with each seed, as many at once as there are cores.
func (a *app) playAll(ctx context.Context, t *table.Table, config controller.Config, trials, seeds int) ([]table.Run, error) {
	runs := make([]table.Run, seeds)
	bar := a.term.Bar(config.Policy, "searches")
	defer bar.End()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for i := range runs {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var err error
			runs[i], err = t.Play(config, trials, uint64(i)+1)
			bar.Set(int64(i+1), int64(seeds), "")
			return err
		})
	}
	return runs, group.Wait()
}

// judge fills in the figures, with the differences to random.
func (d *searcherBench) judge(runs map[string][]table.Run) {
	figure := func(name string, of func(table.Run) float64) table.Figure {
		column := func(name string) []float64 {
			out := make([]float64, len(runs[name]))
			for i, r := range runs[name] {
				out[i] = of(r)
			}
			return out
		}
		f := table.Summarize(column(name))
		if name != controller.Random {
			difference := table.Compare(column(name), column(controller.Random))
			f.Difference = &difference
		}
		return f
	}
	for name, p := range d.Policies {
		p.Best = figure(name, func(r table.Run) float64 { return r.Best })
		p.Top25 = figure(name, func(r table.Run) float64 { return r.Top25 })
		p.Last100 = figure(name, func(r table.Run) float64 { return r.Last100 })
		p.Unique = figure(name, func(r table.Run) float64 { return float64(r.Unique) })
		p.UniqueTop25 = figure(name, func(r table.Run) float64 { return r.UniqueTop25 })
		d.Policies[name] = p
	}
}

func (d *searcherBench) print(a *app, order []string) error {
	a.say("%d networks of %d decisions; reward %v, judged by %v; %d trials, %d seeds", d.Networks, len(d.Sizes), d.Reward, d.Truth, d.Trials, d.Seeds)
	var lines [][]string
	for _, name := range order {
		p := d.Policies[name]
		for _, row := range []struct {
			what string
			f    table.Figure
		}{{"last 100", p.Last100}, {"top 25", p.Top25}, {"top 25 different", p.UniqueTop25}, {"best", p.Best}, {"different", p.Unique}} {
			line := []string{name, row.what, fmt.Sprintf("%.2f ± %.2f", row.f.Mean, row.f.SD), "", "", ""}
			if x := row.f.Difference; x != nil {
				line[3] = fmt.Sprintf("%+.2f (%+.2f to %+.2f)", x.Difference, x.CI95[0], x.CI95[1])
				line[4], line[5] = fmt.Sprintf("%.2f", x.CohensD), fmt.Sprintf("%.2f", x.WinRate)
				if x.CI95[0] <= 0 && x.CI95[1] >= 0 {
					line[3] += ", not distinguishable"
				}
			}
			lines = append(lines, line)
		}
	}
	return term.Table(a.stdout, []string{"policy", "mean of", "over seeds", "above random (95 %)", "Cohen's d", "wins"}, lines)
}
