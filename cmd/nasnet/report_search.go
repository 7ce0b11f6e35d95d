package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/draw"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/plot"
	"github.com/nasnet-go/nasnet/internal/report"
	"github.com/nasnet-go/nasnet/internal/term"
)

// bestListed is how many of a search's trials are listed.
const bestListed = 10

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// searchParts tell of the trials and draw the best cell.
func searchParts(r runFiles) ([]report.Part, error) {
	if !r.has("ledger.db") {
		return nil, nil
	}
	st, err := search.ReadStatus(r.dir)
	if err != nil {
		return nil, err
	}
	trials, err := search.ReadTrials(r.dir)
	if err != nil {
		return nil, err
	}
	part := report.Part{Title: "Search", Items: []report.Item{searchFacts(st)}}
	if st.Best == nil {
		part.Items = append(part.Items, report.Text("No trial is done yet."))
		return []report.Part{part}, nil
	}
	rewards, err := rewardFigure(st, trials)
	if err != nil {
		return nil, err
	}
	arms, err := armsFigure(st, trials)
	if err != nil {
		return nil, err
	}
	part.Items = append(part.Items, rewards, trialTable(trials), arms, armTable(st), bestTable(trials))
	if len(st.Front) > 0 {
		part.Items = append(part.Items, frontTable(st.Front))
	}
	cell, err := cellPart(st.Best)
	return []report.Part{part, cell}, err
}

func searchFacts(st search.Status) report.Facts {
	facts := report.Facts{
		{"policy", st.Policy},
		{"trials", fmt.Sprintf("%d planned, %d done, %d failed, %d running", st.Trials.Planned, st.Trials.Done, st.Trials.Failed, st.Trials.Running)},
		{"different cells", strconv.Itoa(st.Unique)},
		{"time of all children", term.Duration(time.Duration(st.Seconds * float64(time.Second)))},
		{"ledger", st.LedgerDigest},
		{"controller", st.ControllerDigest},
	}
	if st.Best != nil {
		facts = append(report.Facts{{"best", fmt.Sprintf("%.4f, trial %d of %s", st.Best.Reward, st.Best.Trial, st.Best.Arm)}}, facts...)
	}
	for _, a := range st.Arms {
		if c := a.Against; c != nil {
			facts = append(facts, [2]string{a.Arm + " against random", fmt.Sprintf("%+.4f (95 %% interval %+.4f to %+.4f): %s", c.Difference, c.CI95[0], c.CI95[1], c.Verdict)})
		}
	}
	if st.Note != "" {
		facts = append(facts, [2]string{"note", st.Note})
	}
	return facts
}

// rewardsOf are the rewards of an arm's done trials, with their places in it.
func rewardsOf(arm string, trials []search.Trial) (places, rewards []float64) {
	for _, t := range trials {
		if t.Arm == arm && t.State == search.Done {
			places, rewards = append(places, float64(t.Index+1)), append(rewards, t.Reward)
		}
	}
	return places, rewards
}

// rewardFigure has the reward of each trial, and the best so far of each arm.
func rewardFigure(st search.Status, trials []search.Trial) (report.Figure, error) {
	var dots, lines []plot.Series
	for i, a := range st.Arms {
		places, rewards := rewardsOf(a.Arm, trials)
		best := slices.Clone(rewards)
		for k := 1; k < len(best); k++ {
			best[k] = math.Max(best[k], best[k-1])
		}
		dots = append(dots, plot.Series{Name: a.Arm, X: places, Y: rewards, Dots: true, Colour: i + 1})
		lines = append(lines, plot.Series{Name: a.Arm + ", best so far", X: places, Y: best, Colour: i + 1})
	}
	f, err := plot.Lines("trial of the arm", "reward", slices.Concat(dots, lines))
	return figure("rewards", "Reward of each trial, and the best so far, by arm.", f, err)
}

// trialTable is what the figure of rewards shows.
func trialTable(trials []search.Trial) report.Table {
	t := report.Table{Caption: "All trials", Header: []string{"trial", "arm", "state", "reward", "seconds"}, Folded: true}
	for _, trial := range trials {
		reward := ""
		if trial.State == search.Done {
			reward = fmt.Sprintf("%.4f", trial.Reward)
		}
		t.Rows = append(t.Rows, []string{strconv.Itoa(trial.ID), trial.Arm, trial.State, reward, fmt.Sprintf("%.1f", trial.Seconds)})
	}
	return t
}

