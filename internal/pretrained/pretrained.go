// Package pretrained obtains the checkpoints that slim published of NASNet-A.
//
//	cache ── pinned SHA-256? ──────────────────────────────► archive ─► checkpoint
//	  │ no                                                      ▲
//	  ├─ --source FILE ─────────────────────────────────────────┤ hash as given or pinned
//	  └─ public address ─► size and MD5 as the store states ────┘ SHA-256 pinned in the cache
//
// Their publisher names no hash in print. So what is fetched must have the MD5
// that the object store states for it, or the SHA-256 that the caller gives; and
// the SHA-256 of what came first is kept beside the archive: another content
// under the same name is refused from then on.
//
// Caveat: the first fetch trusts the store's own statement. Whoever wants more
// gives the SHA-256.
package pretrained

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/nasnet-go/nasnet/internal/archive"
	"github.com/nasnet-go/nasnet/internal/download"
	"github.com/nasnet-go/nasnet/internal/durable"
)

// Archive is a published checkpoint.
type Archive struct {
	Model string // the built-in model it is for
	URL   string
}

// File is the archive's name.
func (a Archive) File() string { return path.Base(a.URL) }

const slimModels = "https://storage.googleapis.com/download.tensorflow.org/models/"

// Archives are those of slim's README: ImageNet, 1001 classes, the first of them
// the background.
var Archives = []Archive{
	{"nasnet-a-large", slimModels + "nasnet-a_large_04_10_2017.tar.gz"},
	{"nasnet-a-mobile", slimModels + "nasnet-a_mobile_04_10_2017.tar.gz"},
}

// ErrPinned is returned for content that is not what it was, or should be.
var ErrPinned = errors.New("not the pinned content")

// Options say where an archive comes from.
type Options struct {
	Archive
	Source   string                  // a local copy; "": the cache, then the network
	Mirror   string                  // another address of the same archive; "": the published one
	SHA256   string                  // hex, that it must have; "": as pinned, or the MD5 that the server states
	Cache    string                  // directory of the user's cache
	Progress func(done, total int64) // bytes
}

// Origin says what was obtained.
type Origin struct {
	Model   string    `json:"model"`
	From    string    `json:"from"` // address or file
	Bytes   int64     `json:"bytes"`
	SHA256  string    `json:"sha256"`
	Checked string    `json:"checked"` // against what
	At      time.Time `json:"at"`
}

var hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Check says what is wrong with options.
func (o Options) Check() error {
	if o.SHA256 != "" && !hexSHA256.MatchString(o.SHA256) {
		return fmt.Errorf("pretrained: SHA-256 %q; want 64 hex digits", o.SHA256)
	}
	return nil
}

func (o Options) address() string { return cmp.Or(o.Mirror, o.URL) }

// Obtain returns the path of the archive and where it came from. One process at
// a time fetches; others wait. An interrupted transfer is taken up again.
func Obtain(ctx context.Context, o Options) (string, Origin, error) {
	if err := o.Check(); err != nil {
		return "", Origin{}, err
	}
	dir := filepath.Join(o.Cache, "weights")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", Origin{}, fmt.Errorf("pretrained: %w", err)
	}
	lock := flock.New(filepath.Join(dir, o.File()+".lock"))
	if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return "", Origin{}, fmt.Errorf("pretrained: lock %s: %w", lock.Path(), err)
	}
	defer lock.Unlock() // nothing can be done about a failure
	p := pin{filepath.Join(dir, o.File()+".sha256")}
	known, err := p.read()
	if err != nil {
		return "", Origin{}, err
	}
	if o.Source != "" {
		origin, err := o.verified(o.Source, o.Source, known)
		return o.Source, origin, err
	}
	cached := filepath.Join(dir, o.File())
	if known != "" {
		if origin, err := o.verified(cached, cached, known); err == nil {
			return cached, origin, nil
		}
	}
	if err := o.fetch(ctx, cached); err != nil {
		return "", Origin{}, err
	}
	origin, err := o.verified(cached, o.address(), known)
	if err == nil && known == "" {
		err = p.write(origin.SHA256, o.File())
	}
	return cached, origin, err
}

// verified hashes a file and compares it with what it must be.
func (o Options) verified(file, from, known string) (Origin, error) {
	sum, n, err := hash(file)
	if err != nil {
		return Origin{}, fmt.Errorf("pretrained: %w", err)
	}
	origin := Origin{Model: o.Model, From: from, Bytes: n, SHA256: sum, At: time.Now().UTC(), Checked: "MD5 stated by the server"}
	want := ""
	switch {
	case o.SHA256 != "":
		want, origin.Checked = o.SHA256, "SHA-256 given"
	case known != "":
		want, origin.Checked = known, "SHA-256 of the first fetch"
	case from == o.Source:
		origin.Checked = "nothing: a local copy, and none was fetched before"
	}
	if want != "" && sum != want {
		return Origin{}, fmt.Errorf("pretrained: %s has SHA-256 %s, %s is %s: %w; if the file is right, remove %s.sha256 from the cache or give its hash",
			from, sum, origin.Checked, want, ErrPinned, o.File())
	}
	return origin, nil
}

func hash(file string) (string, int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// fetch downloads to path, which appears verified or not at all.
func (o Options) fetch(ctx context.Context, to string) error {
	d, err := download.Describe(ctx, o.address(), 0)
	if err == nil && d.MD5 == "" && o.SHA256 == "" {
		return fmt.Errorf("pretrained: %s states no hash of the file; give the SHA-256 that it must have (--sha256)", o.address())
	}
	if err == nil {
		err = download.File(ctx, download.Options{URL: o.address(), Path: to, Size: d.Size, MD5: d.MD5, SHA256: o.SHA256, Progress: o.Progress})
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("pretrained: %s cannot be fetched; get %s from %s by other means and give it with --source FILE: %w", o.Model, o.File(), o.address(), err)
	}
	return err
}

// pin is the file that keeps a hash, in the form of sha256sum.
type pin struct{ path string }

func (p pin) read() (string, error) {
	text, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("pretrained: %w", err)
	}
	sum, _, _ := strings.Cut(string(text), " ")
	if !hexSHA256.MatchString(sum) {
		return "", fmt.Errorf("pretrained: %s is damaged; remove it", p.path)
	}
	return sum, nil
}

func (p pin) write(sum, file string) error {
	return durable.WriteFile(p.path, fmt.Appendf(nil, "%s  %s\n", sum, file), 0o644)
}

// limits of an archive: NASNet-A large has 0.4 GB with its averages.
var limits = archive.Limits{Entries: 100, EntryBytes: 4 << 30, TotalBytes: 4 << 30}

// Unpack writes the checkpoint of an archive into dir and returns its prefix.
func Unpack(file, dir string) (prefix string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("pretrained: %w", err)
	}
	defer f.Close()
	err = archive.WalkTar(f, limits, func(e archive.Entry, r io.Reader) error {
		name := path.Base(e.Name)
		stem, index := strings.CutSuffix(name, ".index")
		switch {
		case index && prefix != "":
			return fmt.Errorf("two checkpoints, %s and %s", filepath.Base(prefix), stem)
		case index:
			prefix = filepath.Join(dir, stem)
		case !strings.Contains(name, ".data-"):
			return nil
		}
		return write(filepath.Join(dir, name), r)
	})
	if err == nil && prefix == "" {
		err = errors.New("there is no TensorFlow checkpoint in it (model.ckpt.index, model.ckpt.data-…)")
	}
	if err != nil {
		return "", fmt.Errorf("pretrained: %s: %w", file, err)
	}
	return prefix, nil
}

func write(name string, r io.Reader) error {
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}
