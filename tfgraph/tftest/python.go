package tftest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Python runs a script with TensorFlow at hand and returns what it prints. The
// loader path that finds the C library is taken from its environment: Python
// brings its own copy. Skips as PythonWithTensorFlow does.
func Python(t testing.TB, script string, args ...string) string {
	t.Helper()
	cmd := exec.Command(PythonWithTensorFlow(t), append([]string{"-c", script}, args...)...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "LD_LIBRARY_PATH=") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python: %v\n%s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// PythonWithTensorFlow returns a Python that can import TensorFlow, for
// comparisons with it: $NASNET_PYTHON, the one `make peers` installs in the
// cache, or python3. The test is skipped, by name, where none can.
func PythonWithTensorFlow(t testing.TB) string {
	t.Helper()
	python := findPython()
	if python == "" {
		t.Skip("no Python with TensorFlow is here (set NASNET_PYTHON, or run `make peers`)")
	}
	return python
}

var findPython = sync.OnceValue(func() string {
	candidates := []string{os.Getenv("NASNET_PYTHON")}
	if cache, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(cache, "nasnet", "peers", "bin", "python"))
	}
	for _, c := range append(candidates, "python3") {
		if c == "" {
			continue
		}
		// find_spec, not import: an import takes seconds.
		cmd := exec.Command(c, "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('tensorflow') is None)")
		if cmd.Run() == nil {
			return c
		}
	}
	return ""
})
