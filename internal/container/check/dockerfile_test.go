package check

import (
	"os"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// BuildKit reads the Dockerfile, and its linter has nothing to say.
func TestDockerfile(t *testing.T) {
	f, err := os.Open(root + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tree, err := parser.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range tree.Warnings {
		t.Errorf("%v", w)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		t.Errorf("%s: %s (%v)", rule, message, at)
	}})
	stages, _, err := instructions.Parse(tree.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	last := stages[len(stages)-1]
	seen := map[string]int{}
	for _, c := range last.Commands {
		seen[c.Name()]++
		if r, ok := c.(*instructions.RunCommand); ok && len(r.CmdLine) != 1 {
			t.Errorf("RUN %v in the image: more than one script", r.CmdLine)
		}
		if h, ok := c.(*instructions.HealthCheckCommand); ok && (len(h.Health.Test) != 3 || h.Health.Test[1] != "nasnet" || h.Health.Interval <= 0) {
			t.Errorf("HEALTHCHECK %+v", h.Health)
		}
	}
	for _, name := range []string{"USER", "HEALTHCHECK", "ENTRYPOINT", "VOLUME", "LABEL", "EXPOSE"} {
		if seen[name] != 1 {
			t.Errorf("%d of %s: %v", seen[name], name, seen)
		}
	}
}
