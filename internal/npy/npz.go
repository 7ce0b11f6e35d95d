package npy

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// Archive is an .npz file: arrays by name.
type Archive struct {
	path  string
	zip   *zip.ReadCloser
	files map[string]*zip.File
	names []string
}

// OpenArchive lists an .npz file's arrays.
func OpenArchive(path string) (*Archive, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("npy: %s: %w; want an .npz as numpy.savez writes it", path, err)
	}
	a := &Archive{path: path, zip: z, files: map[string]*zip.File{}}
	for _, f := range z.File {
		name, is := strings.CutSuffix(f.Name, ".npy")
		if _, twice := a.files[name]; !is || twice {
			return nil, errors.Join(fmt.Errorf("npy: %s: entry %q is no array, or stands there twice", path, f.Name), z.Close())
		}
		a.files[name] = f
		a.names = append(a.names, name)
	}
	return a, nil
}

// Names lists the arrays in the file's order.
func (a *Archive) Names() []string { return a.names }

// Close closes the file.
func (a *Archive) Close() error { return a.zip.Close() }

// Shape reads an array's shape without its elements.
func (a *Archive) Shape(name string) ([]int64, error) {
	shape, err := open(a, name, func(r *bufio.Reader) ([]int64, error) {
		_, shape, _, err := decodeHeader(r)
		return shape, err
	})
	return shape, err
}

// Read reads an array.
func (a *Archive) Read(name string) (data []float32, shape []int64, err error) {
	data, err = open(a, name, func(r *bufio.Reader) ([]float32, error) {
		var d []float32
		d, shape, err = Decode(r)
		return d, err
	})
	return data, shape, err
}

func open[T any](a *Archive, name string, read func(*bufio.Reader) (T, error)) (T, error) {
	var none T
	f, ok := a.files[name]
	if !ok {
		return none, fmt.Errorf("npy: %s has no array %q", a.path, name)
	}
	r, err := f.Open()
	if err != nil {
		return none, fmt.Errorf("npy: %s: %s: %w", a.path, name, err)
	}
	defer r.Close() // opened for reading
	out, err := read(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return none, fmt.Errorf("npy: %s: %s: %w", a.path, name, err)
	}
	return out, nil
}

// WriteArchive writes named arrays to an .npz file, atomically and without
// compression. get returns each array in turn, so that not all need be in
// memory.
func WriteArchive(path string, names []string, get func(name string) (data []float32, shape []int64, err error)) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return fmt.Errorf("npy: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tmp.Close(), os.Remove(tmp.Name()))
		}
	}()
	z := zip.NewWriter(tmp)
	for _, name := range names {
		data, shape, err := get(name)
		if err != nil {
			return err
		}
		raw, err := encode(data, shape)
		if err != nil {
			return fmt.Errorf("npy: %s: %w", name, err)
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
		if err == nil {
			_, err = w.Write(raw)
		}
		if err != nil {
			return fmt.Errorf("npy: %s: %w", path, err)
		}
	}
	if err := errors.Join(z.Close(), tmp.Chmod(0o644), tmp.Sync()); err != nil {
		return fmt.Errorf("npy: %s: %w", path, err)
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("npy: %s: %w", path, err)
	}
	return durable.Rename(tmp.Name(), path)
}
