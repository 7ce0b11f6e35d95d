package rundir

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// ErrInUse is returned when another process works on the run.
var ErrInUse = errors.New("another process works on this run")

// Names of the files that every run has.
const (
	ConfigFile   = "config.yaml"
	ManifestFile = "manifest.json"
	lockFile     = "run.lock"
)

// Dir is an open run directory.
type Dir struct {
	Path     string
	Manifest Manifest // Save writes it
	lock     *flock.Flock
	now      func() time.Time
}

// Open makes the directory if it is not there, takes its lock and reads its
// manifest. errors.Is ErrInUse: another process has it.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	lock, err := take(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: path, lock: lock, now: time.Now}
	if d.Manifest, err = ReadManifest(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, lock.Unlock())
	}
	d.Manifest.interrupted()
	return d, nil
}

func take(path string) (*flock.Flock, error) {
	name := filepath.Join(path, lockFile)
	lock := flock.New(name)
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("run: lock %s: %w", name, err)
	}
	if !ok {
		return nil, fmt.Errorf("run: %s is in use by process %s; wait for it, stop it, or choose another directory with --run: %w", path, holder(name), ErrInUse)
	}
	if err := os.WriteFile(name, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("run: lock: %w", err), lock.Unlock())
	}
	return lock, nil
}

func holder(name string) string {
	text, err := os.ReadFile(name)
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "(unknown)"
}

// Close lets others have the run.
func (d *Dir) Close() error { return d.lock.Unlock() }

// Join is a path in the run.
func (d *Dir) Join(elem ...string) string { return filepath.Join(append([]string{d.Path}, elem...)...) }

// Checkpoint is where a checkpoint lies now that a result of the run names: runs
// may be moved, and commands started elsewhere. "" stays "".
func (d *Dir) Checkpoint(recorded string) string {
	if recorded == "" {
		return ""
	}
	return d.Join(filepath.Base(filepath.Dir(recorded)), filepath.Base(recorded))
}

// WriteFile replaces a file of the run, atomically.
func (d *Dir) WriteFile(name string, data []byte) error {
	if err := durable.WriteFile(d.Join(name), data, 0o644); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// WriteJSON replaces a file of the run by a document, atomically, and returns
// its hex SHA-256.
func (d *Dir) WriteJSON(name string, v any) (digest string, err error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", fmt.Errorf("run: %s: %w", name, err)
	}
	text = append(text, '\n')
	return sum(text), d.WriteFile(name, text)
}

func sum(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:])
}
