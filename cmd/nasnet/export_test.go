package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// exportsOptions exports a run in further forms: each is checked and becomes the
// next version, and none is overwritten or published when it does not agree.
func exportsOptions(t *testing.T, nasnet, dir string) {
	for i, c := range []struct {
		flags      []string
		signatures int
		variables  bool
	}{
		{[]string{"--optimize=false"}, 3, true},
		{[]string{"--weights", "bfloat16", "--features"}, 4, false},
	} {
		out, err := exec.Command(nasnet, append([]string{"export", "--run", dir, "--json"}, c.flags...)...).Output()
		if err != nil {
			t.Fatalf("%v: %v", c.flags, err)
		}
		var e exported
		if err := json.Unmarshal(out, &e); err != nil {
			t.Fatal(err)
		}
		want := filepath.Join(dir, "export", []string{"2", "3"}[i])
		if e.Dir != want || len(e.Check.Signatures) != c.signatures || e.Check.Images != 20 {
			t.Errorf("%v: %+v, want %s", c.flags, e, want)
		}
		if _, err := os.Stat(filepath.Join(e.Dir, "variables", "variables.index")); (err == nil) != c.variables {
			t.Errorf("%v: variables: %v", c.flags, err)
		}
	}
	out, err := exec.Command(nasnet, "export", "--run", dir, "--version", "2").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "never overwritten") {
		t.Errorf("version 2 again: %v, %s", err, out)
	}
	out, err = exec.Command(nasnet, "export", "--run", dir, "--set", "export.tolerance=1e-30").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not published") {
		t.Errorf("an export that does not agree: %v, %s", err, out)
	}
	left, err := os.ReadDir(filepath.Join(dir, "export"))
	if err != nil || len(left) != 3 {
		t.Errorf("%v in export (%v), want versions 1 to 3", left, err)
	}
}

func TestNextVersion(t *testing.T) {
	dir := t.TempDir()
	if n := nextVersion(filepath.Join(dir, "nosuch")); n != 1 {
		t.Errorf("in a directory that is not there: %d", n)
	}
	for _, name := range []string{"2", "10", ".unchecked", "notes"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if n := nextVersion(dir); n != 11 {
		t.Errorf("behind 2 and 10: %d", n)
	}
}
