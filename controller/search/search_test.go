package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller"
	"github.com/nasnet-go/nasnet/controller/search/ledger"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(coordinatorVariable); dir != "" {
		os.Exit(coordinator(dir))
	}
	goleak.VerifyTestMain(m)
}

// small is a space in which equal cells are common.
func small() cells.Space {
	return cells.Space{Name: "test", Ops: []cells.Op{cells.Identity, cells.Sep3x3, cells.Max3x3}, Blocks: 2, Tied: true}
}

func spec(trials int) Spec {
	return Spec{
		Seed: 5, Trials: trials, RandomTrials: trials / 2, Child: []byte(`{"epochs":1}`), Space: small(),
		Policy: controller.Config{Policy: controller.PPO, Batch: 4, Units: 8, LearningRate: 0.02},
	}
}

// fake rewards a cell by its operations and its seed, like a child would.
type fake struct {
	delay time.Duration
	fails func(Task) error
	steps int // reports
	calls atomic.Int64
	mu    sync.Mutex
	seen  map[string]int // evaluations by genotype
}

type stopped struct{}

func (stopped) Error() string { return "the child was killed by SIGABRT" }
func (stopped) Class() string { return "signal" }
func (stopped) LogTail() []string {
	return strings.Split(strings.Repeat("a line\n", 200)+"last\nwords", "\n")
}

