package doctor

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/libtf"
)

// The test binary is also the engine: one that answers, or one that aborts.
const roleEnv = "NASNET_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "answers":
		os.Exit(engine.Main(os.Args[1:], map[string]engine.Handler{
			api.Doctor: func(context.Context, json.RawMessage, func(engine.Event)) (any, error) {
				return api.DoctorResult{Version: "2.18.1", Devices: []string{"/device:CPU:0"}}, nil
			},
		}))
	case "dies":
		os.Stderr.WriteString("error while loading shared libraries: libtensorflow_cc.so.2\n")
		os.Exit(127)
	}
	os.Exit(m.Run())
}

// tree writes files below a new root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const tensorflowHeader = "#define TF_MAJOR_VERSION 2\n#define TF_MINOR_VERSION 18\n#define TF_PATCH_VERSION 0\n"

// options describe a machine whose library is that of dir ("" for none).
func options(root, dir string) Options {
	return Options{Root: root, Library: libtf.Options{
		Cache: filepath.Join(root, "no", "cache"), System: []string{}, Python: "no-such-python",
		Getenv: func(name string) string {
			return map[string]string{"LIBTENSORFLOW_DIR": dir}[name]
		},
	}}
}

var computer = map[string]string{
	"proc/cpuinfo":     "processor\t: 0\nmodel name\t: Fast CPU\nflags\t\t: fpu avx avx2 fma avx512f amx_tile\n\nprocessor\t: 1\nflags\t: none\n",
	"proc/meminfo":     "MemTotal:  8000000 kB\nMemFree: 1 kB\nMemAvailable:    6000000 kB\n",
	"proc/self/cgroup": "0::/user/job\n",
}

func examine(t *testing.T, o Options) Report {
	t.Helper()
	r, err := Examine(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hasProblem(r Report, part string) bool {
	return slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, part) })
}

