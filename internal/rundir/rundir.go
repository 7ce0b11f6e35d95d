// Package rundir keeps a run's directory: one process at a time, and a record of
// every stage that is done.
//
//	run.lock                      held while a process works on the run
//	search.json train.json …      a stage's result: the stage is done when it stands
//
// Caveat: a stage must be able to begin again from what it left; its record is
// written last.
package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// ErrInUse is returned when another process works on the run.
var ErrInUse = errors.New("another process works on this run")

// Dir is an open run directory.
type Dir struct {
	Path string
	lock *flock.Flock
}

// Open makes the directory if it is not there and takes its lock.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	name := filepath.Join(path, "run.lock")
	lock := flock.New(name)
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("run: lock %s: %w", name, err)
	}
	if !ok {
		holder, _ := os.ReadFile(name)
		return nil, fmt.Errorf("run: %s is in use by process %s: %w", path, strings.TrimSpace(string(holder)), ErrInUse)
	}
	if err := os.WriteFile(name, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("run: lock: %w", err), lock.Unlock())
	}
	return &Dir{path, lock}, nil
}

// Close lets others have the run.
func (d *Dir) Close() error { return d.lock.Unlock() }

// Join is a path in the run.
func (d *Dir) Join(elem ...string) string { return filepath.Join(append([]string{d.Path}, elem...)...) }

// WriteJSON replaces a file of the run by a document, atomically.
func (d *Dir) WriteJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("run: %s: %w", name, err)
	}
	return durable.WriteFile(d.Join(name), append(text, '\n'), 0o644)
}

// Stage returns a stage's recorded result, or runs it and records what it gave.
// cached says which.
func Stage[T any](d *Dir, name string, run func() (T, error)) (result T, cached bool, err error) {
	text, err := os.ReadFile(d.Join(name + ".json"))
	if err == nil && json.Unmarshal(text, &result) == nil {
		return result, true, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return result, false, fmt.Errorf("run: %w", err)
	}
	if result, err = run(); err != nil {
		return result, false, err
	}
	return result, false, d.WriteJSON(name+".json", result)
}
