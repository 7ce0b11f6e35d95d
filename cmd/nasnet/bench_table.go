package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/stat"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/durable"
)

// largestTable bounds the spellings of a space of which a table is made.
const largestTable = 100_000

// child is one training for a table: a line of children.csv.
type child struct {
	cell        string // canonical form, hashed
	seed        int
	valid, test float64 // percent
	params      float64
	seconds     float64
}

var childColumns = []string{"cell", "seed", "valid", "test", "params", "seconds"}

// tableMaker trains every cell of a space.
type tableMaker struct {
	*app
	space    cells.Space
	children *children
	workers  int // children at once
	file     string
	mu       sync.Mutex
	done     map[string]child // by cell and seed
}

func (a *app) benchTableCommand() *cobra.Command {
	var out string
	var repeat, seeds, test int
	c := &cobra.Command{
		Use: "table --out DIR", Short: "Train every cell of a small space, for `bench searcher`", Args: cobra.NoArgs,
		Long: "Train every cell of search.space as a search's child, equal cells once, and write DIR/table.csv for\n" +
			"`bench searcher --table`: the accuracy on held-out images is the reward, that on test images judges. Some\n" +
			"cells are trained with further seeds, which tells how much of the difference between cells is chance.\n" +
			"Each child stands in DIR/children.csv when it is done; the same command goes on with those that lack.",
		Example: "  nasnet bench table --config cifar10-table --out runs/table",
	}
	c.Flags().StringVar(&out, "out", "", "directory for the tables")
	c.Flags().IntVar(&repeat, "repeat", 60, "cells that are trained with more seeds")
	c.Flags().IntVar(&seeds, "seeds", 5, "seeds of those")
	c.Flags().IntVar(&test, "test-images", 2000, "test images that judge")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if out == "" || repeat < 0 || seeds < 1 || test < 1 {
			return usagef("bench table: want --out DIR, 0 or more --repeat, 1 or more --seeds and --test-images")
		}
		m, err := a.newTableMaker(c.Context(), out, test)
		if err != nil {
			return err
		}
		spellings, unique, err := m.enumerate()
		if err != nil {
			return err
		}
		repeat = min(repeat, len(unique))
		if err := m.train(c.Context(), unique, repeat, seeds); err != nil {
			return err
		}
		if err := m.write(filepath.Join(out, "table.csv"), spellings); err != nil {
			return err
		}
		return m.report(unique, repeat, seeds)
	}
	return c
}

func (a *app) newTableMaker(ctx context.Context, out string, test int) (*tableMaker, error) {
	config, err := a.load()
	if err != nil {
		return nil, err
	}
	m := &tableMaker{app: a, workers: max(1, config.Search.Workers), file: filepath.Join(out, "children.csv"), done: map[string]child{}}
	if m.space, err = config.Search.Space.Cells(); err != nil {
		return nil, err
	}
	set, err := a.images(ctx, config)
	if err != nil {
		return nil, err
	}
	l, err := a.launcher(ctx, config.Engine)
	if err != nil {
		return nil, err
	}
	if m.children, err = newChildren(config, set, l); err != nil {
		return nil, err
	}
	m.children.request.TestImages = test
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	return m, m.read()
}

// spelling is one way to write a cell.
type spelling struct {
	arch, cell string
	genotype   string
}

// enumerate lists all spellings of the space, and one of each different cell in
// the order of its hash, which has nothing to do with how good it is.
func (m *tableMaker) enumerate() (all, unique []spelling, err error) {
	sizes, total := m.space.Sizes(), 1
	for _, n := range sizes {
		if total *= n; total > largestTable {
			return nil, nil, usagef("the space has more than %d spellings; a table is for small spaces (search.space)", largestTable)
		}
	}
	choices := make([]int, len(sizes))
	seen := map[string]bool{}
	for range total {
		g, err := m.space.Decode(choices)
		if err != nil {
			return nil, nil, err
		}
		s := spelling{m.spell(choices), g.Hash()[:16], g.String()}
		all = append(all, s)
		if !seen[s.cell] {
			seen[s.cell] = true
			unique = append(unique, s)
		}
		for i := len(choices) - 1; i >= 0; i-- { // the next one
			if choices[i]++; choices[i] < sizes[i] {
				break
			}
			choices[i] = 0
		}
	}
	slices.SortFunc(unique, func(a, b spelling) int { return strings.Compare(a.cell, b.cell) })
	return all, unique, nil
}

// spell writes the decisions as words: 0 1 sep3x3 identity add | …
func (m *tableMaker) spell(choices []int) string {
	combines := m.space.Combines
	if len(combines) == 0 {
		combines = []cells.Combine{cells.Add}
	}
	var words []string
	for i, d := range m.space.Decisions() {
		word := strconv.Itoa(choices[i])
		switch d.Kind {
		case cells.Op1Decision, cells.Op2Decision:
			word = string(m.space.Ops[choices[i]])
		case cells.CombineDecision:
			word = string(combines[choices[i]]) + " |"
		}
		words = append(words, word)
	}
	return strings.TrimSuffix(strings.Join(words, " "), " |")
}

