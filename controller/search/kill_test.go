package search

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"
)

// coordinatorVariable makes the test binary run the search in that directory.
const coordinatorVariable = "NASNET_TEST_SEARCH_DIR"

// longVariable turns the long forms of tests on.
const longVariable = "NASNET_TEST_LONG"

const coordinatorTrials = 24

// coordinator is the process that the tests kill.
func coordinator(dir string) int {
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
func launch(t *testing.T, dir, crash string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), coordinatorVariable+"="+dir, crashVariable+"="+crash)
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
