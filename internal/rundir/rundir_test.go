package rundir_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/rundir"
)

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	d, err := rundir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rundir.Open(dir); !errors.Is(err, rundir.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second opening: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = rundir.Open(dir); err != nil {
		t.Fatal(err)
	}
	d.Close()
}

func TestAStageRunsOnceUnlessItFailed(t *testing.T) {
	d, err := rundir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	calls := 0
	stage := func(fail error) (int, bool, error) {
		return rundir.Stage(d, "s", func() (int, error) { calls++; return 7, fail })
	}
	if _, _, err := stage(errors.New("no")); err == nil {
		t.Error("the failure was lost")
	}
	if v, cached, err := stage(nil); v != 7 || cached || err != nil {
		t.Errorf("%d %v %v", v, cached, err)
	}
	if v, cached, err := stage(errors.New("no")); v != 7 || !cached || err != nil || calls != 2 {
		t.Errorf("%d %v %v after %d calls", v, cached, err, calls)
	}
	if err := os.WriteFile(d.Join("s.json"), []byte("{cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, cached, err := stage(nil); v != 7 || cached || err != nil {
		t.Errorf("a damaged record: %d %v %v", v, cached, err)
	}
}
