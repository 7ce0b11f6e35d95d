package table

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nasnet-go/nasnet/controller"
	"github.com/nasnet-go/nasnet/internal/reftest"
)

func read(t *testing.T, text string, c Columns) *Table {
	t.Helper()
	table, err := Read(strings.NewReader(text), c)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// Every spelling gives the decisions that its makers meant.
func TestDecisions(t *testing.T) {
	for name, c := range map[string]struct {
		texts []string
		sizes []int
	}{
		"edges":            {[]string{"|none~0|+|conv~0|none~1|", "|conv~0|+|conv~0|skip~1|", "|none~0|+|conv~0|conv~1|"}, []int{2, 3}},
		"digits":           {many("%d%d%d", 3), []int{3, 3, 3}},
		"list":             {[]string{"[0, 1, 2]", "[1, 1, 0]", "[2, 1, 1]"}, []int{3, 3}},
		"words with lines": {[]string{"conv_3x3-skip", "conv_1x1-skip", "conv_1x1-conv_3x3"}, []int{2, 2}},
		"shorter codes":    {append(many("64-1%d%d", 4), append(many("64-1%d", 4), many("64-2%d%d%d", 3)...)...), []int{2, 4, 5, 4}},
		"few widths":       {[]string{"64-128", "32-128", "16-256"}, []int{3, 2}},
	} {
		codes, sizes, err := decisions(c.texts)
		if err != nil || !slices.Equal(sizes, c.sizes) {
			t.Errorf("%s: sizes %v, %v; want %v", name, sizes, err, c.sizes)
		}
		seen := map[string]bool{}
		for _, code := range codes {
			seen[key(code)] = true
		}
		if len(seen) != len(distinct(c.texts)) {
			t.Errorf("%s: %d codes for %d spellings", name, len(seen), len(distinct(c.texts)))
		}
	}
	for _, texts := range [][]string{{"a", "a"}, {"a|b", "a"}, {"ab", "c-d"}, {"", ""}} {
		if _, _, err := decisions(texts); err == nil && texts[0] != "ab" {
			t.Errorf("%q: no error", texts)
		}
	}
}

// many spells all codes of a format with its %d below n.
func many(format string, n int) []string {
	list := []string{format}
	for strings.Contains(list[0], "%d") {
		var next []string
		for _, text := range list {
			for i := range n {
				next = append(next, strings.Replace(text, "%d", fmt.Sprint(i), 1))
			}
		}
		list = next
	}
	return list
}

func TestColumnsAreFoundByName(t *testing.T) {
	for header, want := range map[string]string{
		"arch,cifar10_valid,cifar10_test,cifar100_valid":      "[cifar10_valid] [cifar10_test]",
		"arch,acc_seed1,acc_seed2,params,flops":               "[acc_seed1 acc_seed2] [acc_seed1 acc_seed2]",
		"arch,params,train_time,acc":                          "[acc] [acc]",
		"arch,val_1,val_2,test_1,test_2":                      "[val_1 val_2] [test_1 test_2]",
		"arch,test_acc,val_acc":                               "[val_acc] [test_acc]",
		"arch,validation-accuracy-seed0,test-accuracy-seed0":  "[validation-accuracy-seed0] [test-accuracy-seed0]",
		"arch,cifar10_test,cifar10_valid,imagenet16_120_test": "[cifar10_valid] [cifar10_test]",
	} {
		c, err := choose(strings.Split(header, ","), 0, Columns{})
		if got := fmt.Sprint(c.Reward, c.Truth); err != nil || got != want {
			t.Errorf("%s: %s %v; want %s", header, got, err, want)
		}
	}
}

func TestFaultsNameTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "header",
		"arch,acc\n0,1\n":               "1 networks",
		"arch,acc\n0,1\n1,x\n":          `network "1" (line 3)`,
		"arch,acc\n0,1\n0,2\n1,1\n":     "alike",
		"arch,acc\n00,1\n01,2\n00,1\n":  "there twice",
		"arch,params\n00,1\n01,2\n":     "no column of accuracies",
		"arch,acc\n0|1,1\n0|1|2,2\n":    "parts",
		"arch,acc\n00,1\n01,NaN\n":      "want a number",
		"arch,acc\n00,1,2\n":            "wrong number of fields",
		"arch,acc\n\"0|1\",1\n\"0|2,\n": "line",
	} {
		_, err := Read(strings.NewReader(text), Columns{})
		if err == nil || want != "alike" && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
	if _, err := Read(strings.NewReader("arch,acc\n0,1\n1,1\n"), Columns{Truth: []string{"top1"}}); err == nil || !strings.Contains(err.Error(), "top1") {
		t.Errorf("a column that is not there: %v", err)
	}
}

