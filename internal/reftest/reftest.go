package reftest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Shared returns a path in the folder of reference data: $NASNET_SHARED, or
// ../shared beside the checkout.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("NASNET_SHARED")
	if root == "" {
		root = filepath.Join(moduleRoot(t), "..", "shared")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("reference data %s is not here (set NASNET_SHARED)", filepath.Join(elem...))
	}
	return path
}

func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no go.mod above the test's directory")
	return ""
}

// Python runs a script with TensorFlow at hand and returns what it prints.
func Python(t testing.TB, script string, args ...string) string {
	t.Helper()
	return PythonWith(t, "tensorflow", script, args...)
}

// PythonWith runs a script with a module, and those that come with it, at hand
// and returns what it prints. NASNET_PYTHON may list several interpreters, as
// PATH does; the first that has the module is taken.
func PythonWith(t testing.TB, module, script string, args ...string) string {
	t.Helper()
	python := findPython(module)
	if python == "" {
		t.Skipf("no Python with %s is here (set NASNET_PYTHON, or run `make peers`)", module)
	}
	cmd := exec.Command(python, append([]string{"-c", script}, args...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "LD_LIBRARY_PATH=") // that of our own copy of the C library
	})
	cmd.Env = append(cmd.Env, "TF_CPP_MIN_LOG_LEVEL=2")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python: %v\n%s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

var found sync.Map // module to interpreter, "" for none

func findPython(module string) string {
	if python, ok := found.Load(module); ok {
		return python.(string)
	}
	candidates := filepath.SplitList(os.Getenv("NASNET_PYTHON"))
	if cache, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(cache, "nasnet", "peers", "bin", "python"))
	}
	candidates = append(candidates, "python3")
	// find_spec, not import: an import takes seconds.
	has := func(python string) bool {
		return exec.Command(python, "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)", module).Run() == nil
	}
	python := ""
	if i := slices.IndexFunc(candidates, has); i >= 0 {
		python = candidates[i]
	}
	found.Store(module, python)
	return python
}
