package search

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const term = 10 * time.Second

// clocked opens a search whose leases follow a clock of the test.
func clocked(t testing.TB, dir string, s Spec, c *clock) *Experiment {
	t.Helper()
	e := openWith(t, Options{Dir: dir, Spec: s, Lease: term, MaxFailures: -1})
	e.now = c.time
	e.start(false)
	for _, l := range e.leases { // given at opening, by the wall clock
		l.until = c.time().Add(term)
	}
	return e
}

// pass lets time go by, a tick of the keeper after the other.
func pass(e *Experiment, c *clock, d time.Duration) {
	const tick = term / 10
	for ; d > 0; d -= tick {
		c.move(min(tick, d))
		e.expire(tick)
	}
}

func take(t testing.TB, e *Experiment, worker string) (Lease, Ref) {
	t.Helper()
	l, err := e.Lease(context.Background(), worker)
	if err != nil {
		t.Fatal(err)
	}
	return l, Ref{l.Task.Trial, l.Task.Attempt, worker}
}

func judgeTask(task Task) Report {
	r, err := (&fake{}).Evaluate(context.Background(), task, func(int, float64) bool { return false })
	if err != nil {
		return Report{Cause: CauseError, Log: err.Error()}
	}
	r.Metrics = finite(r.Metrics)
	return Report{Result: r}
}

func TestSilentWorkersLoseTheirTrialsAndLateResultsAreRefused(t *testing.T) {
	c := &clock{now: time.Now()}
	dir := t.TempDir()
	e := clocked(t, dir, spec(8), c)
	ctx := context.Background()
	first, ref := take(t, e, "a")
	pass(e, c, term/2)
	if err := e.Heartbeat(ctx, ref, Progress{}); err != nil {
		t.Fatal(err)
	}
	pass(e, c, term*9/10)
	if again, _ := take(t, e, "a"); again.Task.Attempt != 1 || again.Task.Trial != first.Task.Trial {
		t.Errorf("a worker that asks again got %+v", again.Task)
	}
	pass(e, c, term*12/10)
	second, ref2 := take(t, e, "b")
	if second.Task.Trial != first.Task.Trial || second.Task.Attempt != 2 || second.Task.Seed != first.Task.Seed {
		t.Errorf("not leased again within 1.2 leases: %+v", second.Task)
	}
	for what, err := range map[string]error{
		"heartbeat": e.Heartbeat(ctx, ref, Progress{}), "finish": e.Finish(ctx, ref, Report{Result: Result{Reward: 99}}), "release": e.Release(ctx, ref),
	} {
		if !errors.Is(err, ErrLost) {
			t.Errorf("late %s: %v", what, err)
		}
	}
	report := judgeTask(second.Task)
	for range 2 { // doubled messages
		if err := e.Finish(ctx, ref2, report); err != nil {
			t.Error(err)
		}
	}
	if st := e.Status(); st.Trials.Done != 1 || st.Best.Reward != report.Result.Reward {
		t.Errorf("status %+v", st)
	}
	events, err := e.ledger.Events()
	if err != nil || len(events) != 2 || events[0].Kind != "lost" || events[0].Worker != "a" || events[1].Kind != "refused" {
		t.Errorf("events %+v %v", events, err)
	}
	shut(t, e)
	equal(t, "after a loss", finish(t, dir, spec(8), 2, &fake{}), finish(t, t.TempDir(), spec(8), 2, &fake{}))
}

func TestTimeInWhichTheCoordinatorStoodStillIsGivenBack(t *testing.T) {
	c := &clock{now: time.Now()}
	e := clocked(t, t.TempDir(), spec(8), c)
	defer shut(t, e)
	_, ref := take(t, e, "a")
	c.move(time.Hour) // SIGSTOP, a suspended laptop
	e.expire(term / 10)
	if err := e.Heartbeat(context.Background(), ref, Progress{}); err != nil {
		t.Error(err)
	}
}

