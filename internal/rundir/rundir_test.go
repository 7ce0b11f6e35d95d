package rundir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nasnet-go/nasnet/internal/rundir"
)

// TestMain is also the process that holds a run or dies in a stage.
func TestMain(m *testing.M) {
	if dir := os.Getenv("RUNDIR_TEST_DIE"); dir != "" {
		d, err := rundir.Open(dir)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		d.Manifest.Begin([]string{"test"}, time.Now())
		_, _, _ = rundir.Do(d, "first", nil, func() (int, error) { return 1, nil })
		_, _, _ = rundir.Do(d, "second", []string{d.Output("first")}, func() (int, error) {
			fmt.Println("inside")
			select {} // until it is killed
		})
	}
	os.Exit(m.Run())
}

func open(t *testing.T, dir string) *rundir.Dir {
	t.Helper()
	d, err := rundir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	if _, err := rundir.Open(dir); !errors.Is(err, rundir.ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("second opening: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestAStageRunsOnceUnlessItFailed(t *testing.T) {
	d := open(t, t.TempDir())
	calls := 0
	stage := func(fail error, inputs ...string) (int, bool, error) {
		return rundir.Do(d, "s", inputs, func() (int, error) { calls++; return calls, fail })
	}
	steps := []struct {
		what   string
		run    func() (int, bool, error)
		value  int
		cached bool
		fails  bool
		status rundir.Status
	}{
		{"a failure", func() (int, bool, error) { return stage(errors.New("no")) }, 1, false, true, rundir.Failed},
		{"an interruption", func() (int, bool, error) { return stage(context.Canceled) }, 2, false, true, rundir.Interrupted},
		{"success", func() (int, bool, error) { return stage(nil) }, 3, false, false, rundir.Done},
		{"again", func() (int, bool, error) { return stage(errors.New("no")) }, 3, true, false, rundir.Done},
		{"other inputs", func() (int, bool, error) { return stage(nil, "x") }, 4, false, false, rundir.Done},
		{"a changed result", func() (int, bool, error) {
			if err := os.WriteFile(d.Join("s.json"), []byte("9\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return stage(nil, "x")
		}, 5, false, false, rundir.Done},
		{"a lost result", func() (int, bool, error) {
			if err := os.Remove(d.Join("s.json")); err != nil {
				t.Fatal(err)
			}
			return stage(nil, "x")
		}, 6, false, false, rundir.Done},
	}
	for _, s := range steps {
		v, cached, err := s.run()
		if v != s.value || cached != s.cached || (err != nil) != s.fails {
			t.Errorf("%s: %d, cached %v, %v; want %d, %v, failure %v", s.what, v, cached, err, s.value, s.cached, s.fails)
		}
		if got := d.Manifest.Stage("s").Status; got != s.status {
			t.Errorf("%s: status %s, want %s", s.what, got, s.status)
		}
	}
}

func TestAKilledProcessLeavesAReadableRun(t *testing.T) {
	dir := t.TempDir()
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), "RUNDIR_TEST_DIE="+dir)
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 100)
	n, _ := out.Read(line)
	if !bytes.HasPrefix(line[:n], []byte("inside")) {
		t.Fatalf("the process said %q", line[:n])
	}
	if _, err := rundir.Open(dir); !errors.Is(err, rundir.ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(p.Process.Pid)) {
		t.Errorf("while it runs: %v", err)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait() // killed

	d := open(t, dir)
	if first, second := d.Manifest.Stage("first").Status, d.Manifest.Stage("second").Status; first != rundir.Done || second != rundir.Interrupted {
		t.Errorf("stages %s and %s", first, second)
	}
	if v, cached, err := rundir.Do(d, "first", nil, func() (int, error) { return 2, nil }); v != 1 || !cached || err != nil {
		t.Errorf("the finished stage: %d %v %v", v, cached, err)
	}
}

func TestADamagedManifestIsNamed(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	if err := d.WriteFile(rundir.ManifestFile, []byte("{cut")); err != nil {
		t.Fatal(err)
	}
	d.Close()
	for text, want := range map[string]string{"{cut": "is damaged", `{"format": 7}`: "format 7"} {
		if err := os.WriteFile(d.Join(rundir.ManifestFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := rundir.Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := os.Remove(d.Join(rundir.ManifestFile)); err != nil {
		t.Fatal(err)
	}
	open(t, dir) // the failed openings left no lock
}

func TestCommandsAreKeptWithinBounds(t *testing.T) {
	var m rundir.Manifest
	for i := range 250 {
		m.Begin([]string{strconv.Itoa(i)}, time.Unix(int64(i), 0))
	}
	first, last := m.Commands[0].Args[0], m.Commands[len(m.Commands)-1].Args[0]
	if len(m.Commands) != 100 || first != "0" || last != "249" {
		t.Errorf("%d commands, %s to %s", len(m.Commands), first, last)
	}
}

func TestCheckpointsMoveWithTheRun(t *testing.T) {
	d := open(t, t.TempDir())
	for recorded, want := range map[string]string{
		"":                                     "",
		"runs/small/checkpoints/step-00000100": d.Join("checkpoints", "step-00000100"),
		d.Join("checkpoints", "step-00000100"): d.Join("checkpoints", "step-00000100"),
	} {
		if got := d.Checkpoint(recorded); got != want {
			t.Errorf("%q is at %q, want %q", recorded, got, want)
		}
	}
}