// train trains what is not done yet: all cells with the first seed, then some
// with the others.
func (m *tableMaker) train(ctx context.Context, unique []spelling, repeat, seeds int) error {
	type job struct {
		spelling
		seed int
	}
	var jobs []job
	for seed := range seeds {
		for i, s := range unique {
			if seed == 0 || i < repeat {
				jobs = append(jobs, job{s, seed})
			}
		}
	}
	log, err := os.OpenFile(m.file, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	bar := m.term.Bar("table", "children")
	defer bar.End()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(m.workers)
	for _, j := range jobs {
		if _, ok := m.done[j.cell+strconv.Itoa(j.seed)]; ok {
			continue
		}
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c, err := m.one(ctx, j.spelling, j.seed)
			if err != nil {
				return fmt.Errorf("cell %s, seed %d: %w", j.cell, j.seed, err)
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			m.done[c.cell+strconv.Itoa(c.seed)] = c
			bar.Set(int64(len(m.done)), int64(len(jobs)), fmt.Sprintf("%.1f %%", c.valid))
			_, err = fmt.Fprintf(log, "%s,%d,%.6g,%.6g,%g,%.2f\n", c.cell, c.seed, c.valid, c.test, c.params, c.seconds)
			return err
		})
	}
	return group.Wait()
}

// one trains a child. Its seed is a function of its cell and the number.
func (m *tableMaker) one(ctx context.Context, s spelling, seed int) (child, error) {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%d", s.cell, seed)
	r, err := m.children.Evaluate(ctx, search.Task{Genotype: s.genotype, Seed: int64(h.Sum32())}, nil)
	return child{s.cell, seed, 100 * r.Reward, 100 * r.Metrics[testAccuracy], r.Metrics["params"], r.Metrics["train_seconds"]}, err
}

// read takes up the children that are done, and begins the file if it is not there.
func (m *tableMaker) read() error {
	f, err := os.Open(m.file)
	if errors.Is(err, os.ErrNotExist) {
		return durable.WriteFile(m.file, []byte(strings.Join(childColumns, ",")+"\n"), 0o644)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := csv.NewReader(f)
	for line := 1; ; line++ {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w; remove its last line if the machine went down while it was written", m.file, err)
		}
		if line == 1 {
			continue
		}
		var numbers [5]float64
		for i := range numbers {
			x, err := strconv.ParseFloat(row[i+1], 64)
			if err != nil {
				return fmt.Errorf("%s, line %d: %w", m.file, line, err)
			}
			numbers[i] = x
		}
		m.done[row[0]+row[1]] = child{row[0], int(numbers[0]), numbers[1], numbers[2], numbers[3], numbers[4]}
	}
}

// write writes the table: all spellings, with the first seed's accuracies.
func (m *tableMaker) write(path string, spellings []spelling) error {
	var text strings.Builder
	text.WriteString("arch,valid,test,params,cell\n")
	for _, s := range spellings {
		c := m.done[s.cell+"0"]
		fmt.Fprintf(&text, "%s,%.6g,%.6g,%g,%s\n", s.arch, c.valid, c.test, c.params, s.cell)
	}
	return durable.WriteFile(path, []byte(text.String()), 0o644)
}

// tableReport says whether the table can tell cells apart.
type tableReport struct {
	Cells     int     `json:"cells"`
	MeanValid float64 `json:"mean_valid"`
	SDCells   float64 `json:"sd_between_cells"` // of the first seed's validation accuracies
	SDSeeds   float64 `json:"sd_between_seeds"` // of one cell's, pooled; 0 if none was repeated
	Seconds   float64 `json:"seconds"`          // of all children's training
}

func (m *tableMaker) report(unique []spelling, repeat, seeds int) error {
	var first []float64
	r := tableReport{Cells: len(unique)}
	for _, s := range unique {
		first = append(first, m.done[s.cell+"0"].valid)
	}
	r.MeanValid, r.SDCells = stat.MeanStdDev(first, nil)
	var variances []float64
	for _, s := range unique[:repeat] {
		var x []float64
		for seed := range seeds {
			x = append(x, m.done[s.cell+strconv.Itoa(seed)].valid)
		}
		if seeds > 1 {
			variances = append(variances, stat.Variance(x, nil))
		}
	}
	if len(variances) > 0 {
		r.SDSeeds = math.Sqrt(stat.Mean(variances, nil))
	}
	for _, c := range m.done {
		r.Seconds += c.seconds
	}
	return m.document(r)
}
