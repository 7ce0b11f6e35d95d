package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the project's directory, seen from the test's.
const root = "../.."

// scripts are what the image's RUN lines may call, in this order.
var scripts = []string{"compiler.sh", "build.sh", "runtime.sh"}

// instruction is one line of a Dockerfile, continuations joined.
type instruction struct {
	line  int // of the file, from 1
	name  string
	flags []string // --from=build, --mount=…
	rest  string
}

// words splits the rest as the builder does for scripts without quotes.
func (i instruction) words() []string { return strings.Fields(i.rest) }

// list is a rest in JSON form, such as CMD ["nasnet"].
func (i instruction) list() ([]string, error) {
	var words []string
	if err := json.Unmarshal([]byte(i.rest), &words); err != nil {
		return nil, fmt.Errorf("Dockerfile:%d: %s is not in JSON form: %w", i.line, i.name, err)
	}
	return words, nil
}

// stage is what follows one FROM.
type stage struct {
	from, name   string
	instructions []instruction
}

// last returns the last instruction of a name; the last one counts.
func (s stage) last(name string) (found instruction, ok bool) {
	for _, i := range s.instructions {
		if i.name == name {
			found, ok = i, true
		}
	}
	return found, ok
}

// dockerfile is a parsed file: the arguments before the first FROM, and stages.
type dockerfile struct {
	args   map[string]string
	stages []stage
}

// parse reads what our Dockerfile uses of the language. The module in
// internal/tools has the same file read by BuildKit's own parser.
func parse(text string) (d dockerfile, err error) {
	d.args = map[string]string{}
	var joined string
	begun := 0
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" && joined == "" {
			continue
		}
		if joined == "" {
			begun = n + 1
		}
		if head, goesOn := strings.CutSuffix(line, `\`); goesOn {
			joined += head
			continue
		}
		err = errors.Join(err, d.add(begun, joined+line))
		joined = ""
	}
	return d, err
}

func (d *dockerfile) add(line int, text string) error {
	name, rest, _ := strings.Cut(text, " ")
	i := instruction{line: line, name: strings.ToUpper(name), rest: strings.TrimSpace(rest)}
	for strings.HasPrefix(i.rest, "--") {
		flag, after, _ := strings.Cut(i.rest, " ")
		i.flags, i.rest = append(i.flags, flag), strings.TrimSpace(after)
	}
	switch {
	case i.name == "FROM":
		words := i.words()
		s := stage{from: words[0]}
		if len(words) == 3 && strings.EqualFold(words[1], "as") {
			s.name = words[2]
		}
		for name, value := range d.args {
			s.from = strings.ReplaceAll(s.from, "${"+name+"}", value)
		}
		d.stages = append(d.stages, s)
	case len(d.stages) > 0:
		s := &d.stages[len(d.stages)-1]
		s.instructions = append(s.instructions, i)
	case i.name == "ARG":
		name, value, _ := strings.Cut(i.rest, "=")
		d.args[name] = value
	default:
		return fmt.Errorf("Dockerfile:%d: %s before the first FROM", line, i.name)
	}
	return nil
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parsed(t *testing.T) dockerfile {
	t.Helper()
	d, err := parse(read(t, "Dockerfile"))
	if err != nil || len(d.stages) == 0 {
		t.Fatalf("%d stages, %v", len(d.stages), err)
	}
	return d
}

func (d dockerfile) final() stage { return d.stages[len(d.stages)-1] }

func TestEveryRunLineIsAScriptOfOurs(t *testing.T) {
	var called []string
	for _, s := range parsed(t).stages {
		for _, i := range s.instructions {
			if i.name != "RUN" {
				continue
			}
			script := path.Base(i.words()[0])
			called = append(called, script)
			info, err := os.Stat(script)
			if err != nil {
				t.Errorf("Dockerfile:%d: %v", i.line, err)
			} else if info.Mode()&0o111 == 0 {
				t.Errorf("Dockerfile:%d: %s is not executable", i.line, script)
			}
			if strings.ContainsAny(i.rest, "&|;<>`") {
				t.Errorf("Dockerfile:%d: %q is more than the call of a script; a test cannot run it by itself", i.line, i.rest)
			}
		}
	}
	if !slices.Equal(called, scripts) {
		t.Errorf("RUN lines call %v, the test knows %v", called, scripts)
	}
}

