package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller"
	"github.com/nasnet-go/nasnet/controller/search/ledger"
)

// noSep lets no cell through that has a separable convolution.
func noSep(g cells.Genotype) (map[string]float64, string) {
	n := 0.0
	for _, b := range g.Normal.Blocks {
		for _, op := range []cells.Op{b.Left.Op, b.Right.Op} {
			if op == cells.Sep3x3 {
				n++
			}
		}
	}
	if n > 0 {
		return map[string]float64{"seps": n}, fmt.Sprintf("%g separable convolutions, at most 0", n)
	}
	return map[string]float64{"seps": n}, ""
}

func TestRejectedSamplesStandInTheLedgerAndAreSampledAnew(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Spec: spec(24), Gate: noSep}
	a := finishWith(t, o, 1, &fake{})
	b := finishWith(t, Options{Dir: t.TempDir(), Spec: spec(24), Gate: noSep}, 6, &fake{delay: time.Millisecond})
	equal(t, "6 workers", b, a)
	if a.Arms[0].Rejected == 0 || a.Arms[1].Rejected == 0 || a.Arms[0].Rejected != b.Arms[0].Rejected || a.Trials.Done != 36 {
		t.Errorf("status %+v", a)
	}
	trials, err := ReadTrials(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range trials {
		if strings.Contains(tr.Genotype, "sep3x3") || tr.Metrics["seps"] != 0 || len(tr.Metrics) != 2 {
			t.Errorf("trial %d: %v\n%s", tr.ID, tr.Metrics, tr.Genotype)
		}
	}
	check(t, dir)
	tamper(t, dir, `UPDATE rejections SET choices = '[0]' WHERE rowid = (SELECT min(rowid) FROM rejections WHERE arm = 'ppo')`)
	if r, err := Replay(context.Background(), dir); err != nil || r.Difference == nil || !strings.HasPrefix(r.Difference.Record, "rejection 0 of trial") {
		t.Errorf("%+v %v", r, err)
	}
}

func TestAGateThatLetsNothingThroughSaysSo(t *testing.T) {
	e := openWith(t, Options{Dir: t.TempDir(), Spec: spec(4), Gate: func(cells.Genotype) (map[string]float64, string) { return nil, "too dear" }})
	defer shut(t, e)
	if _, err := e.Run(context.Background(), &fake{}, 2, nil); !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "too dear") {
		t.Error(err)
	}
}

func TestPenaltiesAndFront(t *testing.T) {
	o := Objective{Penalties: []Penalty{{Metric: "params", Target: 100, Weight: 0.2}}, Front: []string{"params", "macs"}}
	for params, want := range map[float64]float64{50: 0.9, 100: 0.9, 150: 0.8, 200: 0.7} {
		if got, err := o.reward(0.9, map[string]float64{"params": params}); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("%g parameters: %g %v, want %g", params, got, err, want)
		}
	}
	if _, err := o.reward(0.9, nil); err == nil {
		t.Error("a penalty without its metric")
	}
	s := spec(8)
	s.Objective = o
	st := finish(t, t.TempDir(), s, 2, evaluatorFunc(func(t Task) (Result, error) {
		m := map[string]float64{"params": float64(t.Seed % 300), "macs": 1}
		if t.Trial == 3 {
			delete(m, "params")
		}
		return Result{Reward: 0.5, Metrics: m}, nil
	}))
	if st.Trials.Failed == 0 || len(st.Front) != 1 || st.Best.Reward > 0.5 {
		t.Errorf("%+v", st)
	}
}

type evaluatorFunc func(Task) (Result, error)

func (f evaluatorFunc) Evaluate(_ context.Context, t Task, _ func(int, float64) bool) (Result, error) {
	return f(t)
}

// The front against its definition, for any trials.
func TestFrontIsWhatNothingDominates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var trials []*Trial
		for i := range rapid.IntRange(0, 12).Draw(t, "n") {
			level := rapid.IntRange(0, 3)
			trials = append(trials, &Trial{
				ID: i, Hash: fmt.Sprint(i), State: Done, Reward: float64(level.Draw(t, "reward")),
				Metrics: map[string]float64{"a": float64(level.Draw(t, "a")), "b": float64(level.Draw(t, "b"))},
			})
		}
		o := Objective{Front: []string{"a", "b"}}
		front := o.front(trials)
		better := func(x, y *Trial) bool { // x dominates y
			le := x.Reward >= y.Reward && x.Metrics["a"] <= y.Metrics["a"] && x.Metrics["b"] <= y.Metrics["b"]
			return le && (x.Reward > y.Reward || x.Metrics["a"] < y.Metrics["a"] || x.Metrics["b"] < y.Metrics["b"])
		}
		same := func(x, y *Trial) bool {
			return x.Reward == y.Reward && fmt.Sprint(x.Metrics) == fmt.Sprint(y.Metrics)
		}
		for _, x := range trials {
			dominated := slices.ContainsFunc(trials, func(y *Trial) bool { return better(y, x) })
			listed := slices.ContainsFunc(front, func(y *Trial) bool { return same(x, y) })
			if dominated == listed {
				t.Fatalf("trial %d is dominated (%v) and in the front (%v)", x.ID, dominated, listed)
			}
		}
	})
}

