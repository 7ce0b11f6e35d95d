package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("NASNET_TEST_SEARCH_DIR"); dir != "" {
		os.Exit(child(dir))
	}
	goleak.VerifyTestMain(m)
}

// child is the process that the crash tests kill.
func child(dir string) int {
	e, err := Open(dir, spec(24))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer e.Close()
	if _, err := e.Run(context.Background(), &fake{delay: time.Millisecond}, 3, nil); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func spec(trials int) Spec {
	return Spec{
		Seed: 5, Trials: trials, RandomTrials: trials / 2, Child: []byte(`{"epochs":1}`),
		Space:  cells.Space{Name: "test", Ops: []cells.Op{cells.Identity, cells.Sep3x3, cells.Max3x3}, Blocks: 2, Tied: true},
		Policy: controller.Config{Policy: controller.PPO, Batch: 4, Units: 8, LearningRate: 0.02},
	}
}

// fake rewards a cell by its operations and its seed, like a child would.
type fake struct {
	delay time.Duration
	fails func(Task) error
	calls atomic.Int64
	mu    sync.Mutex
	seen  map[int]int
}

type stopped struct{}

func (stopped) Error() string     { return "the child was killed by SIGABRT" }
func (stopped) Class() string     { return "signal" }
func (stopped) LogTail() []string { return []string{"last", "words"} }

func (f *fake) Evaluate(ctx context.Context, t Task, report func(float64)) (Result, error) {
	f.calls.Add(1)
	f.mu.Lock()
	if f.seen == nil {
		f.seen = map[int]int{}
	}
	f.seen[t.Trial]++
	f.mu.Unlock()
	report(0.5)
	select {
	case <-time.After(f.delay * time.Duration(1+t.Trial%3)):
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	if f.fails != nil {
		if err := f.fails(t); err != nil {
			return Result{}, err
		}
	}
	reward := 0.5 + float64(t.Seed%1000)/1e4
	for _, b := range t.Genotype.Normal.Blocks {
		if b.Left.Op == cells.Sep3x3 {
			reward += 0.1
		}
	}
	return Result{Reward: reward, Metrics: map[string]float64{"params": 10}}, nil
}

// finish runs a search in dir to its end.
func finish(t *testing.T, dir string, s Spec, workers int, f *fake) Status {
	t.Helper()
	e, err := Open(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	st, err := e.Run(context.Background(), f, workers, nil)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestOneWorkerAndEightGiveTheSameSearch(t *testing.T) {
	a := finish(t, t.TempDir(), spec(24), 1, &fake{})
	b := finish(t, t.TempDir(), spec(24), 8, &fake{delay: time.Millisecond})
	if a.LedgerDigest != b.LedgerDigest || a.ControllerDigest != b.ControllerDigest {
		t.Errorf("digests differ:\n%+v\n%+v", a, b)
	}
	if a.Trials.Done != 36 || a.Trials.Planned != 36 || len(a.Arms) != 2 || a.Best == nil || a.Comparison == nil {
		t.Errorf("status %+v", a)
	}
	other := spec(24)
	other.Seed = 6
	if c := finish(t, t.TempDir(), other, 2, &fake{}); c.LedgerDigest == a.LedgerDigest {
		t.Error("another seed gives the same ledger")
	}
}

func TestEqualCellsAreTrainedOnce(t *testing.T) {
	f := &fake{}
	st := finish(t, t.TempDir(), spec(60), 4, f)
	if int(f.calls.Load()) != st.Unique || st.Unique >= 90 {
		t.Errorf("%d evaluations for %d different cells of %d trials", f.calls.Load(), st.Unique, st.Trials.Done)
	}
}

func TestInterruptedSearchGoesOn(t *testing.T) {
	want := finish(t, t.TempDir(), spec(24), 2, &fake{})
	dir := t.TempDir()
	e, err := Open(dir, spec(24))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	st, err := e.Run(ctx, &fake{delay: time.Millisecond}, 2, func(ev Event) {
		if ev.Done == 10 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || st.Trials.Done >= 36 {
		t.Fatalf("%v after %d trials", err, st.Trials.Done)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	f := &fake{}
	got := finish(t, dir, spec(24), 2, f)
	if got.LedgerDigest != want.LedgerDigest || got.ControllerDigest != want.ControllerDigest {
		t.Error("the digests differ from those of an undisturbed search")
	}
	if again := finish(t, dir, spec(24), 2, &fake{fails: func(Task) error { return errors.New("evaluated again") }}); again.LedgerDigest != want.LedgerDigest {
		t.Error("a finished search was changed by opening it again")
	}
	if read, err := ReadStatus(dir); err != nil || read.LedgerDigest != want.LedgerDigest || read.ControllerDigest != want.ControllerDigest {
		t.Errorf("read status: %v", err)
	}
}

// kill -9 at every armed point, several times over, and at random moments: the
// search ends as if nothing had happened.
func TestKilledAnywhereTheSearchIsTheSame(t *testing.T) {
	want := finish(t, t.TempDir(), spec(24), 3, &fake{})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, points := range [][]string{
		{"after-sample", "before-commit:3", "after-commit:5", "after-update", "after-sample", "before-commit", "after-update:2"},
		{"before-commit", "before-commit", "after-commit", "after-commit:9", "after-update:3"},
	} {
		dir := t.TempDir()
		kills := 0
		for i := 0; ; i++ {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), "NASNET_TEST_SEARCH_DIR="+dir)
			if i < len(points) {
				cmd.Env = append(cmd.Env, crashVariable+"="+points[i])
			}
			out, err := cmd.CombinedOutput()
			if err == nil {
				break
			}
			if !strings.Contains(err.Error(), "killed") {
				t.Fatalf("%v\n%s", err, out)
			}
			kills++
		}
		got, err := ReadStatus(dir)
		if err != nil {
			t.Fatal(err)
		}
		if kills == 0 || got.LedgerDigest != want.LedgerDigest || got.ControllerDigest != want.ControllerDigest || got.Trials.Done != 36 {
			t.Errorf("after %d kills: %+v, want %+v", kills, got, want)
		}
	}
}

func TestRandomKills(t *testing.T) {
	want := finish(t, t.TempDir(), spec(24), 3, &fake{})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := range 12 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "NASNET_TEST_SEARCH_DIR="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(5+i*7%40) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if got := finish(t, dir, spec(24), 3, &fake{}); got.LedgerDigest != want.LedgerDigest || got.ControllerDigest != want.ControllerDigest {
		t.Error("the digests differ from those of an undisturbed search")
	}
}

func TestFailedChildrenAreRecordedAndTheSearchGoesOn(t *testing.T) {
	dir := t.TempDir()
	f := &fake{fails: func(t Task) error {
		switch t.Trial {
		case 3:
			return fmt.Errorf("evaluate: %w", stopped{})
		case 5:
			return errors.New("no such data")
		}
		return nil
	}}
	s := spec(12)
	st := finish(t, dir, s, 2, f)
	if st.Trials.Failed < 2 || st.Trials.Done+st.Trials.Failed != 18 {
		t.Errorf("status %+v", st.Trials)
	}
	e, err := Open(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if tr := e.trials[3]; tr.State != Failed || tr.Cause != "signal" || !strings.Contains(tr.Log, "last\nwords") {
		t.Errorf("trial 3: %+v", tr)
	}
	if tr := e.trials[5]; tr.State != Failed || tr.Cause != "error" || !strings.Contains(tr.Log, "no such data") {
		t.Errorf("trial 5: %+v", tr)
	}
}

func TestNotFiniteRewardsAreFailures(t *testing.T) {
	e, err := Open(t.TempDir(), spec(4))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	st, err := e.Run(context.Background(), nan{}, 2, nil)
	if err != nil || st.Trials.Failed != 6 || st.Best != nil {
		t.Errorf("%v %+v", err, st)
	}
}

type nan struct{}

func (nan) Evaluate(context.Context, Task, func(float64)) (Result, error) {
	return Result{Reward: math.NaN()}, nil
}

func TestOneProcessAtATimeAndOneSpecification(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir, spec(4))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, spec(4)); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second opening: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	other := spec(4)
	other.Seed++
	if _, err := Open(dir, other); !errors.Is(err, ErrChanged) {
		t.Errorf("another specification: %v", err)
	}
}

func TestAChangedLedgerIsNotReplayed(t *testing.T) {
	dir := t.TempDir()
	finish(t, dir, spec(12), 2, &fake{})
	l, err := openLedger(filepath.Join(dir, ledgerFile), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.db.Exec(`UPDATE trials SET reward = reward + 0.1 WHERE id = 2`); err != nil {
		t.Fatal(err)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, spec(12)); !errors.Is(err, ErrReplay) {
		t.Errorf("got %v", err)
	}
}

func TestComparisonIsHonest(t *testing.T) {
	same := compare([]float64{0.5, 0.6, 0.55, 0.58}, []float64{0.52, 0.61, 0.5, 0.57}, "ppo")
	better := compare([]float64{0.80, 0.81, 0.82, 0.83}, []float64{0.5, 0.51, 0.52, 0.53}, "ppo")
	if !strings.Contains(same.Verdict, "not distinguishable") || !strings.Contains(better.Verdict, "better") {
		t.Errorf("%+v %+v", same, better)
	}
	for df, want := range map[float64]float64{3: 3.182, 10: 2.228, 30: 2.042} {
		if got := studentT975(df); math.Abs(got-want) > 0.02*want {
			t.Errorf("t(%g) is %g, want %g", df, got, want)
		}
	}
}
