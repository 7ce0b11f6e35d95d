package libtf

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// Version is the release that Fetch gets; Series is what any copy must be of.
// The C API is stable within a minor release; graft is generated from 2.18.
const (
	Version = "2.18.1"
	Series  = "2.18"
)

// Library is one usable copy of TensorFlow's C library.
type Library struct {
	Dir        string   `json:"dir"`         // what was found: a cache entry, a prefix, a Python package
	Lib        string   `json:"lib"`         // directory of the shared objects
	Include    string   `json:"include"`     // directory above tensorflow/c/c_api.h; "" where only running is possible
	Version    string   `json:"version"`     // for example 2.18.1
	Origin     Origin   `json:"origin"`      // which place it came from
	LoaderDirs []string `json:"loader_dirs"` // for the loader's path: Lib, then NVIDIA's directories
	CUDAData   string   `json:"cuda_data"`   // directory above nvvm/libdevice for XLA; "" where there is none
}

// Origin names the place a library was found in.
type Origin string

// The places, in the order they are looked at.
const (
	FromEnv    Origin = "LIBTENSORFLOW_DIR"
	FromSystem Origin = "system"
	FromPython Origin = "python"
	FromCache  Origin = "cache"
)

// Options says where to look. The zero value is right outside tests.
type Options struct {
	Cache  string              // directory of the user's cache; default CacheDir()
	Build  bool                // headers are needed too, and the link name libtensorflow.so; default: only to run
	Getenv func(string) string // default os.Getenv
	Python string              // interpreter whose tensorflow package may serve; default python3 of PATH
	System []string            // library directories of the system; default ldconfig's, LD_LIBRARY_PATH's and /usr/local/lib …

	pip   []string // the command before "download"; default python3 -m pip, pip3 or pip
	wheel *wheel   // default: the pinned one of this machine
}

func (o Options) orDefault(ctx context.Context) (Options, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Cache == "" {
		dir, err := CacheDir(o.Getenv)
		if err != nil {
			return o, err
		}
		o.Cache = dir
	}
	if o.Python == "" {
		o.Python = "python3"
	}
	if o.System == nil {
		o.System = systemDirs(ctx, o.Getenv)
	}
	return o, nil
}

// cacheEntry is where Fetch puts the library.
func (o Options) cacheEntry() string {
	return filepath.Join(o.Cache, "libtensorflow", Version)
}

// CacheDir is the directory for everything the product fetches or derives:
// NASNET_CACHE, or nasnet in the user's cache directory.
func CacheDir(getenv func(string) string) (string, error) {
	if dir := getenv("NASNET_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", &noCacheError{err}
	}
	return filepath.Join(dir, "nasnet"), nil
}

type noCacheError struct{ err error }

func (e *noCacheError) Error() string {
	return "libtf: no cache directory: " + e.err.Error() + "; set NASNET_CACHE to a directory that may be written"
}

func (e *noCacheError) Unwrap() error { return e.err }

// BuildEnv returns the variables with which cgo finds headers and library. The
// rpath lets what is built run without a loader path on this machine.
func (l Library) BuildEnv() []string {
	return []string{
		"CGO_CFLAGS=-O2 -g " + flag("-I"+l.Include),
		"CGO_LDFLAGS=" + flag("-L"+l.Lib) + " " + flag("-Wl,-rpath,"+l.Lib),
	}
}

// flag quotes a compiler flag the way the go command splits CGO_CFLAGS.
func flag(s string) string {
	if strings.ContainsAny(s, " \t'") {
		return `"` + s + `"`
	}
	return s
}

// RunEnv returns the variables a process that links the library is started
// with, to be put behind the present environment.
func (l Library) RunEnv() []string { return l.runEnv(os.Getenv) }

func (l Library) runEnv(getenv func(string) string) []string {
	dirs := append([]string{}, l.LoaderDirs...)
	for _, d := range filepath.SplitList(getenv("LD_LIBRARY_PATH")) {
		if d != "" {
			dirs = append(dirs, d)
		}
	}
	env := []string{"LD_LIBRARY_PATH=" + strings.Join(dirs, string(filepath.ListSeparator))}
	if getenv("TF_CPP_MIN_LOG_LEVEL") == "" {
		env = append(env, "TF_CPP_MIN_LOG_LEVEL=1") // without its start-up chatter; warnings stay
	}
	const data = "--xla_gpu_cuda_data_dir="
	if flags := getenv("XLA_FLAGS"); l.CUDAData != "" && !strings.Contains(flags, data) {
		env = append(env, "XLA_FLAGS="+strings.TrimSpace(flags+" "+data+l.CUDAData))
	}
	return env
}