func TestThresholds(t *testing.T) {
	var done []*Trial
	for i := range 9 {
		v := float64(i)
		done = append(done, &Trial{State: Done, Reused: -1, Curve: []ledger.Point{{Step: 1, Value: v}, {Step: 3, Value: v - 0.5}, {Step: 9, Value: 2 * v}}})
	}
	done = append(done, &Trial{State: Failed, Reused: -1, Curve: []ledger.Point{{Step: 1, Value: 100}}}, &Trial{State: Done, Reused: 3, Curve: done[0].Curve})
	for _, c := range []struct {
		s    Stopping
		want []Rung
	}{
		{Stopping{}, nil},
		{Stopping{Rule: Median, Trials: 10}, nil},
		{Stopping{Rule: Median, Trials: 9}, []Rung{{1, 4}, {3, 4}, {9, 8}}},
		{Stopping{Rule: Median, Trials: 9, After: 2}, []Rung{{3, 4}, {9, 8}}},
		{Stopping{Rule: Halving, Trials: 9}, []Rung{{1, 6}, {3, 6}, {9, 12}}},
		{Stopping{Rule: Halving, Trials: 9, Factor: 9}, []Rung{{1, 8}, {9, 16}}},
	} {
		if got := c.s.rungs(done); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.s, got, c.want)
		}
	}
	j := judge{rungs: []Rung{{2, 0.5}, {4, 0.7}}}
	if j.stop(1, 0.1) || j.stop(2, 0.5) || j.stop(3, 0.2) || !j.stop(4, 0.6) {
		t.Error("stopped at the wrong step")
	}
}

