package container

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// builder executes the Dockerfile's instructions on folders.
type builder struct {
	dir    string            // where the stages lie
	roots  map[string]string // what stands for the images that stages begin with, by the image's name up to the colon
	caches map[string]string // folders of this machine for --mount=type=cache, by target
	args   map[string]string // build arguments
	built  map[string]*built
	log    func(format string, args ...any)
}

// built is a stage: its layers, and what its image says of processes.
type built struct {
	upper, base string // folders
	env         []string
	workdir     string
	stage       stage
}

// layers are those of the root, the topmost first.
func (b *built) layers() []string { return []string{b.upper, b.base} }

const imagePath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (b *builder) build(t *testing.T, d dockerfile) *built {
	t.Helper()
	b.built = map[string]*built{}
	var last *built
	for n, s := range d.stages {
		image, _, _ := strings.Cut(s.from, ":")
		base := b.roots[image]
		if base == "" {
			t.Fatalf("nothing stands for the image %s", s.from)
		}
		last = &built{upper: filepath.Join(b.dir, fmt.Sprint("stage-", n)), base: base, env: []string{imagePath}, workdir: "/", stage: s}
		if err := os.MkdirAll(last.upper, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, i := range s.instructions {
			begun := time.Now()
			if err := b.do(t, last, i); err != nil {
				t.Fatalf("Dockerfile:%d: %s %s: %v", i.line, i.name, i.rest, err)
			}
			if i.name == "RUN" {
				b.log("%s: %.1f s", i.rest, time.Since(begun).Seconds())
			}
		}
		b.built[s.name] = last
	}
	return last
}

func (b *builder) do(t *testing.T, s *built, i instruction) error {
	t.Helper()
	switch i.name {
	case "RUN":
		return b.run(t, s, i)
	case "COPY":
		return b.copy(s, i)
	case "ARG":
		name, value, _ := strings.Cut(i.rest, "=")
		if given, ok := b.args[name]; ok {
			value = given
		}
		s.env = append(s.env, name+"="+value)
	case "ENV":
		s.env = append(s.env, i.words()...)
	case "WORKDIR":
		s.workdir = i.rest
		return os.MkdirAll(filepath.Join(s.upper, i.rest), 0o755)
	case "LABEL", "VOLUME", "EXPOSE", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD": // of processes, not of files
	default:
		return fmt.Errorf("not known to this test")
	}
	return nil
}

func (b *builder) run(t *testing.T, s *built, i instruction) error {
	t.Helper()
	work := s.upper + "-work"
	r := room{
		Layers: []string{s.base}, Upper: s.upper, Work: work, Dir: s.workdir, Env: append(s.env, "HOME=/root"), Args: i.words(),
		Binds: networkFiles(s.base),
	}
	for _, name := range []string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} { // this machine's way to modules
		if value := os.Getenv(name); value != "" {
			r.Env = append(r.Env, name+"="+value)
		}
	}
	for _, f := range i.flags {
		target, ok := strings.CutPrefix(f, "--mount=type=cache,target=")
		if !ok || b.caches[target] == "" {
			return fmt.Errorf("no folder for %s", f)
		}
		r.Binds = append(r.Binds, bind{b.caches[target], target})
		if err := os.MkdirAll(filepath.Join(s.upper, target), 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	cmd := r.command(t)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, out.String())
	}
	return nil
}

// networkFiles are what Docker puts over the image's while it is built or runs.
func networkFiles(base string) []bind {
	var binds []bind
	for _, file := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		if isThere(file) && isThere(filepath.Join(base, file)) {
			binds = append(binds, bind{file, file})
		}
	}
	return binds
}

func isThere(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// copy puts files of the project, or of another stage, into the stage.
func (b *builder) copy(s *built, i instruction) error {
	words := i.words()
	from, to := words[0], words[len(words)-1]
	if len(words) != 2 {
		return fmt.Errorf("more than one source is not known to this test")
	}
	if len(i.flags) == 1 {
		other := b.built[strings.TrimPrefix(i.flags[0], "--from=")]
		if other == nil {
			return fmt.Errorf("%s: no such stage", i.flags[0])
		}
		source := filepath.Join(other.upper, from)
		if !isThere(source) {
			source = filepath.Join(other.base, from)
		}
		return copyTree(source, filepath.Join(s.upper, to), nil)
	}
	target := filepath.Join(s.upper, to)
	if strings.HasSuffix(to, "/") {
		target = filepath.Join(target, path.Base(from))
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return err
	}
	return copyTree(filepath.Join(root, from), target, ignoring(string(ignored)))
}

// ignoring reads the two forms of patterns that .dockerignore has: a path, and
// **/*.ext.
func ignoring(text string) func(rel string) bool {
	var patterns []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	return func(rel string) bool {
		for _, p := range patterns {
			if name, ok := strings.CutPrefix(p, "**/"); ok {
				p, rel := name, path.Base(rel)
				if match, _ := path.Match(p, rel); match { // the patterns are well formed
					return true
				}
			} else if rel == p || strings.HasPrefix(rel, p+"/") {
				return true
			}
		}
		return false
	}
}

// copyTree copies a file or a directory with modes, links as links, owned by root.
func copyTree(from, to string, ignored func(string) bool) error {
	return filepath.WalkDir(from, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case rel != "." && ignored != nil && ignored(filepath.ToSlash(rel)):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			return os.MkdirAll(target, 0o755)
		case e.Type() == fs.ModeSymlink:
			link, err := os.Readlink(name)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case !e.Type().IsRegular():
			return nil // a socket of somebody's
		}
		return copyFile(name, target)
	})
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, text, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Chmod(to, info.Mode().Perm())
}

func TestIgnoredFilesAreThose(t *testing.T) {
	ignored := ignoring("# c\n.git\nbin\n**/*.test\n")
	for name, want := range map[string]bool{
		".git": true, ".git/HEAD": true, ".gitignore": false, "bin": true, "bin/nasnet": true, "binary": false,
		"a/b/c.test": true, "x.test": true, "c_test.go": false, "internal/bin": false,
	} {
		if got := ignored(name); got != want {
			t.Errorf("%s: ignored %v", name, got)
		}
	}
}

// Nothing that the build needs is left out of what Docker sends.
func TestTheBuildGetsAllSources(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	ignored := ignoring(string(text))
	cmd := exec.Command("go", "list", "-f", "{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}\n{{end}}{{range .CgoFiles}}{{$d}}/{{.}}\n{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}\n{{end}}", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	project, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(string(out))
	for _, file := range append(files, filepath.Join(project, "go.mod"), filepath.Join(project, "go.sum")) {
		rel, err := filepath.Rel(project, file)
		if err != nil || ignored(rel) {
			t.Errorf("%s is not sent to the build (.dockerignore), %v", rel, err)
		}
	}
	if len(files) < 100 {
		t.Errorf("go list names %d files only", len(files))
	}
}
