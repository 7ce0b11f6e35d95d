package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openLedger(t testing.TB, dir string) *Ledger {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// folder is in memory where the machine has such a directory: the model is about
// order, not about durability.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "nasnet-ledger-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func must(t interface{ Fatal(...any) }, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func sample(id int) *Trial {
	return &Trial{ID: id, Arm: "ppo", Index: id, Choices: []int{id, 1}, Genotype: fmt.Sprint("cell ", id), Hash: fmt.Sprint("h", id%3), State: Pending, Reused: -1}
}

// model is a ledger as it should be.
type model struct {
	l      *Ledger
	dir    string
	trials []*Trial
}

func (m *model) pick(t *rapid.T) *Trial {
	if len(m.trials) == 0 {
		return nil
	}
	return m.trials[rapid.IntRange(0, len(m.trials)-1).Draw(t, "trial")]
}

func (m *model) add(t *rapid.T) {
	var fresh []*Trial
	for range rapid.IntRange(1, 3).Draw(t, "n") {
		fresh = append(fresh, sample(len(m.trials)+len(fresh)))
	}
	must(t, m.l.Add(fresh, []Rejection{{Arm: "ppo", Index: fresh[0].Index, Choices: []int{7}, Reason: "too big"}}))
	m.trials = append(m.trials, fresh...)
}

func (m *model) addTwice(t *rapid.T) {
	if x := m.pick(t); x != nil {
		if err := m.l.Add([]*Trial{sample(len(m.trials)), sample(x.ID)}, nil); err == nil {
			t.Fatal("a trial was added twice")
		}
	}
}

func (m *model) lease(t *rapid.T) {
	x := m.pick(t)
	if x == nil {
		return
	}
	attempt, err := m.l.Lease(x.ID, "w")
	if ok := x.State == Pending; ok != (err == nil) || !ok && !errors.Is(err, ErrFenced) || ok && attempt != x.Attempt+1 {
		t.Fatalf("lease of a %s trial: attempt %d, %v", x.State, attempt, err)
	}
	if err == nil {
		x.State, x.Attempt, x.Worker = Running, attempt, "w"
	}
}

// end ends an attempt, the current one or an older one, and sometimes a
// pending twin in the same transaction.
func (m *model) end(t *rapid.T) {
	x := m.pick(t)
	if x == nil {
		return
	}
	row := *x
	row.Attempt -= rapid.IntRange(0, 1).Draw(t, "late")
	row.State, row.Reused = Done, -1
	row.Reward = rapid.Float64Range(-1, 1).Draw(t, "reward") + 0
	row.Value, row.Metrics, row.Curve = row.Reward, map[string]float64{"a": 1.5}, []Point{{1, 0.25}}
	if rapid.Bool().Draw(t, "fails") {
		row.State, row.Cause, row.Log, row.Reward, row.Value = Failed, "memory", "last words", 0, 0
	}
	ok := x.State == Running && row.Attempt == x.Attempt
	rows := []*Trial{}
	if twin := m.pick(t); rapid.Bool().Draw(t, "with a twin") && twin != x {
		r := *twin
		r.State, r.Reward, r.Value, r.Cause, r.Reused = row.State, row.Reward, row.Value, row.Cause, x.ID
		rows = append(rows, &r)
		ok = ok && twin.State == Pending
	}
	err := m.l.End(&row, rows...)
	if ok != (err == nil) || !ok && !errors.Is(err, ErrFenced) && !strings.Contains(err.Error(), "does not change") {
		t.Fatalf("end of attempt %d of a %s trial at attempt %d: %v", row.Attempt, x.State, x.Attempt, err)
	}
	if err == nil {
		for _, r := range append(rows, &row) {
			*m.trials[r.ID] = *r
		}
	}
}