func TestEarlyStopsDoNotDependOnWorkers(t *testing.T) {
	for _, rule := range []string{Median, Halving} {
		s := spec(40)
		s.Stopping = Stopping{Rule: rule, Trials: 4, Factor: 2}
		dir := t.TempDir()
		a := finish(t, dir, s, 1, &fake{steps: 4})
		b := finish(t, t.TempDir(), s, 7, &fake{steps: 4, delay: time.Millisecond})
		equal(t, rule, b, a)
		if a.Arms[0].Stopped == 0 || a.Arms[1].Stopped == 0 || a.Arms[0].Stopped != b.Arms[0].Stopped {
			t.Errorf("%s: %d and %d stopped", rule, a.Arms[0].Stopped, a.Arms[1].Stopped)
		}
		check(t, dir)
		trials, err := ReadTrials(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range trials {
			if want := 4; !tr.Stopped && len(tr.Curve) != want || tr.Stopped && (len(tr.Curve) == 0 || tr.Curve[len(tr.Curve)-1].Value != tr.Reward) {
				t.Errorf("trial %d stopped %v after %v", tr.ID, tr.Stopped, tr.Curve)
			}
		}
	}
}

func TestAsynchronousSearchesCanBeReplayed(t *testing.T) {
	s := spec(30)
	s.Mode = Async
	dir := t.TempDir()
	e := open(t, dir, s)
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := e.Run(ctx, &fake{delay: time.Millisecond}, 4, func(ev Event) {
		if ev.Ended == 17 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	shut(t, e)
	st := finish(t, dir, s, 5, &fake{delay: time.Millisecond})
	if st.Reproducible || !strings.Contains(st.Note, "Asynchronous") || st.Trials.Done != 45 || st.Arms[0].Updates != 8 {
		t.Errorf("%+v", st)
	}
	check(t, dir)
	equal(t, "opened again", finish(t, dir, s, 1, &fake{}), st)
}

func TestExtendedSearchesKeepTheirTrials(t *testing.T) {
	dir := t.TempDir()
	before := finish(t, dir, spec(10), 2, &fake{})
	if _, err := Extend(dir, 10); err == nil {
		t.Error("an extension by nothing")
	}
	if process, err := Extend(dir, 22); err != nil || process != "" {
		t.Fatal(process, err)
	}
	if st, err := ReadStatus(dir); err != nil || st.Trials.Planned != 22+17 || st.Trials.Done != 15 || st.LedgerDigest != before.LedgerDigest {
		t.Errorf("%+v %v", st, err)
	}
	after := finish(t, dir, spec(10), 3, &fake{}) // the configuration still says 10
	if after.Trials.Done != 39 || after.Arms[0].Trials.Planned != 22 || after.Arms[1].Trials.Planned != 17 {
		t.Errorf("%+v", after)
	}
	check(t, dir)

	live := t.TempDir() // the same while it runs
	e := open(t, live, spec(10))
	defer shut(t, e)
	asked, gate := false, newGate(2)
	st, err := e.Run(context.Background(), gate, 2, func(ev Event) {
		if !asked {
			asked = true
			if process, err := Extend(live, 22); err != nil || process != fmt.Sprint(os.Getpid()) {
				t.Error(process, err)
			}
			e.poll()
			gate.open()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "extended while it ran", st, after)
}

// gate is a fake whose later calls wait until it is opened: events come late on
// a busy machine, and there must be trials left then.
type gate struct {
	*fake
	opened chan struct{}
}

func newGate(free int64) gate {
	g := gate{&fake{delay: time.Millisecond}, make(chan struct{})}
	g.fails = func(Task) error {
		if g.calls.Load() > free {
			<-g.opened
		}
		return nil
	}
	return g
}

func (g gate) open() { close(g.opened) }

func TestPause(t *testing.T) {
	dir := t.TempDir()
	if _, err := Pause(dir); err == nil {
		t.Error("paused nothing")
	}
	e := open(t, dir, spec(12))
	asked, gate := false, newGate(6)
	st, err := e.Run(context.Background(), gate, 2, func(ev Event) {
		if ev.Ended >= 4 && !asked {
			asked = true
			if process, err := Pause(dir); err != nil || process != fmt.Sprint(os.Getpid()) {
				t.Error(process, err)
			}
			e.poll()
			gate.open()
		}
	})
	if !errors.Is(err, ErrPaused) || st.Trials.Running != 0 || st.Trials.Done < 4 || st.Trials.Done == 18 {
		t.Errorf("%v with %+v", err, st.Trials)
	}
	shut(t, e)
	equal(t, "resumed", finish(t, dir, spec(12), 2, &fake{}), finish(t, t.TempDir(), spec(12), 2, &fake{}))
}

func TestWarmStart(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	old := finish(t, from, spec(12), 2, &fake{})
	for i, policy := range []string{controller.PPO, controller.Evolution} {
		s := spec(12)
		s.Seed, s.Policy = 9, controller.Config{Policy: policy, Batch: 4, Units: 8, Population: 6, Tournament: 2}
		to := filepath.Join(to, policy)
		e := open(t, to, s)
		for _, want := range []int{old.Trials.Done, 0} { // the second time it has no effect
			if n, err := e.Import(from); err != nil || n != want {
				t.Errorf("imported %d, %v, want %d", n, err, want)
			}
		}
		shut(t, e)
		warm, cold := finish(t, to, s, 2, &fake{}), finish(t, t.TempDir(), s, 2, &fake{})
		if warm.LedgerDigest == cold.LedgerDigest || warm.Imported != 18 || warm.Trials != cold.Trials {
			t.Errorf("%s: warm %+v\ncold %+v", policy, warm, cold)
		}
		check(t, to)
		e = open(t, to, s)
		if _, err := e.Import(to); !errors.Is(err, ErrBegun) {
			t.Errorf("imported into a begun search: %v", err)
		}
		shut(t, e)
		other := spec(4)
		other.Space.Ops = other.Space.Ops[:2]
		e = open(t, t.TempDir(), other)
		if _, err := e.Import(from); err == nil {
			t.Errorf("%d: imported from another space", i)
		}
		shut(t, e)
	}
}

func TestBestCellsAreExported(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	st := finish(t, dir, spec(12), 2, &fake{})
	paths, err := ExportCells(dir, out, 3)
	if err != nil || len(paths) != 3 {
		t.Fatal(paths, err)
	}
	best, err := ReadTop(dir, 3)
	if err != nil || best[0].ID != st.Best.Trial || best[0].Reward < best[1].Reward || best[1].Hash == best[0].Hash {
		t.Fatalf("%+v %v", best, err)
	}
	for i, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		g, err := cells.Parse(text)
		if err != nil || g.Hash() != best[i].Hash || !strings.Contains(g.Source, fmt.Sprintf("trial %d, reward", best[i].ID)) {
			t.Errorf("%s: %v\n%s", p, err, text)
		}
	}
}

func TestComparisonIsHonest(t *testing.T) {
	same := compare([]float64{0.5, 0.6, 0.55, 0.58}, []float64{0.52, 0.61, 0.5, 0.57}, "ppo")
	better := compare([]float64{0.80, 0.81, 0.82, 0.83}, []float64{0.5, 0.51, 0.52, 0.53}, "ppo")
	worse := compare([]float64{0.5, 0.51, 0.52, 0.53}, []float64{0.80, 0.81, 0.82, 0.83}, "ppo")
	if !strings.Contains(same.Verdict, "not distinguishable") || !strings.Contains(better.Verdict, "better") || !strings.Contains(worse.Verdict, "worse") {
		t.Errorf("%+v %+v %+v", same, better, worse)
	}
	// By hand: standard error 0.0330088, 5.89735 degrees of freedom, for which the
	// density of t, integrated by Simpson's rule, has its 97.5 % point at 2.45727.
	half := 2.45727 * 0.0330088
	if math.Abs(same.Difference-0.0075) > 1e-9 || math.Abs(same.CI95[0]-(0.0075-half)) > 1e-5 || math.Abs(same.CI95[1]-(0.0075+half)) > 1e-5 {
		t.Errorf("%+v", same)
	}
	if compare([]float64{1}, []float64{1, 2}, "ppo") != nil {
		t.Error("compared one reward")
	}
	if c := compare([]float64{1, 1}, []float64{1, 1}, "ppo"); c.CI95 != [2]float64{} || !strings.Contains(c.Verdict, "not distinguishable") {
		t.Errorf("%+v", c)
	}
}