func TestATrialThatSilencesThreeWorkersIsSetAside(t *testing.T) {
	c := &clock{now: time.Now()}
	dir := t.TempDir()
	e := clocked(t, dir, spec(8), c)
	var bad int
	for i := range 3 {
		l, _ := take(t, e, fmt.Sprint("worker ", i))
		if bad = l.Task.Trial; l.Task.Attempt != i+1 {
			t.Fatalf("attempt %d, want %d", l.Task.Attempt, i+1)
		}
		pass(e, c, term*12/10)
	}
	if l, _ := take(t, e, "other"); l.Task.Trial == bad {
		t.Error("a poisoned trial was handed out again")
	}
	shut(t, e)
	trials, err := ReadTrials(dir)
	if err != nil || trials[bad].State != Failed || trials[bad].Cause != CausePoisoned || !strings.Contains(trials[bad].Log, "worker 2") {
		t.Errorf("%+v %v", trials[bad], err)
	}
}

// What dies with the coordinator is nobody's fault: a trial that was in hand at
// every one of many kills is not poisoned by them.
func TestKillsOfTheCoordinatorPoisonNothing(t *testing.T) {
	c := &clock{now: time.Now()}
	dir := t.TempDir()
	for i := range 10 {
		e := clocked(t, dir, spec(8), c)
		l, _ := take(t, e, LocalPrefix+"0")
		if l.Task.Trial != 0 || l.Task.Attempt != i+1 {
			t.Fatalf("leased %+v", l.Task)
		}
		shut(t, e) // as a kill would: without releasing
	}
	e := clocked(t, dir, spec(8), c)
	_, far := take(t, e, "far")
	shut(t, e)
	e = clocked(t, dir, spec(8), c)
	if err := e.Heartbeat(context.Background(), far, Progress{}); err != nil {
		t.Errorf("a worker elsewhere outlives the coordinator, but lost its trial: %v", err)
	}
	shut(t, e)
	short := Options{Dir: dir, Spec: spec(8), Lease: 50 * time.Millisecond} // the worker elsewhere is silent from here on
	equal(t, "after kills", finishWith(t, short, 2, &fake{}), finish(t, t.TempDir(), spec(8), 2, &fake{}))
}

func TestAWaiterThatLeavesTakesNothingWithIt(t *testing.T) {
	c := &clock{now: time.Now()}
	e := clocked(t, t.TempDir(), Spec{Seed: 1, Space: small(), Trials: 2, Policy: spec(2).Policy}, c)
	defer shut(t, e)
	_, one := take(t, e, "one")
	take(t, e, "two")
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan error)
	go func() { _, err := e.Lease(ctx, "three"); gone <- err }()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := e.Release(context.Background(), one); err != nil {
		t.Fatal(err)
	}
	if l, _ := take(t, e, "four"); l.Task.Trial != one.Trial || l.Task.Attempt != 2 {
		t.Errorf("leased %+v", l.Task)
	}
}

// machine drives a search by anything that may happen: workers that lease,
// report, vanish, come back late or double their messages, a clock that moves,
// a coordinator that dies and comes back. The model knows who holds what.
type machine struct {
	e     *Experiment
	c     *clock
	dir   string
	spec  Spec
	held  map[int]Lease // live leases by trial
	stale []Lease       // lost ones
	until map[int]time.Time
	name  int
	done  map[int]bool // trials whose result was accepted
}

func (m *machine) worker() string { m.name++; return fmt.Sprint("w", m.name) }

func (m *machine) lease(t *rapid.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // do not wait
	worker := m.worker()
	l, err := m.e.Lease(ctx, worker)
	if err != nil { // nothing there, or it was granted and taken back
		return
	}
	if _, ok := m.held[l.Task.Trial]; ok || m.done[l.Task.Trial] {
		t.Fatalf("trial %d was leased while held or done", l.Task.Trial)
	}
	m.held[l.Task.Trial], m.until[l.Task.Trial] = l, m.c.time().Add(term)
}

func (m *machine) pick(t *rapid.T) (Lease, bool) {
	var ids []int
	for id := range m.held {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return Lease{}, false
	}
	low := ids[0] // maps have no order, rapid wants one
	for _, id := range ids {
		low = min(low, id)
	}
	return m.held[low], true
}

func (m *machine) ref(l Lease) Ref { return Ref{l.Task.Trial, l.Task.Attempt, "any"} }

func (m *machine) finish(t *rapid.T) {
	l, ok := m.pick(t)
	if !ok {
		return
	}
	for range rapid.IntRange(1, 3).Draw(t, "times") { // doubled messages
		if err := m.e.Finish(context.Background(), m.ref(l), judgeTask(l.Task)); err != nil {
			t.Fatalf("trial %d: %v", l.Task.Trial, err)
		}
	}
	delete(m.held, l.Task.Trial)
	m.done[l.Task.Trial] = true
}

