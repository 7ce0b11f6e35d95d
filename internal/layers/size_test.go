package layers

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// source calls visit for each Go file that a person wrote.
func source(t *testing.T, visit func(path string, text []byte)) {
	t.Helper()
	for _, p := range packages(t) {
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles) {
			path := filepath.Join(p.Dir, name)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !generated.Match(text) {
				visit(path, text)
			}
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	source(t, func(path string, text []byte) {
		if n := bytes.Count(text, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, at most %d: split it by subject", path, n, maxFileLines)
		}
	})
}

func TestFunctionsAreShort(t *testing.T) {
	var lengths []int
	source(t, func(path string, text []byte) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for name, n := range functions(t, path, text) {
			lengths = append(lengths, n)
			if n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, at most %d", path, name, n, maxFunctionLines)
			}
		}
	})
	slices.Sort(lengths)
	if median := lengths[len(lengths)/2]; median > medianFunction {
		t.Errorf("the median function has %d lines, at most %d", median, medianFunction)
	}
	if p90 := lengths[len(lengths)*9/10]; p90 > ninetyPercent {
		t.Errorf("one function in ten has over %d lines, at most %d", p90, ninetyPercent)
	}
}

// functions returns the lines from func to } of each function with a body.
func functions(t *testing.T, path string, text []byte) map[string]int {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			at := set.Position(f.Pos())
			lines[fmt.Sprintf("%s (line %d)", f.Name.Name, at.Line)] = set.Position(f.End()).Line - at.Line + 1
		}
	}
	return lines
}
