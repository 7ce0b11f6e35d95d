package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pkg is what `go list -json` says about one of our packages.
type pkg struct {
	Dir                                          string
	ImportPath                                   string
	Name                                         string
	Imports, TestImports, XTestImports, Deps     []string
	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

// packages lists the module with cgo on, so that no file is left out.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=Dir,ImportPath,Name,Imports,TestImports,XTestImports,Deps,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for d := json.NewDecoder(out); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if err := cmd.Wait(); err != nil || len(all) == 0 {
		t.Fatalf("go list: %d packages, %v", len(all), err)
	}
	return all
}

// root is the directory of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fits says whether the path is pattern, or below it where it ends in /... .
func fits(pattern, path string) bool {
	base, below := strings.CutSuffix(pattern, "...")
	if !below {
		return path == pattern
	}
	return path == strings.TrimSuffix(base, "/") || strings.HasPrefix(path, base)
}

func fitsAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, path) })
}

func ruleOf(name string) (rule, bool) {
	for _, r := range rules {
		if fits(r.pkg, name) {
			return r, true
		}
	}
	return rule{}, false
}

func TestImportsKeepToTheLayers(t *testing.T) {
	for _, p := range packages(t) {
		r, ok := ruleOf(p.name())
		if !ok {
			t.Errorf("%s has no rule: put it into a layer (internal/layers/rules_test.go, ARCHITECTURE.md)", p.name())
			continue
		}
		for _, path := range p.Imports {
			if name, ours := strings.CutPrefix(path, module); ours && !fitsAny(r.may, name) {
				t.Errorf("%s imports %s: it may import %v of ours, because %s", p.name(), name, r.may, r.why)
			}
		}
	}
}

func TestPackagesWithoutCgoStaySo(t *testing.T) {
	all := packages(t)
	linked := map[string]bool{"C": true, graft: true, graft + "/op": true}
	for _, p := range all {
		if r, ok := ruleOf(p.name()); ok && r.cgo {
			linked[p.ImportPath] = true
		}
	}
	for _, p := range all {
		r, ok := ruleOf(p.name())
		if !ok || r.cgo {
			continue
		}
		if len(p.CgoFiles) > 0 {
			t.Errorf("%s uses cgo in %v, but must build without it: %s", p.name(), p.CgoFiles, r.why)
		}
		for _, path := range p.Deps {
			if linked[path] && path != "C" {
				t.Errorf("%s depends on %s, but must build with CGO_ENABLED=0: %s", p.name(), strings.TrimPrefix(path, module), r.why)
			}
		}
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			if linked[path] {
				t.Errorf("a test of %s imports %s, but must build with CGO_ENABLED=0: %s", p.name(), strings.TrimPrefix(path, module), r.why)
			}
		}
	}
}

func TestReservedImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			for _, r := range reserved {
				if fits(r.path, path) && !fitsAny(r.only, p.name()) {
					t.Errorf("%s imports %s, which is for %v only: %s", p.name(), path, r.only, r.why)
				}
			}
		}
	}
}

// vague names say nothing about what is inside.
var vague = []string{"utils", "util", "common", "helpers", "misc", "types", "pkg", "base"}

func TestPackagesAreNamedAndDescribed(t *testing.T) {
	for _, p := range packages(t) {
		if slices.Contains(vague, filepath.Base(p.ImportPath)) {
			t.Errorf("%s: a package is named after what it does", p.name())
		}
		if p.Name == "main" {
			continue
		}
		file := "doc.go"
		if len(p.GoFiles) == 1 {
			file = p.GoFiles[0] // a package of one file is described there
		}
		text, err := os.ReadFile(filepath.Join(p.Dir, file))
		if want := "// Package " + p.Name + " "; err != nil || !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s/%s does not say what the package is for (%q …)", p.name(), file, want)
		}
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		switch {
		case e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "bin" && e.Name() != "runs": // what git ignores
			folders = append(folders, e.Name())
		case strings.HasSuffix(e.Name(), ".go"):
			t.Errorf("%s: no Go file at the root", e.Name())
		}
	}
	if len(folders) > maxTopFolders {
		t.Errorf("%d folders at the root, %d are the ceiling: %v", len(folders), maxTopFolders, folders)
	}
}

func TestRulesThemselves(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"cells", "cells", true},
		{"cells", "cells/network", false},
		{"internal/...", "internal/engine", true},
		{"internal/...", "internal", true},
		{"internal/...", "internals", false},
		{"...", "cells", true},
		{"cmd/nasnet/...", "cmd/nasnet-engine", false},
	} {
		if got := fits(c.pattern, c.path); got != c.want {
			t.Errorf("fits(%q, %q) = %v", c.pattern, c.path, got)
		}
	}
	if r, ok := ruleOf("controller/search/queue"); !ok || fitsAny(r.may, "pipeline/train") {
		t.Error("search may import training")
	}
	if _, ok := ruleOf("toys"); ok {
		t.Error("an unknown package has a rule")
	}
}
