package tfgraph

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// plugin is a device library that reports that TensorFlow has called it.
const plugin = `
typedef struct TF_Status TF_Status;
void TF_SetStatus(TF_Status*, int, const char*);
void SE_InitPlugin(void* registration, TF_Status* s) { TF_SetStatus(s, 9, "the plugin was reached"); }
`

func TestLoadDevicesReachesThePlugin(t *testing.T) {
	source, library := filepath.Join(t.TempDir(), "plugin.c"), filepath.Join(t.TempDir(), "plugin.so")
	if err := os.WriteFile(source, []byte(plugin), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// TensorFlow aborts when a plugin fails, so another process loads it.
	load := exec.Command(os.Args[0])
	load.Env = append(os.Environ(), "TFGRAPH_TEST_PLUGIN="+library)
	if out, err := load.CombinedOutput(); err == nil || !strings.Contains(string(out), "the plugin was reached") {
		t.Errorf("got %v\n%s", err, out)
	}
	missing := filepath.Join(t.TempDir(), "none.so")
	if err := LoadDevices([]string{missing}); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("got %v", err)
	}
	if err := LoadDevices(nil); err != nil {
		t.Error(err)
	}
}
