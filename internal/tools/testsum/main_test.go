package main

import (
	"strings"
	"testing"
)

const good = `{"Action":"start","Package":"m/a"}
{"Action":"output","Package":"m/a","Test":"TestX","Output":"=== RUN TestX\n"}
{"Action":"pass","Package":"m/a","Test":"TestX","Elapsed":0.1}
{"Action":"output","Package":"m/a","Test":"TestY","Output":"    a_test.go:12: no golden data in ../shared\n"}
{"Action":"skip","Package":"m/a","Test":"TestY","Elapsed":0}
{"Action":"pass","Package":"m/a","Elapsed":0.25}
{"Action":"skip","Package":"m/none","Elapsed":0}
`

func TestSummarise(t *testing.T) {
	for _, c := range []struct {
		name, in string
		ok       bool
		want     []string
	}{
		{"good", good, true, []string{"ok    m/a  0.2 s", "skip  m/a TestY: no golden data in ../shared", "1 tests passed, 0 failed, 1 skipped; 1 packages, 0 of them failed"}},
		{"nothing", "", false, []string{"0 tests passed"}},
		{"failing test", good + `{"Action":"output","Package":"m/b","Test":"TestZ","Output":"want 1\n"}
{"Action":"fail","Package":"m/b","Test":"TestZ"}
{"Action":"fail","Package":"m/b","Elapsed":1}
`, false, []string{"want 1\n", "FAIL  m/b  1.0 s", "1 failed"}},
		{"crash outside a test", good + `{"Action":"output","Package":"m/b","Output":"panic: no\n"}
{"Action":"fail","Package":"m/b","Elapsed":1}
`, false, []string{"panic: no\n", "FAIL  m/b"}},
		{"does not build", good + `{"ImportPath":"m/c","Action":"build-output","Output":"c.go:1: syntax error\n"}
{"ImportPath":"m/c","Action":"build-fail"}
`, false, []string{"c.go:1: syntax error", "m/c does not build"}},
		{"words of the go command", "go: no such package\n" + good, true, []string{"go: no such package"}},
	} {
		var out strings.Builder
		if ok := summarise(strings.NewReader(c.in), &out); ok != c.ok {
			t.Errorf("%s: ok = %v", c.name, ok)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, &out)
			}
		}
	}
}
