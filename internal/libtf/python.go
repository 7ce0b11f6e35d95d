package libtf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// probeScript says where the interpreter would take the packages from. Nothing
// is imported: importing tensorflow takes seconds.
const probeScript = `
import importlib.util, json
def where(name):
    spec = importlib.util.find_spec(name)
    return list(spec.submodule_search_locations or []) if spec else []
print(json.dumps({"tensorflow": where("tensorflow"), "nvidia": where("nvidia")}))
`

// lookPython takes the library out of an installed tensorflow package.
func lookPython(ctx context.Context, o Options) (Library, error) {
	python, err := exec.LookPath(o.Python)
	if err != nil {
		return Library{}, fmt.Errorf("no %s to ask for a tensorflow package", o.Python)
	}
	var found struct {
		TensorFlow []string `json:"tensorflow"` // directories of the package
		NVIDIA     []string `json:"nvidia"`     // directories of the namespace package with CUDA's libraries
	}
	if mayHaveTensorFlow(python, o.Getenv) {
		out, err := ask(ctx, python)
		if err == nil {
			err = json.Unmarshal(out, &found)
		}
		if err != nil {
			return Library{}, fmt.Errorf("%s could not be asked for a tensorflow package: %w", o.Python, err)
		}
	}
	if len(found.TensorFlow) == 0 {
		return Library{}, fmt.Errorf("%s has no tensorflow package", o.Python)
	}
	dir := found.TensorFlow[0]
	l := Library{Dir: dir, Lib: dir, Include: filepath.Join(dir, "include"), Origin: FromPython}
	for _, root := range found.NVIDIA {
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

func ask(ctx context.Context, python string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, python, "-c", probeScript)
	cmd.Dir = string(filepath.Separator) // a folder named tensorflow where we stand is no package
	return cmd.Output()
}

// mayHaveTensorFlow is false where no directory that the interpreter searches
// can hold the package. Looking takes a fraction of a millisecond; starting an
// interpreter takes 30 to 80, more than all else a command like doctor does.
func mayHaveTensorFlow(python string, getenv func(string) string) bool {
	prefixes, known := pythonPrefixes(python, getenv)
	if !known || getenv("PYTHONHOME") != "" {
		return true
	}
	var patterns []string
	for _, dir := range filepath.SplitList(getenv("PYTHONPATH")) {
		patterns = append(patterns, filepath.Join(dir, "tensorflow"))
	}
	for _, prefix := range prefixes {
		patterns = append(patterns, filepath.Join(prefix, "lib*", "python3*", "*-packages", "tensorflow"))
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		found, err := filepath.Glob(pattern)
		return err != nil || len(found) > 0 // a pattern that cannot be read decides nothing
	})
}

// pythonPrefixes lists the installations whose packages the interpreter may
// see. Of a script that starts an interpreter only pyenv's kind is known.
func pythonPrefixes(python string, getenv func(string) string) (prefixes []string, known bool) {
	up := func(path string) string { return filepath.Dir(filepath.Dir(path)) }
	if isScript(python) {
		versions := filepath.Join(up(python), "versions")
		if filepath.Base(filepath.Dir(python)) != "shims" || !isDir(versions) {
			return nil, false
		}
		prefixes = append(prefixes, filepath.Join(versions, "*"))
	} else if real, err := filepath.EvalSymlinks(python); err == nil {
		prefixes = append(prefixes, up(real))
	}
	prefixes = append(prefixes, up(python), "/usr", "/usr/local")
	for _, name := range []string{"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONUSERBASE"} {
		if dir := getenv(name); dir != "" {
			prefixes = append(prefixes, dir)
		}
	}
	if home := getenv("HOME"); home != "" {
		prefixes = append(prefixes, filepath.Join(home, ".local"))
	}
	return prefixes, true
}

func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [2]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "#!"
}
