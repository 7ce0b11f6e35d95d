package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nasnet-go/nasnet/internal/rundir"
	"github.com/nasnet-go/nasnet/pipeline/eval"
)

// servingRun starts `nasnet serve` on a run's export and returns its address.
func servingRun(t *testing.T, nasnet, dir string, env []string) string {
	t.Helper()
	base := t.TempDir() // with the first version alone: a test may have exported others, of other weights
	if err := os.CopyFS(filepath.Join(base, "1"), os.DirFS(filepath.Join(dir, "export", "1"))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nasnet, "serve", "--model_name", "shown", "--model_base_path", base, "--rest_api_port", "0")
	cmd.Env = env
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	said, address := "", regexp.MustCompile(`http://[0-9.]+:\d+/v1/models/shown`)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		said += lines.Text() + "\n"
		if at := address.FindString(lines.Text()); at != "" {
			go func() { // it must not block on a full pipe
				for lines.Scan() {
				}
			}()
			return at
		}
	}
	t.Fatalf("the server told no address:\n%s", said)
	return ""
}

// fourWays evaluates one network as a run, a checkpoint, a SavedModel and a running
// server: all say the same of every image.
func fourWays(t *testing.T, nasnet, dir string, images int, env []string) {
	t.Helper()
	checkpoints, err := filepath.Glob(filepath.Join(dir, "checkpoints", "step-*"))
	if err != nil || len(checkpoints) == 0 {
		t.Fatal("no checkpoint", err)
	}
	address, config := servingRun(t, nasnet, dir, env), filepath.Join(dir, rundir.ConfigFile)
	var first []eval.Prediction
	for _, way := range [][]string{
		{"--run", dir}, {"--checkpoint", slices.Max(checkpoints)}, {"--saved-model", filepath.Join(dir, "export", "1")}, {"--server", address, "--config", config},
	} {
		out := filepath.Join(t.TempDir(), "out")
		doc := evaluatedBy(t, nasnet, env, append(way, "--out", out)...)
		list, err := eval.ReadFile(filepath.Join(out, predictionsCSV))
		if err != nil || len(list) != images || doc.Images != int64(images) {
			t.Fatalf("%v: %d predictions, want %d; %v", way, len(list), images, err)
		}
		if kind := strings.TrimPrefix(way[0], "--"); doc.Source.Kind != strings.ReplaceAll(kind, "-", "_") {
			t.Errorf("%v: source %+v", way, doc.Source)
		}
		if first == nil {
			first = list
			continue
		}
		for i, p := range list {
			if q := first[i]; p.Image != q.Image || p.Label != q.Label || p.Predicted != q.Predicted || !slices.Equal(p.Top, q.Top) {
				t.Fatalf("%v: image %d is %+v, for the run %+v", way, i, p, q)
			}
		}
	}
}

// evaluatedBy runs an evaluation.
func evaluatedBy(t *testing.T, nasnet string, env []string, flags ...string) (doc scored) {
	t.Helper()
	cmd := exec.Command(nasnet, append([]string{"eval", "--json"}, flags...)...)
	cmd.Env = env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil || json.Unmarshal(text, &doc) != nil {
		t.Fatalf("%v: %v\n%s%s", flags, err, text, stderr.String())
	}
	return doc
}

