package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// The ways an archive is refused.
var (
	ErrUnsafe   = errors.New("unsafe entry")
	ErrTooLarge = errors.New("larger than allowed")
	ErrCorrupt  = errors.New("corrupt archive")
)

// Limits caps what an archive may hold. Zero means the default.
type Limits struct {
	Entries    int   // files and directories; default 100,000
	EntryBytes int64 // of one file, unpacked; default 1 GiB
	TotalBytes int64 // of all, unpacked; default 4 GiB
}

func (l Limits) orDefault() Limits {
	if l.Entries == 0 {
		l.Entries = 100_000
	}
	if l.EntryBytes == 0 {
		l.EntryBytes = 1 << 30
	}
	if l.TotalBytes == 0 {
		l.TotalBytes = 4 << 30
	}
	return l
}

// Entry is one plain file of an archive.
type Entry struct {
	Name string // local: no "..", not absolute
	Size int64  // bytes
}

// WalkTar calls visit for each plain file of a tar archive, in order; what
// visit leaves unread is skipped. Archives compressed with gzip are unpacked on
// the way. The first error ends the walk: ErrUnsafe, ErrTooLarge, ErrCorrupt,
// or what visit returned.
func WalkTar(r io.Reader, l Limits, visit func(Entry, io.Reader) error) error {
	l = l.orDefault()
	plain, err := gunzip(r)
	if err != nil {
		return err
	}
	t := tar.NewReader(&capped{r: plain, left: l.TotalBytes + int64(l.Entries)*3*512})
	gate := gate{limits: l}
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return corrupt(err)
		}
		if err := gate.admit(h); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if err := visit(Entry{Name: h.Name, Size: h.Size}, entryReader{t, h.Name}); err != nil {
			return err
		}
	}
}

// gunzip unpacks r where it begins with gzip's magic bytes, and passes it
// through otherwise.
func gunzip(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	magic, err := b.Peek(2)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("archive: %w", err)
	}
	if len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, corrupt(err)
	}
	return z, nil
}

// gate decides on each header and counts what it let through.
type gate struct {
	limits  Limits
	entries int
	bytes   int64
}

func (g *gate) admit(h *tar.Header) error {
	g.entries++
	g.bytes += h.Size
	switch {
	case g.entries > g.limits.Entries:
		return fmt.Errorf("archive: more than %d entries: %w", g.limits.Entries, ErrTooLarge)
	case !filepath.IsLocal(h.Name) || strings.ContainsAny(h.Name, "\\\x00"):
		return fmt.Errorf("archive: %q would leave the directory it is unpacked to: %w", h.Name, ErrUnsafe)
	case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir:
		return fmt.Errorf("archive: %q is no plain file (type %q; links and devices are refused): %w", h.Name, h.Typeflag, ErrUnsafe)
	case h.Size > g.limits.EntryBytes:
		return fmt.Errorf("archive: %q declares %d bytes, allowed are %d: %w", h.Name, h.Size, g.limits.EntryBytes, ErrTooLarge)
	case g.bytes > g.limits.TotalBytes:
		return fmt.Errorf("archive: %d bytes at %q, allowed are %d: %w", g.bytes, h.Name, g.limits.TotalBytes, ErrTooLarge)
	}
	return nil
}

// capped ends with ErrTooLarge where an archive unpacks to more than the caps
// of all its entries and headers could need.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("archive: unpacks to more than allowed: %w", ErrTooLarge)
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	return n, err
}

// entryReader names the entry in the errors of its content.
type entryReader struct {
	r    io.Reader
	name string
}

func (e entryReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("archive: %q: %w", e.name, corrupt(err))
	}
	return n, err
}

func corrupt(err error) error {
	if errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("archive: %w: %w", ErrCorrupt, err)
}
