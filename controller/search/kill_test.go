package search

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// coordinatorVariable makes the test binary run the search in that directory.
const coordinatorVariable = "NASNET_TEST_SEARCH_DIR"

// longVariable turns the long forms of tests on.
const longVariable = "NASNET_TEST_LONG"

// fileSizeVariable limits the size of files that the coordinator may write.
const fileSizeVariable = "NASNET_TEST_SEARCH_FSIZE"

const coordinatorTrials = 24

// coordinator is the process that the tests kill.
func coordinator(dir string) int {
	if limit, err := strconv.ParseUint(os.Getenv(fileSizeVariable), 10, 64); err == nil {
		signal.Ignore(syscall.SIGXFSZ) // writes fail with EFBIG, as on a full disk with ENOSPC
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			fmt.Println(err)
			return 2
		}
	}
	e, err := Open(context.Background(), Options{Dir: dir, Spec: spec(coordinatorTrials)})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer e.Close()
	if _, err := e.Run(context.Background(), &fake{delay: time.Millisecond}, 3, nil); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// launch starts the coordinator, with a crash point armed if that is not "".
func launch(t *testing.T, dir, crash string, env ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), coordinatorVariable+"="+dir, crashVariable+"="+crash), env...)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// killed reports whether the process was killed rather than done; anything else
// is a fault.
func killed(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer) bool {
	t.Helper()
	err := cmd.Wait()
	if err == nil {
		return false
	}
	if err.Error() != "signal: killed" {
		t.Fatalf("%v\n%s", err, out)
	}
	return true
}

// kills is how many the tests make in all: a few, or the number in longVariable.
func kills(t *testing.T, fast int) int {
	if n, err := strconv.Atoi(os.Getenv(longVariable)); err == nil {
		return n
	}
	return fast
}

// kill -9 at every armed point, the K-th time it is passed: the search ends as
// if nothing had happened.
func TestKilledAtArmedPointsTheSearchIsTheSame(t *testing.T) {
	want := finish(t, t.TempDir(), spec(coordinatorTrials), 3, &fake{})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	total, rounds, hit := 0, 0, map[string]int{}
	kill := func(dir, point string, times int) bool {
		cmd, out := launch(t, dir, fmt.Sprintf("%s:%d", point, times))
		if !killed(t, cmd, out) {
			return false // the search was over before it came by that point so often
		}
		total++
		hit[point]++
		return true
	}
	seldom := func() string { // of the points that are passed again and again
		return slices.MinFunc(crashPoints[1:], func(a, b string) int { return hit[a] - hit[b] })
	}
	for target := kills(t, 24); total < target; rounds++ {
		dir := t.TempDir()
		kill(dir, crashPoints[0], 1)
		kill(dir, seldom(), 1)
		for total < target && kill(dir, seldom(), 1+r.IntN(4)) {
		}
		equal(t, fmt.Sprintf("after kills at armed points, round %d", rounds), finish(t, dir, spec(coordinatorTrials), 3, &fake{}), want)
		check(t, dir)
	}
	t.Logf("%d kills in %d searches: %v", total, rounds, hit)
	for _, p := range crashPoints {
		if hit[p] == 0 {
			t.Errorf("no kill at %s", p)
		}
	}
}

func TestKilledAtRandomMomentsTheSearchIsTheSame(t *testing.T) {
	want := finish(t, t.TempDir(), spec(coordinatorTrials), 3, &fake{})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	total, rounds := 0, 0
	for target := kills(t, 12); total < target; rounds++ {
		dir := t.TempDir()
		for total < target {
			cmd, out := launch(t, dir, "")
			time.Sleep(time.Duration(r.IntN(120)) * time.Millisecond)
			_ = cmd.Process.Kill()
			if !killed(t, cmd, out) {
				break
			}
			total++
		}
		equal(t, fmt.Sprintf("after random kills, round %d", rounds), finish(t, dir, spec(coordinatorTrials), 3, &fake{}), want)
		check(t, dir)
	}
	t.Logf("%d kills in %d searches", total, rounds)
}

// check replays a ledger: everything in it must come out again.
func check(t *testing.T, dir string) {
	t.Helper()
	r, err := Replay(context.Background(), dir)
	if err != nil || r.Difference != nil || r.Waiting != 0 {
		t.Errorf("replay: %+v, %v", r, err)
	}
}

// refused waits for a process that must end by itself with an error, and
// returns what it said.
func refused(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer) string {
	t.Helper()
	if err := cmd.Wait(); err == nil || err.Error() != "exit status 1" {
		t.Fatalf("%v\n%s", err, out)
	}
	return out.String()
}

func TestASecondProcessIsRefusedWithTheHolder(t *testing.T) {
	dir := t.TempDir()
	first, out := launch(t, dir, "")
	for { // until the first one has the lock
		if st, err := ReadStatus(dir); err == nil && st.Process != "" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	_ = first.Process.Signal(syscall.SIGSTOP) // so that it cannot be over too soon
	second, words := launch(t, dir, "")
	said := refused(t, second, words)
	_ = first.Process.Kill()
	killed(t, first, out)
	if !strings.Contains(said, fmt.Sprintf("held by process %d", first.Process.Pid)) {
		t.Errorf("it said %q", said)
	}
	equal(t, "after a refusal", finish(t, dir, spec(coordinatorTrials), 3, &fake{}), finish(t, t.TempDir(), spec(coordinatorTrials), 3, &fake{}))
}

// A ledger that cannot grow: the search says so and stops, nothing is damaged,
// and with room again it goes on to the same end.
func TestFullDisk(t *testing.T) {
	want := finish(t, t.TempDir(), spec(coordinatorTrials), 3, &fake{})
	stops := 0
	dir := t.TempDir()
	for limit := 16 << 10; limit < 1<<20; limit += limit / 4 {
		cmd, out := launch(t, dir, "", fmt.Sprintf("%s=%d", fileSizeVariable, limit))
		if err := cmd.Wait(); err == nil {
			break
		} else if err.Error() != "exit status 1" || !strings.Contains(out.String(), "ledger: ") {
			t.Fatalf("with files of at most %d bytes: %v\n%s", limit, err, out)
		}
		stops++
	}
	if stops < 3 {
		t.Errorf("the limit stopped it %d times only", stops)
	}
	equal(t, "after a full disk", finish(t, dir, spec(coordinatorTrials), 3, &fake{}), want)
	check(t, dir)
}

// The same with a file system of a few pages that is really full.
func TestFullFileSystem(t *testing.T) {
	want := finish(t, t.TempDir(), spec(coordinatorTrials), 3, &fake{})
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("TestFullFileSystem needs the right to mount a tmpfs: %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	cmd, out := launch(t, dir, "")
	if said := refused(t, cmd, out); !strings.Contains(said, "full") || !strings.Contains(said, "is safe") {
		t.Errorf("it said %q", said)
	}
	rescued := filepath.Join(t.TempDir(), "run")
	if err := os.CopyFS(rescued, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	equal(t, "moved to a larger disk", finish(t, rescued, spec(coordinatorTrials), 3, &fake{}), want)
	check(t, rescued)
}