// A small network on a folder of images: four ways, one answer; on other images,
// with moving averages or without, with several views; and nothing of it touches
// the run.
func TestEvalOfAFolder(t *testing.T) {
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	images, was, env := brightAndDark(t), filepath.Join(t.TempDir(), "was"), cleanCache(t)
	do := func(args ...string) {
		cmd := exec.Command(nasnet, args...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	do(folderArgs("train", images, was, "eval.crops=1", "train.ema.decay=0.9", "export.check_images=4")...)
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Rename(was, dir); err != nil { // runs may be moved
		t.Fatal(err)
	}
	do("export", "--run", dir)
	held := evaluatedBy(t, nasnet, env, "--run", dir)
	fourWays(t, nasnet, dir, int(held.Images), env)
	kept, err := os.ReadFile(filepath.Join(dir, evaluationFile))
	if err != nil {
		t.Fatal(err)
	}
	checkpoints, _ := filepath.Glob(filepath.Join(dir, "checkpoints", "step-*"))
	checkpoint := slices.Max(checkpoints)
	for _, c := range []struct {
		flags    []string
		averages bool
		crops    int
	}{
		{[]string{"--run", dir}, true, 1},
		{[]string{"--checkpoint", checkpoint}, true, 1},
		{[]string{"--checkpoint", filepath.Join(checkpoint, weightsPrefix), "--averages", "no"}, false, 1},
		{[]string{"--checkpoint", checkpoint, "--crops", "5", "--per-class"}, true, 5},
		{[]string{"--saved-model", filepath.Join(dir, "export", "1"), "--crops", "5"}, false, 5},
		{[]string{"--saved-model", filepath.Join(dir, "export", "1")}, false, 1},
	} {
		doc := evaluatedBy(t, nasnet, env, append(c.flags, "--data", images)...)
		if doc.Images != 80 || doc.Source.Averages != c.averages || doc.Source.Crops != c.crops || doc.Source.Data != images {
			t.Errorf("%v: %d images, want all 80; %+v", c.flags, doc.Images, doc.Source)
		}
		if slices.Contains(c.flags, "--per-class") != (len(doc.Recall) == 2) {
			t.Errorf("%v: recall %+v", c.flags, doc.Recall)
		}
	}
	if now, err := os.ReadFile(filepath.Join(dir, evaluationFile)); err != nil || !bytes.Equal(now, kept) {
		t.Errorf("the run's evaluation was changed by one of other images: %v", err)
	}
	oneClassOfTwo(t, nasnet, env, images, filepath.Join(dir, "export", "1"))
}

// oneClassOfTwo measures a SavedModel that knows its classes on a folder with one
// of them, which alone tells nothing of the others.
func oneClassOfTwo(t *testing.T, nasnet string, env []string, images, model string) {
	part := t.TempDir()
	if err := os.CopyFS(filepath.Join(part, "dark"), os.DirFS(filepath.Join(images, "dark"))); err != nil {
		t.Fatal(err)
	}
	doc := evaluatedBy(t, nasnet, env, "--saved-model", model, "--data", part, "--per-class")
	if doc.Images != 40 || len(doc.Recall) != 2 || doc.Recall[1].Name != "dark" || doc.Recall[1].Images != 40 || doc.Recall[0].Images != 0 {
		t.Errorf("one class of two: %d images, recall %+v", doc.Images, doc.Recall)
	}
}

func TestEvalRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"give one of":              {"--checkpoint", "a", "--server", "b"},
		"--run is a network":       {"--checkpoint", "a", "--run", "b"},
		"--best chooses":           {"--saved-model", "a", "--best"},
		`--averages is "perhaps"`:  {"--run", "a", "--averages", "perhaps"},
		"only one kind":            {"--saved-model", "a", "--averages", "no"},
		"folders of --data":        {"--run", "a", "--classes", "c.txt"},
		"no TensorFlow checkpoint": {"--checkpoint", "absent"},
		"On which images":          {"--saved-model", "absent"},
		"give --run DIR":           {},
	} {
		code, _, stderr := nasnet(append([]string{"eval"}, args...)...)
		if code != exitUsage || !strings.Contains(strings.ToLower(stderr), strings.ToLower(want)) {
			t.Errorf("%v: exit code %d, want %q in\n%s", args, code, want, stderr)
		}
	}
	for _, address := range []string{"127.0.0.1:8501", "http://", "ftp://h/v1/models/x", "http://h/v2/x"} {
		if _, err := servedModel(address, "m"); !errors.Is(err, errUsage) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for address, want := range map[string][2]string{
		"http://h:1": {"http://h:1", "m"}, "http://h:1/": {"http://h:1", "m"}, "https://h/v1/models/x": {"https://h", "x"}, "http://h/v1/models/x/versions/3": {"http://h", "x/versions/3"},
	} {
		if got, err := servedModel(address, "m"); err != nil || got.URL != want[0] || got.Model != want[1] {
			t.Errorf("%s: %+v, %v", address, got, err)
		}
	}
}
