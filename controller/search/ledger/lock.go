package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// InUseError says that another process runs the search.
type InUseError struct {
	Path   string // of the lock
	Holder string // the process's number
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("ledger: %s is held by process %s, which runs this search: wait for it or stop it", e.Path, e.Holder)
}

// ExitCode is the command's: refused because something is in use.
func (*InUseError) ExitCode() int { return 3 }

// Lock is the right to write trials. The kernel takes it back when the process
// ends, however it ends.
type Lock struct{ lock *flock.Flock }

const lockFile = "search.lock"

// Acquire takes the lock of dir and leaves this process's number in it.
// *InUseError if another process has it.
func Acquire(dir string) (*Lock, error) {
	path := filepath.Join(dir, lockFile)
	lock := flock.New(path)
	ok, err := lock.TryLock()
	for try := 0; try < 5 && err == nil && !ok; try++ { // Holder has it for a moment
		time.Sleep(10 * time.Millisecond)
		ok, err = lock.TryLock()
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: lock %s: %w", path, err)
	}
	if !ok {
		return nil, &InUseError{path, holder(path)}
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger: lock: %w", err), lock.Unlock())
	}
	return &Lock{lock}, nil
}

// holder reads who has the lock: "unknown" in the moment before it is written.
func holder(path string) string {
	text, err := os.ReadFile(path)
	if who := strings.TrimSpace(string(text)); err == nil && who != "" {
		return who
	}
	return "unknown"
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.lock.Unlock() }

// Holder returns the number of the process that runs the search in dir; "" if
// none does.
func Holder(dir string) (string, error) {
	path := filepath.Join(dir, lockFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	lock := flock.New(path)
	ok, err := lock.TryRLock()
	if err != nil {
		return "", fmt.Errorf("ledger: look at lock %s: %w", path, err)
	}
	if !ok {
		return holder(path), nil
	}
	return "", lock.Unlock()
}
