package search

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller/search/ledger"
	"github.com/nasnet-go/nasnet/internal/durable"
)

// Requests to the process that runs a search.
const (
	requestPause  = "pause"
	requestExtend = "extend"
)

// errExtension is a number of trials that is no extension.
var errExtension = errors.New("a search can only be extended")

// extension is what a plan lacks to so many trials of the policy. Every other
// arm gets as many more.
func (s Spec) extension(plan []ledger.Segment, trials int) ([]ledger.Segment, error) {
	have, next := map[string]int{}, 0
	for _, p := range plan {
		have[p.Arm] += p.Trials
		next = max(next, p.ID+p.Trials)
	}
	arms := s.arms()
	more := trials - have[arms[0].name]
	if more <= 0 {
		return nil, fmt.Errorf("search: extend to %d trials: %d are planned: %w", trials, have[arms[0].name], errExtension)
	}
	var out []ledger.Segment
	for _, a := range arms {
		out = append(out, ledger.Segment{Arm: a.name, First: have[a.name], Trials: more, ID: next})
		next += more
	}
	return out, nil
}

// Extend plans more trials: so many of the policy in all, and as many more for
// every other arm. Trials keep their numbers. If a process runs the search, it
// is asked, goes on with them, and its number is returned.
func Extend(dir string, trials int) (process string, err error) {
	l, spec, plan, err := openReader(dir)
	if err != nil {
		return "", err
	}
	more, err := spec.extension(plan, trials)
	if err = errors.Join(err, l.Close()); err != nil {
		return "", err
	}
	lock, err := ledger.Acquire(dir)
	if err != nil {
		if errors.Is(inUse(err), ErrInUse) {
			return ask(dir, ledger.Request{Kind: requestExtend, Value: trials})
		}
		return "", err
	}
	if l, err = ledger.Open(dir); err == nil {
		err = errors.Join(l.Extend(more), l.Close())
	}
	return "", errors.Join(err, lock.Release())
}

// Pause asks the process that runs the search to stop when the trials in hand
// have ended, and returns its number. Running the search again resumes it.
func Pause(dir string) (process string, err error) {
	process, err = ledger.Holder(dir)
	if err != nil {
		return "", err
	}
	if process == "" {
		return "", fmt.Errorf("search: pause %s: no process runs this search", dir)
	}
	return ask(dir, ledger.Request{Kind: requestPause})
}

// ask leaves a request. Where no process runs the search, the next one finds it.
func ask(dir string, r ledger.Request) (process string, err error) {
	l, err := ledger.OpenControl(dir)
	if err != nil {
		return "", fmt.Errorf("search: %w", err)
	}
	if err := errors.Join(l.Ask(r), l.Close()); err != nil {
		return "", err
	}
	return ledger.Holder(dir)
}

// Import begins a search with the outcomes of another run over the same space:
// its done trials teach the policies before the first sample, batch by batch.
// They count as nobody's trials here. It must come before Run has sampled
// anything (ErrBegun); importing the same run again has no effect. It returns
// how many outcomes were taken.
func (e *Experiment) Import(dir string) (int, error) {
	l, spec, _, err := openReader(dir)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	if diff := sameSpace(e.spec.Space, spec.Space); diff != nil {
		return 0, fmt.Errorf("search: import %s: %w", dir, diff)
	}
	run, _, _, err := l.Search()
	if err != nil {
		return 0, err
	}
	trials, err := l.Trials()
	if err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	before, err := e.ledger.Imports()
	if err != nil {
		return 0, err
	}
	for _, m := range before {
		if m.Run == run {
			return 0, nil
		}
	}
	if len(e.byID) > 0 || len(before) > 0 {
		return 0, fmt.Errorf("search: import %s: %w: a warm start comes first, and once", dir, ErrBegun)
	}
	return e.takeImports(run, trials)
}

func (e *Experiment) takeImports(run string, trials []*Trial) (int, error) {
	var list []ledger.Import
	for _, t := range trials {
		if t.State == Done {
			list = append(list, ledger.Import{Run: run, Trial: t.ID, Choices: t.Choices, Reward: t.Reward})
		}
	}
	if err := e.ledger.AddImports(list); err != nil {
		return 0, err
	}
	for _, a := range e.arms {
		lessons := e.importLessons(a, list)
		a.imports, a.imported = len(lessons), len(list)
		for _, lesson := range lessons {
			if err := e.learnImport(a, lesson); err != nil {
				return 0, err
			}
		}
	}
	return len(list), nil
}

// sameSpace says in what two spaces differ.
func sameSpace(a, b cells.Space) error {
	a.Name, b.Name = "", ""
	if fmt.Sprint(a) != fmt.Sprint(b) {
		return fmt.Errorf("its space is another one: %v, here %v", b, a)
	}
	return nil
}

// Top returns the k best trials, one a cell, best first.
func (e *Experiment) Top(k int) []Trial {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []*Trial
	for _, a := range e.arms {
		all = append(all, a.trials...)
	}
	return top(all, k)
}

func top(all []*Trial, k int) []Trial {
	var out []Trial
	for _, t := range byReward(all) {
		if len(out) < k {
			out = append(out, *t)
		}
	}
	return out
}

// ReadTrials reads all trials of a search in the order of their numbers, of a
// live search as well as of a dead one, with the last words of failed ones.
func ReadTrials(dir string) ([]Trial, error) {
	l, _, _, err := openReader(dir)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	rows, err := l.Trials()
	if err != nil {
		return nil, err
	}
	out := make([]Trial, len(rows))
	for i, t := range rows {
		out[i] = *t
		if t.State == Failed {
			if out[i].Log, err = l.Log(t.ID); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// ReadTop is Top of the search in a run directory.
func ReadTop(dir string, k int) ([]Trial, error) {
	rows, err := ReadTrials(dir)
	if err != nil {
		return nil, err
	}
	all := make([]*Trial, len(rows))
	for i := range rows {
		all[i] = &rows[i]
	}
	return top(all, k), nil
}

// ExportCells writes the k best cells of the search in dir as genotype files
// cell-1.yaml, cell-2.yaml, … into out, and returns their paths, best first.
func ExportCells(dir, out string, k int) ([]string, error) {
	best, err := ReadTop(dir, k)
	if err != nil {
		return nil, err
	}
	if len(best) == 0 {
		return nil, fmt.Errorf("search: %s has no finished trial yet", dir)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, fmt.Errorf("search: export cells: %w", err)
	}
	var paths []string
	for i, t := range best {
		g, err := cells.Parse([]byte(t.Genotype))
		if err != nil {
			return paths, fmt.Errorf("search: export trial %d: %w", t.ID, err)
		}
		g.Source = strings.TrimSpace(fmt.Sprintf("%s trial %d, reward %.6g", g.Source, t.ID, t.Reward))
		path := filepath.Join(out, fmt.Sprintf("cell-%d.yaml", i+1))
		if err := durable.WriteFile(path, []byte(g.String()), 0o644); err != nil {
			return paths, fmt.Errorf("search: export trial %d: %w", t.ID, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}
