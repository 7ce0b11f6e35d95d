package libtf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// Progress is told how far a stage ("download", "verify", "unpack") is, in
// bytes. It is called from one goroutine at a time.
type Progress func(stage string, done, total int64)

// wheel is one pinned Python wheel; each machine gets the same file whatever
// interpreter it has.
type wheel struct {
	Package  string // of the package index
	Platform string // pip's name of the machine
	SHA256   string
	Bytes    int64
}

// wheels by runtime.GOARCH. tensorflow-cpu is not published for arm64; its
// tensorflow wheel is a CPU build there.
var wheels = map[string]wheel{
	"amd64": {"tensorflow-cpu", "manylinux_2_17_x86_64", "810c75d7149d2da0cb2092187817b0dcabb80728ca9f9cf3a61f3f42fadd1298", 230236181},
	"arm64": {"tensorflow", "manylinux_2_17_aarch64", "8a6485edd2148f70d011dbd1d8dc2c775e91774a5a159466e83d0d1f21580944", 231937898},
}

// tempPrefix begins the name of everything unfinished in the cache.
const tempPrefix = "unfinished-"

// Fetch returns what Find finds, and else downloads and unpacks the pinned
// wheel into the user's cache. Several processes may call it at once: one
// works, the others wait for it. A failure leaves nothing behind.
func Fetch(ctx context.Context, o Options, progress Progress) (Library, error) {
	o.Build = true // what is fetched can be built with
	o, err := o.orDefault(ctx)
	if err != nil {
		return Library{}, err
	}
	l, missing := Find(ctx, o)
	var notFound *NotFoundError
	if !errors.As(missing, &notFound) {
		return l, missing
	}
	if o.wheel == nil {
		w, ok := wheels[runtime.GOARCH]
		if !ok || runtime.GOOS != "linux" {
			return l, fmt.Errorf("libtf: no TensorFlow %s is published for %s/%s: build one and set LIBTENSORFLOW_DIR", Version, runtime.GOOS, runtime.GOARCH)
		}
		o.wheel = &w
	}
	unlock, err := lockCache(ctx, o)
	if err != nil {
		return l, fmt.Errorf("libtf: %w", err)
	}
	defer unlock()
	if l, err := Find(ctx, o); err == nil {
		return l, nil // another process has fetched it while we waited
	}
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	if err := install(ctx, o, progress); err != nil {
		return l, fmt.Errorf("libtf: TensorFlow's C library %s is missing (%s) and could not be fetched: %w", Version, notFound.where(), err)
	}
	return Find(ctx, o)
}

// where is the list of places alone, for a sentence that gives its own advice.
func (e *NotFoundError) where() string {
	reasons := make([]string, len(e.Places))
	for i, p := range e.Places {
		reasons[i] = p.Reason
	}
	return strings.Join(reasons, "; ")
}

// lockCache waits for the cache's lock; the kernel frees it when we die.
func lockCache(ctx context.Context, o Options) (unlock func(), err error) {
	dir := filepath.Dir(o.cacheEntry())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w; set NASNET_CACHE to a directory that may be written", err)
	}
	lock := flock.New(filepath.Join(dir, "fetch.lock"))
	if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for %s: %w", lock.Path(), err)
	}
	return func() { _ = lock.Close() }, nil
}

// install downloads, verifies and unpacks beside the final name and renames at
// the end. The caller holds the lock, so what is unfinished is a dead process's.
func install(ctx context.Context, o Options, progress Progress) error {
	dir := filepath.Dir(o.cacheEntry())
	stale, _ := filepath.Glob(filepath.Join(dir, tempPrefix+"*")) // the pattern is well formed
	for _, path := range stale {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	tmp, err := os.MkdirTemp(dir, tempPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	file, err := pipDownload(ctx, o, tmp, progress)
	if err != nil {
		return err
	}
	if err := verifyHash(ctx, file, *o.wheel, progress); err != nil {
		return err
	}
	tree := filepath.Join(tmp, "tree")
	if err := unpackWheel(ctx, file, tree, progress); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
	}
	return replaceDir(tree, o.cacheEntry(), filepath.Join(tmp, "old"))
}

// replaceDir puts tree in the place of to, whose damaged content goes aside.
func replaceDir(tree, to, aside string) error {
	if err := os.Rename(to, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.Rename(tree, to)
}

func verifyHash(ctx context.Context, path string, w wheel, progress Progress) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	counted := &counter{ctx: ctx, r: f, total: w.Bytes, stage: "verify", progress: progress}
	if _, err := io.Copy(h, counted); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != w.SHA256 {
		return fmt.Errorf("%s: %w (SHA-256 %s, expected %s); it was deleted, try again", filepath.Base(path), ErrHash, sum, w.SHA256)
	}
	return nil
}

// counter reports what passes through it and stops when ctx ends.
type counter struct {
	ctx         context.Context
	r           io.Reader
	done, total int64
	stage       string
	progress    Progress
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.progress(c.stage, c.done, c.total)
	return n, err
}