func (f *fake) Evaluate(ctx context.Context, t Task, report func(int, float64) bool) (Result, error) {
	f.calls.Add(1)
	f.mu.Lock()
	if f.seen == nil {
		f.seen = map[string]int{}
	}
	f.seen[t.Genotype]++
	f.mu.Unlock()
	if f.delay > 0 {
		select {
		case <-time.After(f.delay * time.Duration(1+t.Trial%3)):
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
	if f.fails != nil {
		if err := f.fails(t); err != nil {
			return Result{}, err
		}
	}
	g, err := cells.Parse([]byte(t.Genotype))
	if err != nil {
		return Result{}, err
	}
	reward := 0.5 + float64(t.Seed%1000)/1e4
	for _, b := range g.Normal.Blocks {
		if b.Left.Op == cells.Sep3x3 {
			reward += 0.1
		}
	}
	for step := 1; step <= f.steps; step++ {
		part := reward * float64(step) / float64(f.steps)
		if report(step, part) {
			return Result{Reward: part}, nil
		}
	}
	return Result{Reward: reward, Metrics: map[string]float64{"params": float64(10 + t.Seed%7), "bad": math.NaN()}}, nil
}

func open(t testing.TB, dir string, s Spec) *Experiment {
	t.Helper()
	return openWith(t, Options{Dir: dir, Spec: s})
}

func openWith(t testing.TB, o Options) *Experiment {
	t.Helper()
	e, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func shut(t testing.TB, e *Experiment) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// finish runs a search in dir to its end.
func finish(t testing.TB, dir string, s Spec, workers int, ev Evaluator) Status {
	t.Helper()
	return finishWith(t, Options{Dir: dir, Spec: s}, workers, ev)
}

func finishWith(t testing.TB, o Options, workers int, ev Evaluator) Status {
	t.Helper()
	e := openWith(t, o)
	defer shut(t, e)
	st, err := e.Run(context.Background(), ev, workers, nil)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func equal(t testing.TB, what string, got, want Status) {
	t.Helper()
	if got.LedgerDigest != want.LedgerDigest || got.ControllerDigest != want.ControllerDigest || got.Trials != want.Trials || got.Unique != want.Unique {
		t.Errorf("%s: the search is another one:\n%+v\n%+v", what, got, want)
	}
}

func TestOneWorkerAndEightGiveTheSameSearch(t *testing.T) {
	a := finish(t, t.TempDir(), spec(24), 1, &fake{})
	b := finish(t, t.TempDir(), spec(24), 8, &fake{delay: time.Millisecond})
	equal(t, "8 workers", b, a)
	if a.Trials.Done != 36 || a.Trials.Planned != 36 || len(a.Arms) != 2 || a.Best == nil || a.Arms[0].Against == nil || a.Note == "" || !a.Reproducible {
		t.Errorf("status %+v", a)
	}
	other := spec(24)
	other.Seed = 6
	if c := finish(t, t.TempDir(), other, 2, &fake{}); c.LedgerDigest == a.LedgerDigest || c.ControllerDigest == a.ControllerDigest {
		t.Error("another seed gives the same search")
	}
}

func TestEveryPolicyRunsAndIsReproducible(t *testing.T) {
	for _, kind := range []string{controller.PPO, controller.REINFORCE, controller.Random, controller.Evolution} {
		s := spec(20)
		s.Policy = controller.Config{Policy: kind, Batch: 4, Units: 8, Population: 4, Tournament: 2}
		a, b := finish(t, t.TempDir(), s, 1, &fake{}), finish(t, t.TempDir(), s, 5, &fake{delay: time.Millisecond})
		equal(t, kind, b, a)
		if arms := len(a.Arms); (kind == controller.Random) != (arms == 1) {
			t.Errorf("%s: %d arms", kind, arms)
		}
	}
}

func TestArmsBesideTheChosenOne(t *testing.T) {
	s := spec(12)
	s.Beside = []ArmSpec{{Policy: controller.Config{Policy: controller.Evolution, Batch: 3, Population: 4, Tournament: 2}, Trials: 10}}
	a, b := finish(t, t.TempDir(), s, 1, &fake{}), finish(t, t.TempDir(), s, 6, &fake{delay: time.Millisecond})
	equal(t, "three arms", b, a)
	if len(a.Arms) != 3 || a.Arms[1].Arm != controller.Evolution || a.Arms[1].Updates != 4 || a.Trials.Planned != 28 {
		t.Errorf("status %+v", a)
	}
}

func TestEqualCellsAreTrainedOnce(t *testing.T) {
	f := &fake{}
	st := finish(t, t.TempDir(), spec(60), 4, f)
	if int(f.calls.Load()) != st.Unique || st.Unique >= 90 || st.Trials.Done != 90 {
		t.Errorf("%d evaluations for %d different cells of %d trials", f.calls.Load(), st.Unique, st.Trials.Done)
	}
}

func TestInterruptedSearchGoesOn(t *testing.T) {
	want := finish(t, t.TempDir(), spec(24), 2, &fake{})
	dir := t.TempDir()
	e := open(t, dir, spec(24))
	ctx, cancel := context.WithCancel(context.Background())
	st, err := e.Run(ctx, &fake{delay: time.Millisecond}, 2, func(ev Event) {
		if ev.Ended == 10 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || st.Trials.Done >= 36 || st.Trials.Running != 0 {
		t.Fatalf("%v with %+v", err, st.Trials)
	}
	shut(t, e)
	equal(t, "interrupted", finish(t, dir, spec(24), 2, &fake{}), want)
	again := finish(t, dir, spec(24), 2, &fake{fails: func(Task) error { return errors.New("evaluated again") }})
	equal(t, "opened again", again, want)
	read, err := ReadStatus(dir)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "read", read, want)
	if fmt.Sprint(read.Arms) != fmt.Sprint(again.Arms) && fmt.Sprint(*read.Arms[0].Against) != fmt.Sprint(*again.Arms[0].Against) {
		t.Errorf("read %+v, want %+v", read.Arms, again.Arms)
	}
}

func TestOneExperimentRunsTwice(t *testing.T) {
	e := open(t, t.TempDir(), spec(12))
	defer shut(t, e)
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := e.Run(ctx, &fake{delay: time.Millisecond}, 2, func(Event) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	st, err := e.Run(context.Background(), &fake{}, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "second run", st, finish(t, t.TempDir(), spec(12), 1, &fake{}))
}

func TestEventsComeInOrderAndMayAsk(t *testing.T) {
	e := open(t, t.TempDir(), spec(12))
	defer shut(t, e)
	kinds, last := map[string]int{}, 0
	if _, err := e.Run(context.Background(), &fake{steps: 2}, 3, func(ev Event) {
		if ev.Ended < last || ev.Planned != 18 {
			t.Errorf("event %+v after %d had ended", ev, last)
		}
		last = ev.Ended
		kinds[ev.Kind]++
		if e.Status().Trials.Planned != 18 {
			t.Error("no status from an event")
		}
	}); err != nil {
		t.Fatal(err)
	}
	if kinds["done"]+kinds["reused"] != 18 || kinds["started"] != kinds["done"] || kinds["updated"] != 3 {
		t.Errorf("events %v", kinds)
	}
}

func TestFailedChildrenAreRecordedAndTheSearchGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := spec(12)
	st := finish(t, dir, s, 2, &fake{fails: func(t Task) error {
		switch t.Trial {
		case 3:
			return fmt.Errorf("evaluate: %w", stopped{})
		case 5:
			return errors.New("no such data")
		case 7:
			panic("out of cheese")
		}
		return nil
	}})
	if st.Trials.Failed < 3 || st.Trials.Done+st.Trials.Failed != 18 {
		t.Errorf("status %+v", st.Trials)
	}
	trials, err := ReadTrials(dir)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[int][2]string{3: {"signal", "last\nwords"}, 5: {CauseError, "no such data"}, 7: {CausePanic, "out of cheese"}} {
		tr := trials[id]
		if tr.State != Failed || tr.Cause != want[0] || !strings.Contains(tr.Log, want[1]) || strings.Count(tr.Log, "\n") >= maxLogLines {
			t.Errorf("trial %d: %s, %s, log of %d lines: %.200s", id, tr.State, tr.Cause, strings.Count(tr.Log, "\n"), tr.Log)
		}
	}
}

func TestNotFiniteRewardsAreFailures(t *testing.T) {
	for _, reward := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		st := finish(t, t.TempDir(), spec(4), 2, constant(reward))
		if st.Trials.Failed != 6 || st.Best != nil {
			t.Errorf("%g: %+v", reward, st)
		}
	}
}

// constant is the reward of every cell.
type constant float64

func (c constant) Evaluate(context.Context, Task, func(int, float64) bool) (Result, error) {
	return Result{Reward: float64(c)}, nil
}

func TestNegativeZeroSurvivesTheLedger(t *testing.T) {
	dir := t.TempDir()
	st := finish(t, dir, spec(4), 1, constant(math.Copysign(0, -1)))
	read, err := ReadStatus(dir)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "read", read, st)
}

func TestSearchInWhichEverythingFailsEnds(t *testing.T) {
	e := openWith(t, Options{Dir: t.TempDir(), Spec: spec(40), MaxFailures: 5})
	defer shut(t, e)
	st, err := e.Run(context.Background(), &fake{fails: func(Task) error { return errors.New("no data set") }}, 2, nil)
	if !errors.Is(err, ErrFailing) || !strings.Contains(err.Error(), "no data set") || st.Trials.Failed < 5 || st.Trials.Failed > 20 {
		t.Errorf("%v after %+v", err, st.Trials)
	}
}

func TestAnEvaluatorThatCannotWorkBlamesNoCell(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, spec(12))
	broken := &fake{fails: func(t Task) error {
		if t.Trial == 6 {
			return fmt.Errorf("no engine: %w", ErrUnavailable)
		}
		return nil
	}}
	st, err := e.Run(context.Background(), broken, 2, nil)
	if !errors.Is(err, ErrUnavailable) || st.Trials.Failed != 0 || st.Trials.Running != 0 {
		t.Errorf("%v with %+v", err, st.Trials)
	}
	shut(t, e)
	equal(t, "mended", finish(t, dir, spec(12), 2, &fake{}), finish(t, t.TempDir(), spec(12), 2, &fake{}))
}

func TestOneProcessAtATimeAndOneSpecification(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, spec(4))
	_, err := Open(context.Background(), Options{Dir: dir, Spec: spec(4)})
	var code interface{ ExitCode() int }
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !errors.As(err, &code) || code.ExitCode() != 3 {
		t.Errorf("second opening: %v", err)
	}
	if st, err := ReadStatus(dir); err != nil || st.Process != fmt.Sprint(os.Getpid()) || st.Trials.Planned != 6 {
		t.Errorf("status of a live search: %+v %v", st, err)
	}
	shut(t, e)
	other := spec(4)
	other.Seed++
	other.Child = []byte(`{}`)
	if _, err := Open(context.Background(), Options{Dir: dir, Spec: other}); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "child, seed") {
		t.Errorf("another specification: %v", err)
	}
	if st, err := ReadStatus(dir); err != nil || st.Process != "" {
		t.Errorf("status of a dead search: %+v %v", st, err)
	}
	if _, err := ReadStatus(t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("status of nothing: %v", err)
	}
}

