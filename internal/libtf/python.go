package libtf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// probeScript says where the interpreter would take the packages from. Nothing
// is imported: importing tensorflow takes seconds.
const probeScript = `
import importlib.util, json, sys
def where(name):
    spec = importlib.util.find_spec(name)
    return list(spec.submodule_search_locations or []) if spec else []
print(json.dumps({"path": [p for p in sys.path if p], "tensorflow": where("tensorflow"), "nvidia": where("nvidia")}))
`

// probe is what one interpreter answered, and what the answer depends on. It is
// kept in the cache, for starting an interpreter can take longer than all else
// a command does.
type probe struct {
	Python     string           `json:"python"`     // path of the interpreter
	Env        []string         `json:"env"`        // values of probeEnv
	Changed    map[string]int64 `json:"changed"`    // modification time of each directory searched, ns; 0: absent
	Path       []string         `json:"path"`       // sys.path
	TensorFlow []string         `json:"tensorflow"` // directories of the package
	NVIDIA     []string         `json:"nvidia"`     // directories of the namespace package with CUDA's libraries
}

// probeEnv are the variables that change what an interpreter finds.
var probeEnv = []string{"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_VERSION", "HOME"}

// lookPython takes the library out of an installed tensorflow package.
func lookPython(ctx context.Context, o Options) (Library, error) {
	python, err := exec.LookPath(o.Python)
	if err != nil {
		return Library{}, fmt.Errorf("no %s to ask for a tensorflow package", o.Python)
	}
	p, err := askPython(ctx, o, python)
	if err != nil {
		return Library{}, err
	}
	if len(p.TensorFlow) == 0 {
		return Library{}, fmt.Errorf("%s has no tensorflow package", o.Python)
	}
	dir := p.TensorFlow[0]
	l := Library{Dir: dir, Lib: dir, Include: filepath.Join(dir, "include"), Origin: FromPython}
	for _, root := range p.NVIDIA {
		libs, _ := filepath.Glob(filepath.Join(root, "*", "lib")) // the pattern is ours, and well formed
		l.LoaderDirs = append(l.LoaderDirs, libs...)
		l.CUDAData = cudaData([]string{filepath.Join(root, "cuda_nvcc")})
	}
	l, err = o.open(l)
	if errors.Is(err, errAbsent) {
		return l, fmt.Errorf("%s's tensorflow package in %s has no %s", o.Python, dir, libraryNames[2])
	}
	return l, err
}

// askPython returns the remembered answer while everything it depends on is as
// it was, and asks the interpreter otherwise.
func askPython(ctx context.Context, o Options, python string) (probe, error) {
	memory := filepath.Join(o.Cache, "python.json")
	env := make([]string, len(probeEnv))
	for i, name := range probeEnv {
		env[i] = o.Getenv(name)
	}
	var p probe
	if text, err := os.ReadFile(memory); err == nil && json.Unmarshal(text, &p) == nil &&
		p.Python == python && slices.Equal(p.Env, env) && p.fresh() {
		return p, nil
	}
	p = probe{Python: python, Env: env}
	cmd := exec.CommandContext(ctx, python, "-c", probeScript)
	cmd.Dir = string(filepath.Separator) // a folder named tensorflow where we stand is no package
	out, err := cmd.Output()
	if err != nil {
		return p, fmt.Errorf("%s could not be asked for a tensorflow package: %w", o.Python, err)
	}
	if err := json.Unmarshal(out, &p); err != nil {
		return p, fmt.Errorf("%s gave no usable answer about its packages: %w", o.Python, err)
	}
	p.Changed = map[string]int64{}
	for _, dir := range append([]string{python}, p.Path...) {
		p.Changed[dir] = changed(dir)
	}
	p.remember(memory)
	return p, nil
}

// fresh says whether no directory of sys.path has gained or lost an entry.
func (p probe) fresh() bool {
	for dir, at := range p.Changed {
		if changed(dir) != at {
			return false
		}
	}
	return len(p.Changed) > 0
}

// remember writes the answer down. A cache that cannot be written only means
// that the interpreter is asked again, so there is no error to report.
func (p probe) remember(path string) {
	text, err := json.Marshal(p)
	if err == nil && os.MkdirAll(filepath.Dir(path), 0o755) == nil {
		_ = durable.WriteFile(path, text, 0o644)
	}
}

func changed(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}