func TestScriptsParse(t *testing.T) {
	files, err := filepath.Glob("*.sh")
	if err != nil || len(files) != len(scripts) {
		t.Fatalf("%v, %v: a script that no RUN line calls", files, err)
	}
	for _, file := range append(files, "testdata/base.sh") {
		if out, err := exec.Command("sh", "-n", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
		text, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(text), "#!/bin/sh\n") || !strings.Contains(string(text), "\nset -eu\n") {
			t.Errorf("%s: wants #!/bin/sh and set -eu, %v", file, err)
		}
	}
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not installed; the scripts were parsed by sh -n only")
	}
	if out, err := exec.Command("shellcheck", append(files, "testdata/base.sh")...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

func TestTheImageIsNotRunByRoot(t *testing.T) {
	s := parsed(t).final()
	user, ok := s.last("USER")
	if !ok || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user.rest) {
		t.Errorf("USER %q; want numbers, which Kubernetes can tell from root", user.rest)
	}
	if uid, _, _ := strings.Cut(user.rest, ":"); !strings.Contains(read(t, "internal/container/runtime.sh"), "user="+uid+"\n") {
		t.Errorf("runtime.sh makes another user than %s", user.rest)
	}
	for _, i := range s.instructions {
		if i.line > user.line && (i.name == "RUN" || i.name == "COPY") {
			t.Errorf("Dockerfile:%d: %s after USER: files would belong to who runs them", i.line, i.name)
		}
	}
}

// What is written must lie on a volume, for the root file system is read-only.
func TestAllThatIsWrittenIsOnAVolume(t *testing.T) {
	s := parsed(t).final()
	declared, ok := s.last("VOLUME")
	volumes, err := declared.list()
	if !ok || err != nil {
		t.Fatal(err)
	}
	env, _ := s.last("ENV")
	for _, pair := range env.words() {
		name, value, _ := strings.Cut(pair, "=")
		if !slices.Contains(volumes, value) {
			t.Errorf("%s=%s is on none of %v", name, value, volumes)
		}
	}
	for _, dir := range volumes {
		if made := "for dir in data runs cache"; !strings.HasPrefix(dir, "/nasnet/") || !strings.Contains(read(t, "internal/container/runtime.sh"), made) {
			t.Errorf("volume %s: runtime.sh makes %q", dir, made)
		}
	}
	if dir, _ := s.last("WORKDIR"); dir.rest != "/nasnet" {
		t.Errorf("WORKDIR %s: runs/… would lie outside of the volumes", dir.rest)
	}
}

// The image is built on TensorFlow's, twice: what is linked is what runs.
func TestStages(t *testing.T) {
	d := parsed(t)
	if d.args["BASE"] != "tensorflow/tensorflow:2.18.0-gpu" {
		t.Errorf("ARG BASE=%s", d.args["BASE"])
	}
	bases := map[string]string{}
	for _, s := range d.stages {
		bases[s.name] = s.from
	}
	if bases["build"] != d.args["BASE"] || bases[""] != d.args["BASE"] {
		t.Errorf("stages %v are not all on %s", bases, d.args["BASE"])
	}
	series := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if series == nil || !strings.HasPrefix(bases["go"], "golang:"+series[1]) {
		t.Errorf("stage go is %s, go.mod wants %v", bases["go"], series)
	}
	for _, s := range d.stages {
		for _, i := range s.instructions {
			for _, f := range i.flags {
				if from, ok := strings.CutPrefix(f, "--from="); ok && bases[from] == "" {
					t.Errorf("Dockerfile:%d: no stage is named %s", i.line, from)
				}
			}
		}
	}
}

func TestTheParserItself(t *testing.T) {
	d, err := parse("ARG A=x:1\n# c\nFROM ${A} AS b\nRUN --mount=type=cache,target=/c /s.sh \\\n  two\nFROM y\nCMD [\"a\", \"b\"]\n")
	if err != nil || len(d.stages) != 2 || d.stages[0].from != "x:1" || d.stages[0].name != "b" {
		t.Fatalf("%+v, %v", d, err)
	}
	run := d.stages[0].instructions[0]
	if run.line != 4 || !slices.Equal(run.words(), []string{"/s.sh", "two"}) || !slices.Equal(run.flags, []string{"--mount=type=cache,target=/c"}) {
		t.Errorf("%+v", run)
	}
	cmd, _ := d.final().last("CMD")
	if list, err := cmd.list(); err != nil || !slices.Equal(list, []string{"a", "b"}) {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := parse("RUN x\n"); err == nil {
		t.Error("RUN before FROM was taken")
	}
}
