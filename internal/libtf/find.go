package libtf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Names of the shared object with the C API, by preference: the C tarball's,
// then the Python wheel's.
var libraryNames = []string{"libtensorflow.so", "libtensorflow.so.2", "libtensorflow_cc.so.2"}

// Find returns the first usable copy on this machine; it touches no network.
// A LIBTENSORFLOW_DIR that does not serve is an error of its own: who names a
// directory means that one. Otherwise a *NotFoundError lists all places.
func Find(ctx context.Context, o Options) (Library, error) {
	o, err := o.orDefault(ctx)
	if err != nil {
		return Library{}, err
	}
	missing := &NotFoundError{}
	places := []struct {
		origin Origin
		look   func(context.Context, Options) (Library, error)
	}{{FromEnv, lookEnv}, {FromSystem, lookSystem}, {FromPython, lookPython}, {FromCache, lookCache}}
	for _, p := range places {
		l, err := p.look(ctx, o)
		switch {
		case err == nil:
			return l, nil
		case ctx.Err() != nil:
			return Library{}, ctx.Err()
		case p.origin == FromEnv && !errors.Is(err, errUnset):
			return Library{}, fmt.Errorf("libtf: LIBTENSORFLOW_DIR: %w", err)
		}
		missing.Places = append(missing.Places, Place{p.origin, err.Error()})
	}
	return Library{}, missing
}

var errUnset = errors.New("LIBTENSORFLOW_DIR is not set")

// lookEnv accepts a prefix (lib, include) and an unpacked Python package.
func lookEnv(_ context.Context, o Options) (Library, error) {
	dir := o.Getenv("LIBTENSORFLOW_DIR")
	if dir == "" {
		return Library{}, errUnset
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Library{}, err
	}
	include := filepath.Join(dir, "include")
	l, err := o.open(Library{Dir: dir, Lib: filepath.Join(dir, "lib"), Include: include, Origin: FromEnv})
	if errors.Is(err, errAbsent) {
		l, err = o.open(Library{Dir: dir, Lib: dir, Include: include, Origin: FromEnv})
	}
	if errors.Is(err, errAbsent) {
		return l, fmt.Errorf("%s holds no %s, neither in lib nor itself", dir, strings.Join(libraryNames, " or "))
	}
	return l, err
}

// lookCache returns what Fetch has left.
func lookCache(_ context.Context, o Options) (Library, error) {
	dir := o.cacheEntry()
	if err := verifyManifest(dir); err != nil {
		if errors.Is(err, errAbsent) {
			return Library{}, fmt.Errorf("nothing in %s", dir)
		}
		return Library{}, fmt.Errorf("%s is %w", dir, err)
	}
	return o.open(Library{Dir: dir, Lib: filepath.Join(dir, "lib"), Include: filepath.Join(dir, "include"), Origin: FromCache})
}

// open completes a candidate: the shared object must be there, its version
// right, and for a build the headers and the link name as well. errAbsent
// where there is no shared object at all.
func (o Options) open(l Library) (Library, error) {
	object := sharedObject(l.Lib)
	if object == "" {
		return l, errAbsent
	}
	if !isFile(header(l.Include)) {
		if o.Build {
			return l, fmt.Errorf("%s comes without headers (no %s)", object, header(l.Include))
		}
		l.Include = ""
	}
	if l.Version = versionOf(object, l.Include); !inSeries(l.Version) {
		return l, &VersionError{Dir: l.Dir, Version: l.Version}
	}
	l.LoaderDirs = append([]string{l.Lib}, l.LoaderDirs...)
	if l.CUDAData == "" {
		l.CUDAData = cudaData([]string{"/usr/local/cuda", "/opt/cuda"})
	}
	if o.Build && !isFile(filepath.Join(l.Lib, libraryNames[0])) {
		return o.link(l)
	}
	return l, nil
}

func sharedObject(dir string) string {
	for _, name := range libraryNames {
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
	}
	return ""
}

func header(include string) string {
	return filepath.Join(include, "tensorflow", "c", "c_api.h")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func inSeries(version string) bool { return strings.HasPrefix(version, Series+".") }

var (
	versionDefine = regexp.MustCompile(`(?m)^#define TF_(MAJOR|MINOR|PATCH)_VERSION (\d+)`)
	versionName   = regexp.MustCompile(`\.so\.(\d+\.\d+\.\d+)$`)
)

// versionOf reads the release from version.h, which the wheels bring, or else
// from the full name behind the links, which the C tarballs have; "" if neither.
func versionOf(object, include string) string {
	text, err := os.ReadFile(filepath.Join(include, "tensorflow", "core", "public", "version.h"))
	if err == nil && include != "" {
		if found := versionDefine.FindAllSubmatch(text, 3); len(found) == 3 {
			return fmt.Sprintf("%s.%s.%s", found[0][2], found[1][2], found[2][2])
		}
	}
	if real, err := filepath.EvalSymlinks(object); err == nil {
		if found := versionName.FindStringSubmatch(real); found != nil {
			return found[1]
		}
	}
	return ""
}

// cudaData returns the first directory that XLA can take libdevice from.
func cudaData(dirs []string) string {
	for _, d := range dirs {
		if isDir(filepath.Join(d, "nvvm", "libdevice")) {
			return d
		}
	}
	return ""
}