// meanCI is Student's 95 % interval of a mean; the mean itself for one value.
func meanCI(a search.Arm) (low, high float64) {
	n := float64(a.Trials.Done)
	if n < 2 {
		return a.Mean, a.Mean
	}
	half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(0.975) * a.SD / math.Sqrt(n)
	return a.Mean - half, a.Mean + half
}

func armsFigure(st search.Status, trials []search.Trial) (report.Figure, error) {
	var rows []plot.Interval
	for _, a := range st.Arms {
		if a.Trials.Done == 0 {
			continue
		}
		_, rewards := rewardsOf(a.Arm, trials)
		low, high := meanCI(a)
		rows = append(rows, plot.Interval{Name: a.Arm, Value: a.Mean, Low: low, High: high, Points: rewards})
	}
	f, err := plot.Intervals("reward", rows)
	return figure("arms", "Mean reward of each arm with Student's 95 % interval; under it the trials. The interval takes the trials for independent, which a learning policy's are not quite.", f, err)
}

func armTable(st search.Status) report.Table {
	t := report.Table{Caption: "Arms", Header: []string{"arm", "done", "different", "mean", "95 % interval", "sd", "best", "mean of 25 best", "mean of last 100"}}
	for _, a := range st.Arms {
		low, high := meanCI(a)
		number := func(x float64) string { return fmt.Sprintf("%.4f", x) }
		t.Rows = append(t.Rows, []string{
			a.Arm, strconv.Itoa(a.Trials.Done), strconv.Itoa(a.Unique), number(a.Mean), number(low) + " to " + number(high), number(a.SD), number(a.Best), number(a.Top25), number(a.Last100),
		})
	}
	return t
}

func bestTable(trials []search.Trial) report.Table {
	done := slices.DeleteFunc(slices.Clone(trials), func(t search.Trial) bool { return t.State != search.Done })
	slices.SortStableFunc(done, func(a, b search.Trial) int {
		if a.Reward > b.Reward {
			return -1
		}
		if a.Reward < b.Reward {
			return 1
		}
		return a.ID - b.ID
	})
	t := report.Table{Caption: "The best trials", Header: []string{"trial", "arm", "reward", "parameters", "multiply-adds", "cell"}}
	for _, trial := range done[:min(bestListed, len(done))] {
		t.Rows = append(t.Rows, []string{
			strconv.Itoa(trial.ID), trial.Arm, fmt.Sprintf("%.4f", trial.Reward), term.Count(int64(trial.Metrics["params"])), term.Count(int64(trial.Metrics["macs"])), trial.Hash[:min(12, len(trial.Hash))],
		})
	}
	return t
}

func frontTable(front []search.Point) report.Table {
	t := report.Table{Caption: "The Pareto front: no other trial is better in all of these"}
	names := sortedNames(front[0].Metrics)
	t.Header = append([]string{"trial", "reward"}, names...)
	for _, p := range front {
		row := []string{strconv.Itoa(p.Trial), fmt.Sprintf("%.4f", p.Reward)}
		for _, name := range names {
			row = append(row, strconv.FormatFloat(p.Metrics[name], 'g', 6, 64))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// cellPart draws the best cell.
func cellPart(best *search.Best) (report.Part, error) {
	g, err := cells.Parse([]byte(best.Genotype))
	if err != nil {
		return report.Part{}, fmt.Errorf("report: cell of trial %d: %w", best.Trial, err)
	}
	return report.Part{Title: "The best cell", Items: []report.Item{
		report.Figure{Name: "cell", Caption: fmt.Sprintf("The best cell, of trial %d: inputs at the bottom, output on top.", best.Trial), SVG: draw.SVG(g), Apart: true},
		report.Code{Text: draw.Text(g)},
		report.Code{Caption: "As a genotype file, for nasnet train --set model.cell=FILE:", Text: best.Genotype},
	}}, nil
}
