package sets

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/nasnet-go/nasnet/internal/archive"
)

// location is where an image's bytes lie: a whole file, or a part of a tar.
type location struct {
	path   string
	offset int64  // 0 and not in a tar: the whole file
	size   int64  // bytes
	inTar  string // name in the tar; "": a plain file
}

// String names the place for people.
func (l location) String() string {
	if l.inTar != "" {
		return l.path + "!" + l.inTar
	}
	return l.path
}

// found is an image that a listing met.
type found struct {
	dirs []string // the folders it lies in, below the listed root; the first is its class
	name string   // of the file
	rel  string   // its path below the root
	at   location
}

// class returns the name of the folder an image lies in, "" for none.
func (f found) class() string {
	if len(f.dirs) == 0 {
		return ""
	}
	return f.dirs[0]
}

// imageLimits let a tar hold all of ImageNet (1.3 million files, 150 GB).
var imageLimits = archive.Limits{Entries: 20_000_000, EntryBytes: 1 << 40, TotalBytes: 1 << 42}

const maxDepth = 8 // of folders; ends loops of links

// listing collects images in the order of their paths, and counts other files.
type listing struct {
	images []found
	other  int
}

// list finds the images of a directory or of a tar. In both, an inner tar
// stands for a folder of its name, as in ILSVRC2012_img_train.tar.
func list(root string) (listing, error) {
	var l listing
	info, err := os.Stat(root)
	switch {
	case err != nil:
	case info.IsDir():
		err = l.directory(root, nil)
	default:
		err = l.tar(root, nil)
	}
	if err != nil {
		return l, fmt.Errorf("sets: list %s: %w", root, err)
	}
	return l, nil
}

func (l *listing) directory(dir string, below []string) error {
	if len(below) > maxDepth {
		return fmt.Errorf("%s: more than %d folders deep", dir, maxDepth)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		info, err := os.Stat(name) // follows links: the user's own folder may use them
		switch {
		case err != nil:
			return err
		case info.IsDir():
			err = l.directory(name, append(slices.Clone(below), e.Name()))
		case strings.HasSuffix(e.Name(), ".tar"):
			err = l.tar(name, append(slices.Clone(below), strings.TrimSuffix(e.Name(), ".tar")))
		default:
			l.add(below, e.Name(), location{path: name, size: info.Size()})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *listing) tar(name string, below []string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return l.region(f, location{path: name, size: info.Size()}, below)
}

// region lists the tar that lies at a place of f, and the tars in it.
func (l *listing) region(f *os.File, at location, below []string) error {
	if len(below) > maxDepth {
		return fmt.Errorf("%s: archives more than %d deep", at, maxDepth)
	}
	entries, err := archive.Index(io.NewSectionReader(f, at.offset, at.size), at.size, imageLimits)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	for _, e := range entries {
		dirs := slices.Clone(below)
		if dir := path.Dir(path.Clean(e.Name)); dir != "." {
			dirs = append(dirs, strings.Split(dir, "/")...)
		}
		place := location{path: at.path, offset: at.offset + e.Offset, size: e.Size, inTar: path.Join(at.inTar, e.Name)}
		if stem, ok := strings.CutSuffix(path.Base(e.Name), ".tar"); ok {
			if err := l.region(f, place, append(dirs, stem)); err != nil {
				return err
			}
			continue
		}
		l.add(dirs, path.Base(e.Name), place)
	}
	return nil
}

func (l *listing) add(dirs []string, name string, at location) {
	switch strings.ToLower(path.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp":
		l.images = append(l.images, found{dirs, name, path.Join(append(slices.Clone(dirs), name)...), at})
	default:
		l.other++
	}
}

// reader reads images from wherever they lie; tars stay open between reads. It
// may be used by several goroutines.
type reader struct {
	maxBytes int64
	mu       sync.Mutex
	tars     map[string]*os.File
}

func newReader(maxBytes int64) *reader {
	return &reader{maxBytes: maxBytes, tars: map[string]*os.File{}}
}

// read returns the bytes at a place. errTooLong is a fault of the image; any
// other error is one of the disk.
func (r *reader) read(at location) ([]byte, error) {
	if at.size > r.maxBytes {
		return nil, fmt.Errorf("%w: %d bytes, allowed are %d", errTooLong, at.size, r.maxBytes)
	}
	if at.inTar == "" {
		return os.ReadFile(at.path)
	}
	f, err := r.open(at.path)
	if err != nil {
		return nil, err
	}
	data := make([]byte, at.size)
	_, err = f.ReadAt(data, at.offset)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return data, nil
}

func (r *reader) open(name string) (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.tars[name]; f != nil {
		return f, nil
	}
	f, err := os.Open(name)
	if err == nil {
		r.tars[name] = f
	}
	return f, err
}

func (r *reader) close() {
	for _, f := range r.tars {
		f.Close() // only read from
	}
}