// What the table lacks is drawn again, and a table that lacks nearly all says so.
func TestMissingNetworks(t *testing.T) {
	var full, sparse strings.Builder
	full.WriteString("arch,acc\n")
	for i, code := range many("%d%d%d%d", 3) {
		if i%3 != 0 {
			fmt.Fprintf(&full, "%s,%d\n", code, i)
		}
	}
	run, err := read(t, full.String(), Columns{}).Play(controller.Defaults(controller.PPO, 60), 60, 1)
	if err != nil || run.Unique == 0 || run.Unique > 54 {
		t.Errorf("%+v %v", run, err)
	}
	sparse.WriteString("arch,acc\n")
	for i := range 12 {
		fmt.Fprintf(&sparse, "%012d,1\n%d%s,2\n", i, i%10, strings.Repeat(fmt.Sprint(i%10), 11))
	}
	if _, err := Read(strings.NewReader(sparse.String()), Columns{}); err == nil {
		t.Error("a network that stands twice was read")
	}
}

func TestFigures(t *testing.T) {
	d := Compare([]float64{2, 3, 4}, []float64{1, 2, 3})
	if math.Abs(d.Difference-1) > 1e-12 || math.Abs(d.CohensD-1) > 1e-12 || math.Abs(d.WinRate-7.0/9) > 1e-12 || d.CI95[0] > 1 || d.CI95[1] < 1 {
		t.Errorf("%+v", d) // wins 6 and 2 ties of 9 pairs
	}
	if f := Summarize([]float64{1, 2, 3}); f.Mean != 2 || f.SD != 1 || f.CI95[0] < 1 || f.CI95[1] > 3 || f.CI95[0] >= f.CI95[1] {
		t.Errorf("%+v", f)
	}
}

// seedsOf plays a policy with many seeds.
func seedsOf(t *testing.T, table *Table, c controller.Config, trials, seeds int) []Run {
	t.Helper()
	runs, errs := make([]Run, seeds), make([]error, seeds)
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for i := range runs {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			runs[i], errs[i] = table.Play(c, trials, uint64(i)+1)
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return runs
}

func column(runs []Run, of func(Run) float64) []float64 {
	out := make([]float64, len(runs))
	for i, r := range runs {
		out[i] = of(r)
	}
	return out
}

// The published benchmarks: random search comes to the figures of reference
// field.md section 5, and PPO beats it as far as asked.
func TestPublishedTables(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of searches")
	}
	last100, top25, best := func(r Run) float64 { return r.Last100 }, func(r Run) float64 { return r.Top25 }, func(r Run) float64 { return r.Best }
	for file, want := range map[string]struct {
		random       [3]float64 // last 100, top 25, best
		last, top, n float64    // Cohen's d asked for; decisions
	}{
		"nb201-12epoch.csv.gz":   {[3]float64{75.97, 87.51, 88.50}, 8, 3, 6},
		"nbmacro-cifar10.csv.gz": {[3]float64{90.25, 92.66, 92.95}, 8, 5, 8},
	} {
		t.Run(file, func(t *testing.T) {
			table, err := Open(reftest.Shared(t, "data", "nasbench", file), Columns{})
			if err != nil {
				t.Fatal(err)
			}
			if len(table.Sizes) != int(want.n) {
				t.Fatalf("decisions %v", table.Sizes)
			}
			random := seedsOf(t, table, controller.Defaults(controller.Random, 500), 500, 60)
			for i, of := range []func(Run) float64{last100, top25, best} {
				if got := mean(column(random, of)); math.Abs(got-want.random[i]) > 0.5 {
					t.Errorf("random, figure %d: %.2f; the reference has %.2f", i, got, want.random[i])
				}
			}
			ppo := seedsOf(t, table, controller.Defaults(controller.PPO, 500), 500, 60)
			if d := Compare(column(ppo, last100), column(random, last100)); d.CohensD < want.last {
				t.Errorf("last 100: d %.2f, want %g", d.CohensD, want.last)
			}
			if d := Compare(column(ppo, top25), column(random, top25)); d.CohensD < want.top {
				t.Errorf("top 25: d %.2f, want %g", d.CohensD, want.top)
			}
			if d := Compare(column(ppo, best), column(random, best)); d.CI95[1] < 0 {
				t.Errorf("best: worse than random by %.2f", -d.Difference)
			}
		})
	}
}