func TestMachineWithoutTensorFlow(t *testing.T) {
	t.Setenv("NASNET_ENGINE", "")
	t.Setenv("PATH", "")
	r := examine(t, options(tree(t, computer), ""))
	if r.CPUModel != "Fast CPU" || !slices.Equal(r.CPUFeatures, []string{"avx", "fma", "avx2", "avx512f", "amx_tile"}) {
		t.Errorf("cpu: %s %v", r.CPUModel, r.CPUFeatures)
	}
	if r.Memory != 8000000<<10 || r.MemoryAvailable != 6000000<<10 || r.MemoryLimit != 0 || r.Cores == 0 || r.CacheFree == 0 {
		t.Errorf("machine: %+v", r)
	}
	if len(r.Problems) != 2 || !hasProblem(r, "make libtensorflow") || !hasProblem(r, "make build") {
		t.Errorf("problems: %q", r.Problems)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{`"tensorflow_version":""`, `"library_path":""`, `"devices":[]`, `"cpu_features":["avx"`, `"problems":["`} {
		if !strings.Contains(string(text), field) {
			t.Errorf("no %s in %s", field, text)
		}
	}
}

func TestDevicesComeFromTheEngine(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NASNET_ENGINE", self)
	prefix := tree(t, map[string]string{"lib/libtensorflow.so": "", "include/tensorflow/c/c_api.h": "", "include/tensorflow/core/public/version.h": tensorflowHeader})
	t.Setenv(roleEnv, "answers")
	r := examine(t, options(tree(t, computer), prefix))
	if !slices.Equal(r.Devices, []string{"/device:CPU:0"}) || r.TensorFlowVersion != "2.18.1" || r.EnginePath != self || len(r.Problems) != 0 {
		t.Errorf("%+v", r)
	}
	if r.LibraryPath != filepath.Join(prefix, "lib") || r.LibraryOrigin != "LIBTENSORFLOW_DIR" {
		t.Errorf("library: %s (%s)", r.LibraryPath, r.LibraryOrigin)
	}
	t.Setenv(roleEnv, "dies")
	r = examine(t, options(tree(t, computer), prefix))
	if r.TensorFlowVersion != "2.18.0" || !hasProblem(r, "error while loading shared libraries") {
		t.Errorf("%+v", r)
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		memory int64
		cores  float64
	}{
		{"version 2, the tightest counts", map[string]string{
			"proc/self/cgroup":                      "0::/user/job\n",
			"sys/fs/cgroup/user/job/memory.max":     "max\n",
			"sys/fs/cgroup/user/memory.max":         "1073741824\n",
			"sys/fs/cgroup/memory.max":              "4294967296\n",
			"sys/fs/cgroup/user/job/cpu.max":        "150000 100000\n",
			"sys/fs/cgroup/user/cpu.max":            "max 100000\n",
			"sys/fs/cgroup/user/job/unrelated.file": "7\n",
		}, 1 << 30, 1.5},
		{"version 2 in a container", map[string]string{
			"proc/self/cgroup": "0::/../../host/path\n", "sys/fs/cgroup/memory.max": "2147483648\n",
		}, 2 << 30, 0},
		{"version 1", map[string]string{
			"proc/self/cgroup": "4:memory:/a\n1:cpu,cpuacct:/\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes":     "536870912\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":       "9223372036854771712\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":               "200000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":              "100000\n",
			"sys/fs/cgroup/cpu/elsewhere/cpu.cfs_quota_us":     "1\n",
			"sys/fs/cgroup/memory/b/memory.limit_in_bytes":     "1\n",
			"sys/fs/cgroup/memory/a/memory.max_usage_in_bytes": "1\n",
		}, 512 << 20, 2},
		{"none", map[string]string{"proc/self/cgroup": "0::/\n"}, 0, 0},
		{"no Linux", nil, 0, 0},
	} {
		memory, cores := machine{root: tree(t, c.files)}.limits()
		if memory != c.memory || cores != c.cores {
			t.Errorf("%s: %d bytes, %g cores", c.name, memory, cores)
		}
	}
}

func TestProblemsOfMemoryDiskAndGPU(t *testing.T) {
	t.Setenv("LD_LIBRARY_PATH", "")
	card := map[string]string{
		"proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t Big GPU\nIRQ: 1\n",
		"proc/driver/nvidia/version":                       "NVRM version: 555.42\nGCC version: 13\n",
	}
	g := machine{root: tree(t, card)}.gpu(t.Context(), libtf.Library{LoaderDirs: []string{tree(t, map[string]string{"libcudnn.so.9": ""})}})
	if !slices.Equal(g.Cards, []string{"Big GPU"}) || g.Driver != "NVRM version: 555.42" || slices.Contains(g.Missing, "libcudnn.so.9") || !slices.Contains(g.Missing, "libcudart.so.12") {
		t.Errorf("gpu: %+v", g)
	}
	bare := machine{root: tree(t, map[string]string{"dev/nvidia0": "", "dev/nvidiactl": ""})}
	if g := bare.gpu(t.Context(), libtf.Library{}); len(g.Cards) != 1 || filepath.Base(g.Cards[0]) != "nvidia0" {
		t.Errorf("gpu by its device: %+v", g)
	}
	for _, c := range []struct {
		name   string
		report Report
		want   string // "" for none
	}{
		{"used", Report{GPU: g, Devices: []string{"/device:CPU:0", "/device:GPU:0"}, TensorFlowVersion: "2.18.1"}, ""},
		{"CPU build", Report{GPU: g, LibraryOrigin: "cache", TensorFlowVersion: "2.18.1"}, "is the CPU build"},
		{"libraries missing", Report{GPU: g, LibraryOrigin: "python", TensorFlowVersion: "2.18.1"}, "the loader does not find libcuda.so.1"},
		{"silent", Report{GPU: GPU{Cards: g.Cards}, Devices: []string{"/device:CPU:0"}, TensorFlowVersion: "2.18.1"}, "although its libraries are there"},
		{"memory limit", Report{MemoryAvailable: 8 << 30, MemoryLimit: 1 << 30, TensorFlowVersion: "2.18.1"}, "1024 MB of memory are available"},
		{"disk", Report{CacheDir: "/c", CacheFree: 5 << 20}, "/c has 5 MB free"},
		{"fine", Report{MemoryAvailable: 8 << 30, TensorFlowVersion: "2.18.1"}, ""},
	} {
		c.report.judge()
		if got := strings.Join(c.report.Problems, "\n"); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: problems %q", c.name, got)
		}
	}
}
