package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/libtf"
)

// Report is the machine as the product sees it. Sizes are bytes; 0 is unknown
// or, for a limit, none.
type Report struct {
	TensorFlowVersion string   `json:"tensorflow_version"` // "" where the library was not found
	LibraryPath       string   `json:"library_path"`       // directory of the shared objects
	LibraryOrigin     string   `json:"library_origin"`     // LIBTENSORFLOW_DIR, system, python, cache
	EnginePath        string   `json:"engine_path"`
	Devices           []string `json:"devices"` // TensorFlow's names, for example /device:CPU:0
	CPUModel          string   `json:"cpu_model"`
	CPUFeatures       []string `json:"cpu_features"` // those that TensorFlow's kernels use
	Cores             int      `json:"cores"`        // that this process may run on
	CPUQuota          float64  `json:"cpu_quota"`    // cores' worth of time the cgroup allows
	Memory            int64    `json:"memory_bytes"`
	MemoryAvailable   int64    `json:"memory_available_bytes"`
	MemoryLimit       int64    `json:"memory_limit_bytes"` // of the cgroup
	CacheDir          string   `json:"cache_dir"`
	CacheFree         int64    `json:"cache_free_bytes"`
	GPU               GPU      `json:"gpu"`
	Problems          []string `json:"problems"` // sentences, each with what to do
}

// Options says what to look at. The zero value is right outside tests.
type Options struct {
	Library libtf.Options
	Root    string         // of the file system that /proc, /sys and /dev are read from; default /
	Timeout time.Duration  // for the engine's answer; default 60 s: loading CUDA can take long
	Log     zerolog.Logger // of the engine
}

// Examine looks at the machine. What is missing is no error but a problem in
// the report; the only error is that of ctx.
func Examine(ctx context.Context, o Options) (Report, error) {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	r := Report{Cores: runtime.NumCPU(), Devices: []string{}, CPUFeatures: []string{}, Problems: []string{}}
	m := machine{root: o.Root}
	r.CPUModel, r.CPUFeatures = m.cpu()
	r.Memory, r.MemoryAvailable = m.memory()
	r.MemoryLimit, r.CPUQuota = m.limits()
	r.disk(o.Library)
	library, found := r.library(ctx, o.Library)
	path, err := engine.Locate()
	if r.EnginePath = path; err != nil {
		r.problem("%v", err)
	} else if found {
		r.devices(ctx, o, path, library)
	}
	r.GPU = m.gpu(ctx, library)
	r.judge()
	return r, ctx.Err()
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *Report) library(ctx context.Context, o libtf.Options) (libtf.Library, bool) {
	l, err := libtf.Find(ctx, o)
	if err != nil {
		r.problem("%v", err)
		return l, false
	}
	r.TensorFlowVersion, r.LibraryPath, r.LibraryOrigin = l.Version, l.Lib, string(l.Origin)
	return l, true
}

// devices asks TensorFlow itself; its version there overrules the headers'.
func (r *Report) devices(ctx context.Context, o Options, path string, library libtf.Library) {
	launcher := engine.Launcher{Path: path, Library: library, Log: o.Log}
	text, err := launcher.Run(ctx, engine.Job{Command: api.Doctor, Timeout: o.Timeout, Grace: time.Second})
	var answer api.DoctorResult
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	switch {
	case err == nil:
		r.TensorFlowVersion, r.Devices = answer.Version, append(r.Devices, answer.Devices...)
	case !errors.Is(err, context.Canceled):
		r.problem("the engine %s cannot run with the library in %s: %v; build it again with `make build`", path, library.Lib, err)
	}
}

// disk looks at the nearest directory above the cache that is there.
func (r *Report) disk(o libtf.Options) {
	dir := o.Cache
	if dir == "" {
		getenv := o.Getenv
		if getenv == nil {
			getenv = os.Getenv
		}
		var err error
		if dir, err = libtf.CacheDir(getenv); err != nil {
			return // Find reports it
		}
	}
	r.CacheDir = dir
	for {
		var fs syscall.Statfs_t
		if syscall.Statfs(dir, &fs) == nil {
			r.CacheFree = int64(fs.Bavail) * int64(fs.Bsize)
			return
		}
		if dir == filepath.Dir(dir) {
			return
		}
		dir = filepath.Dir(dir)
	}
}