func (m *model) putBack(t *rapid.T) {
	x := m.pick(t)
	if x == nil {
		return
	}
	attempt, lost := x.Attempt-rapid.IntRange(0, 1).Draw(t, "late"), rapid.Bool().Draw(t, "lost")
	do := m.l.Release
	if lost {
		do = m.l.Lose
	}
	err := do(x.ID, attempt)
	if ok := x.State == Running && attempt == x.Attempt; ok != (err == nil) {
		t.Fatalf("put back attempt %d of a %s trial at attempt %d: %v", attempt, x.State, x.Attempt, err)
	}
	if err == nil {
		x.State, x.Worker = Pending, ""
		if lost {
			x.Losses++
		}
	}
}

func (m *model) reopen(t *rapid.T) {
	must(t, m.l.Close())
	l, err := Open(m.dir)
	must(t, err)
	m.l = l
}

func (m *model) check(t *rapid.T) {
	r, err := OpenReader(m.dir)
	must(t, err)
	got, err := r.Trials()
	must(t, errors.Join(err, r.Close()))
	if len(got) != len(m.trials) || Digest(got) != Digest(m.trials) {
		t.Fatalf("%d trials, digest %s; want %d, %s", len(got), Digest(got), len(m.trials), Digest(m.trials))
	}
	for i, x := range m.trials {
		g := got[i]
		if g.State != x.State || g.Attempt != x.Attempt || g.Losses != x.Losses || g.Worker != x.Worker || g.Reward != x.Reward || g.Reused != x.Reused ||
			g.Cause != x.Cause || fmt.Sprint(g.Metrics, g.Curve) != fmt.Sprint(orEmpty(x.Metrics), append([]Point{}, x.Curve...)) {
			t.Fatalf("trial %d is\n%+v, want\n%+v", i, g, x)
		}
	}
}

func TestLedgerAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{dir: folder(t)}
		m.l = openLedger(t, m.dir)
		rt.Repeat(map[string]func(*rapid.T){
			"add": m.add, "add twice": m.addTwice, "lease": m.lease, "lease more": m.lease, "end": m.end, "end more": m.end, "put back": m.putBack, "reopen": m.reopen, "": m.check,
		})
		must(rt, m.l.Close())
	})
}

func TestEndedTrialsCannotChange(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer l.Close()
	must(t, l.Add([]*Trial{sample(0)}, nil))
	attempt, err := l.Lease(0, "w")
	must(t, err)
	must(t, l.End(&Trial{ID: 0, Attempt: attempt, State: Done, Reward: 0.5, Reused: -1}))
	if _, err := l.db.Exec(`UPDATE trials SET reward = 1`); err == nil || !strings.Contains(err.Error(), "does not change") {
		t.Errorf("a reward was changed: %v", err)
	}
}

func TestRecordsComeBack(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	defer l.Close()
	if _, _, _, err := l.Search(); !errors.Is(err, ErrNone) {
		t.Errorf("a search before there is one: %v", err)
	}
	plan := []Segment{{"ppo", 0, 10, 0}, {"random", 0, 5, 10}}
	must(t, l.Create("name", `{"a":1}`, plan))
	if err := l.Create("other", `{}`, nil); err == nil {
		t.Error("a second search in one ledger")
	}
	must(t, l.Extend([]Segment{{"ppo", 10, 5, 15}}))
	run, spec, got, err := l.Search()
	if err != nil || run != "name" || spec != `{"a":1}` || fmt.Sprint(got) != fmt.Sprint(append(plan, Segment{"ppo", 10, 5, 15})) {
		t.Errorf("%s %s %v %v", run, spec, got, err)
	}
	u := Update{"ppo", 1, "abc", []int{3, 1}, map[string]float64{"kl": 0.5}}
	must(t, l.AddUpdate(u, []byte("state")))
	if err := l.AddUpdate(u, nil); err == nil {
		t.Error("one update twice")
	}
	updates, err := l.Updates("ppo")
	if err != nil || fmt.Sprint(updates) != fmt.Sprint([]Update{u}) {
		t.Errorf("%v %v", updates, err)
	}
	if v, state, err := l.Snapshot("ppo"); v != 1 || string(state) != "state" || err != nil {
		t.Error(v, state, err)
	}
	if v, _, err := l.Snapshot("random"); v != -1 || err != nil {
		t.Error(v, err)
	}
	imports := []Import{{"other", 3, []int{1, 2}, 0.5}}
	must(t, l.AddImports(imports))
	if got, err := l.Imports(); err != nil || fmt.Sprint(got) != fmt.Sprint(imports) {
		t.Error(got, err)
	}
	event := Event{"lost", 3, 2, "w", "silent"}
	must(t, l.Note(event))
	if got, err := l.Events(); err != nil || fmt.Sprint(got) != fmt.Sprint([]Event{event}) {
		t.Error(got, err)
	}
}

func TestRequestsOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	defer l.Close()
	before, err := l.Changes()
	must(t, err)
	other, err := OpenControl(dir)
	must(t, err)
	must(t, other.Ask(Request{"extend", 40}))
	must(t, other.Close())
	if after, err := l.Changes(); err != nil || after == before {
		t.Errorf("no change seen: %d %v", after, err)
	}
	if got, err := l.Requests(); err != nil || fmt.Sprint(got) != "[{extend 40}]" {
		t.Error(got, err)
	}
	if got, err := l.Requests(); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

func TestForeignFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	if _, err := l.db.Exec(`PRAGMA user_version = 1`); err != nil {
		t.Fatal(err)
	}
	must(t, l.Close())
	for name, open := range map[string]func(string) (*Ledger, error){"writer": Open, "reader": OpenReader, "control": OpenControl} {
		if _, err := open(dir); !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := open(filepath.Join(dir, "absent")); err == nil {
			t.Errorf("%s opened what is not there", name)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, FileName), []byte(strings.Repeat("not a database ", 100)), 0o644))
	if _, err := Open(dir); err == nil {
		t.Error("opened what is no database")
	}
}

func TestReadersSeeOneMoment(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	defer l.Close()
	must(t, l.Add([]*Trial{sample(0)}, nil))
	r, err := OpenReader(dir)
	must(t, err)
	defer r.Close()
	first, err := r.Trials()
	must(t, err)
	must(t, l.Add([]*Trial{sample(1)}, nil))
	second, err := r.Trials()
	if err != nil || len(first) != 1 || len(second) != 1 {
		t.Errorf("%d trials, then %d, %v", len(first), len(second), err)
	}
	if err := r.Note(Event{}); err == nil {
		t.Error("a reader wrote")
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	if who, err := Holder(dir); who != "" || err != nil {
		t.Error(who, err)
	}
	lock, err := Acquire(dir)
	must(t, err)
	var busy *InUseError
	if _, err := Acquire(dir); !errors.As(err, &busy) || busy.Holder != fmt.Sprint(os.Getpid()) || busy.ExitCode() != 3 {
		t.Error(err)
	}
	if who, err := Holder(dir); who != fmt.Sprint(os.Getpid()) || err != nil {
		t.Error(who, err)
	}
	must(t, lock.Release())
	if who, err := Holder(dir); who != "" || err != nil {
		t.Error(who, err)
	}
	lock, err = Acquire(dir)
	must(t, err)
	must(t, lock.Release())
}

func BenchmarkLeaseAndEnd(b *testing.B) {
	l := openLedger(b, b.TempDir())
	defer l.Close()
	var trials []*Trial
	for i := range b.N {
		trials = append(trials, sample(i))
	}
	must(b, l.Add(trials, nil))
	b.ResetTimer()
	for i := range b.N {
		attempt, err := l.Lease(i, "w")
		must(b, err)
		must(b, l.End(&Trial{ID: i, Attempt: attempt, State: Done, Reward: 0.5, Reused: -1}))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "trials/s")
}