func TestFaultsAreAllNamed(t *testing.T) {
	s := Spec{Mode: "wild", RandomTrials: -1, MaxAttempts: -1, Objective: Objective{Penalties: []Penalty{{}}}, Stopping: Stopping{Rule: "never"}}
	err := s.Validate()
	for _, word := range []string{"trials 0", "random_trials", "space", "mode", "max_attempts", "policy", "penalties[0]", "stopping.rule"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("no fault of %s in: %v", word, err)
		}
	}
	if _, err := Open(context.Background(), Options{Dir: t.TempDir(), Spec: s}); err == nil {
		t.Error("opened")
	}
}

var _ Source = (*Experiment)(nil)

// tamper changes the ledger behind its back.
func tamper(t *testing.T, dir, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, ledger.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DROP TRIGGER IF EXISTS ended_trials_stay;" + statements); err != nil {
		t.Fatal(err)
	}
}

func TestReplayNamesTheFirstRecordThatDiffers(t *testing.T) {
	dir := t.TempDir()
	want := finish(t, dir, spec(12), 2, &fake{})
	r, err := Replay(context.Background(), dir)
	if err != nil || r.Difference != nil || r.Trials != 18 || r.Rewards != 18 || r.Updates != 3 || r.LedgerDigest != want.LedgerDigest || r.ControllerDigest != want.ControllerDigest {
		t.Fatalf("%+v %v", r, err)
	}
	for change, record := range map[string]string{
		`UPDATE trials SET reward = reward + 0.1, value = value + 0.1 WHERE id = 2`:      "update 1 of ppo",
		`UPDATE trials SET value = value + 0.1 WHERE id = 15`:                            "reward of trial 15",
		`UPDATE trials SET choices = '[9,9,9,9,9,9,9,9,9,9]' WHERE id = 5`:               "trial 5 (ppo 5)",
		`UPDATE trials SET hash = 'x' || hash WHERE id = 13`:                             "cell of trial 13 (random 1)",
		`UPDATE updates SET digest = 'x' || digest WHERE version = 2 AND arm = 'ppo'`:    "update 2 of ppo",
		`UPDATE updates SET digest = 'x' || digest WHERE version = 0 AND arm = 'random'`: "update 0 of random",
	} {
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		tamper(t, copied, change)
		r, err := Replay(context.Background(), copied)
		if err != nil || r.Difference == nil || r.Difference.Record != record {
			t.Errorf("%s: %+v %v, want %s", change, r.Difference, err, record)
		}
	}
	tamper(t, dir, `UPDATE trials SET reward = reward + 0.1, value = value + 0.1 WHERE id = 2`)
	if _, err := Open(context.Background(), Options{Dir: dir, Spec: spec(12)}); !errors.Is(err, ErrReplay) {
		t.Errorf("a changed ledger was opened: %v", err)
	}
}
