package sets

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets the test binary be the process that is killed in
// TestConversionSurvivesKill.
func TestMain(m *testing.M) {
	if out := os.Getenv("SETS_TEST_CONVERT_TO"); out != "" {
		c := Conversion{Out: out, TrainShards: 8, Workers: 2, Progress: func(p Progress) {
			os.Stdout.WriteString("one\n")
			bufio.NewReader(os.Stdin).ReadByte() // goes on when told
		}}
		if _, err := ConvertImageNet(context.Background(), ImageNet{Train: os.Getenv("SETS_TEST_CONVERT_FROM")}, c); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestConversionSurvivesKill kills a converting process at several points and
// lets the next one finish: the result is that of an undisturbed conversion.
func TestConversionSurvivesKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := smallImageNet(t, 8).write(t)
	want, _ := convert(t, ImageNet{Train: root}, Conversion{TrainShards: 8})
	out := t.TempDir()
	for _, images := range []int{1, 4, 9} {
		killAfter(t, exec.Command(self), images, "SETS_TEST_CONVERT_TO="+out, "SETS_TEST_CONVERT_FROM="+root)
		if _, err := LoadManifest(out); !errors.Is(err, ErrUnfinished) {
			t.Fatalf("killed, but finished: %v", err)
		}
	}
	got, _ := convert(t, ImageNet{Train: root}, Conversion{Out: out, TrainShards: 8})
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if report, err := Verify(t.Context(), out, VerifyOptions{}); err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
}

// killAfter runs a command until it has reported so many images, and kills it.
func killAfter(t *testing.T, cmd *exec.Cmd, images int, env ...string) {
	t.Helper()
	cmd.Env = append(os.Environ(), env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for range images {
		if !lines.Scan() {
			t.Fatalf("ended by itself: %v", cmd.Wait())
		}
		if _, err := stdin.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // reports the kill
}