func (m *machine) late(t *rapid.T) {
	if len(m.stale) == 0 {
		return
	}
	l := m.stale[rapid.IntRange(0, len(m.stale)-1).Draw(t, "which")]
	if err := m.e.Finish(context.Background(), m.ref(l), Report{Result: Result{Reward: 77}}); !errors.Is(err, ErrLost) {
		t.Fatalf("late result of trial %d, attempt %d: %v", l.Task.Trial, l.Task.Attempt, err)
	}
}

func (m *machine) release(t *rapid.T) {
	if l, ok := m.pick(t); ok {
		if err := m.e.Release(context.Background(), m.ref(l)); err != nil {
			t.Fatal(err)
		}
		delete(m.held, l.Task.Trial)
		m.stale = append(m.stale, l)
	}
}

func (m *machine) beat(t *rapid.T) {
	if l, ok := m.pick(t); ok {
		if err := m.e.Heartbeat(context.Background(), m.ref(l), Progress{1, 0.5}); err != nil {
			t.Fatal(err)
		}
		m.until[l.Task.Trial] = m.c.time().Add(term)
	}
}

func (m *machine) wait(t *rapid.T) {
	pass(m.e, m.c, time.Duration(rapid.IntRange(1, 15).Draw(t, "ticks"))*term/10)
	for id, l := range m.held {
		if m.until[id].Before(m.c.time()) {
			delete(m.held, id)
			m.stale = append(m.stale, l)
		}
	}
}

func (m *machine) die(t *rapid.T) {
	if err := m.e.Close(); err != nil {
		t.Fatal(err)
	}
	m.reopen(t)
	for id := range m.held {
		m.until[id] = m.c.time().Add(term)
	}
}

func (m *machine) reopen(t *rapid.T) {
	e, err := Open(context.Background(), Options{Dir: m.dir, Spec: m.spec, Lease: term, MaxFailures: -1})
	if err != nil {
		t.Fatal(err)
	}
	e.now = m.c.time
	e.start(false)
	for _, l := range e.leases {
		l.until = m.c.time().Add(term)
	}
	m.e = e
}

// check compares the ledger with what the model knows.
func (m *machine) check(t *rapid.T) {
	running, done := 0, 0
	for _, tr := range m.e.byID {
		switch {
		case tr.State == Running:
			running++
			if l, ok := m.held[tr.ID]; !ok || l.Task.Attempt != tr.Attempt {
				t.Fatalf("trial %d runs as attempt %d, nobody knows of it", tr.ID, tr.Attempt)
			}
		case tr.Ended() && tr.Reused < 0:
			done++
			if !m.done[tr.ID] || tr.State != Done {
				t.Fatalf("trial %d ended as %s %s without a result", tr.ID, tr.State, tr.Cause)
			}
		}
	}
	if running != len(m.held) || done != len(m.done) {
		t.Fatalf("%d run and %d are done, want %d and %d", running, done, len(m.held), len(m.done))
	}
}

func TestWhateverHappensTheSearchIsTheSame(t *testing.T) {
	s := spec(12)
	s.MaxAttempts = 1 << 30 // blame is tested above
	want := finish(t, t.TempDir(), s, 2, &fake{})
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{c: &clock{now: time.Now()}, dir: memory(t), spec: s, held: map[int]Lease{}, until: map[int]time.Time{}, done: map[int]bool{}}
		m.reopen(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"lease": m.lease, "lease more": m.lease, "finish": m.finish, "late": m.late, "release": m.release, "beat": m.beat, "wait": m.wait, "die": m.die,
			"": m.check,
		})
		if err := m.e.Close(); err != nil {
			rt.Fatal(err)
		}
		e, err := Open(context.Background(), Options{Dir: m.dir, Spec: s, Lease: 50 * time.Millisecond})
		if err != nil {
			rt.Fatal(err)
		}
		got, err := e.Run(context.Background(), &fake{}, 2, nil)
		if err = errors.Join(err, e.Close()); err != nil {
			rt.Fatal(err)
		}
		if got.LedgerDigest != want.LedgerDigest || got.ControllerDigest != want.ControllerDigest || got.Trials != want.Trials {
			rt.Fatalf("the search is another one:\n%+v\n%+v", got, want)
		}
	})
}

// memory is a directory without disk, where there is one: for what is about
// order, not about durability.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "nasnet-search-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
