package queue

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/nasnet-go/nasnet/controller/search"
)

// The test binary as another process: a worker or a search.
const (
	roleVariable = "NASNET_TEST_QUEUE_ROLE" // worker | search
	dirVariable  = "NASNET_TEST_QUEUE_DIR"
	// longVariable turns the long forms of tests on: how many faults.
	longVariable = "NASNET_TEST_LONG"
)

const processTrials = 60

// patient is a search whose trials may lose any number of workers: blame is
// tested elsewhere.
func patient() search.Spec {
	s := spec(processTrials)
	s.MaxAttempts = 1 << 30
	return s
}

func role() int {
	dir, log := os.Getenv(dirVariable), zerolog.New(os.Stderr)
	var err error
	if os.Getenv(roleVariable) == "worker" {
		var a Address
		if a, err = ReadAddress(dir); err == nil {
			err = Worker{URL: a.URL, Token: a.Token, Slots: 2, Patience: time.Minute, Log: log}.Run(context.Background(), fake{delay: 3 * time.Millisecond})
		}
	} else {
		err = searchProcess(dir, log)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func searchProcess(dir string, log zerolog.Logger) error {
	e, err := search.Open(context.Background(), search.Options{Dir: dir, Spec: patient(), Lease: 500 * time.Millisecond})
	if err != nil {
		return err
	}
	defer e.Close()
	s, err := Serve(e, e.Name(), Options{Dir: dir, Log: log})
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := e.Run(context.Background(), nil, 0, nil); err != nil {
		return err
	}
	return s.Finished()
}

type process struct {
	*exec.Cmd
	out bytes.Buffer
}

func start(t *testing.T, role, dir string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self)}
	p.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+dir)
	p.Stdout, p.Stderr = &p.out, &p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// end waits for a process that must be killed or end well.
func (p *process) end(t *testing.T) (killed bool) {
	t.Helper()
	err := p.Wait()
	if err != nil && err.Error() != "signal: killed" {
		t.Fatalf("%v\n%s", err, &p.out)
	}
	return err != nil
}

// faults is how many the tests make: a few, or the number in longVariable.
func faults(fast int) int {
	if n, err := strconv.Atoi(os.Getenv(longVariable)); err == nil {
		return n
	}
	return fast
}

// disturbed runs a search here whose workers are processes, and lets disturb do
// something to them until enough was done; a search that ends before is
// followed by another.
func disturbed(t *testing.T, target int, disturb func(workers []*process, r *rand.Rand)) {
	want := undisturbed(t, patient())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	done, rounds := 0, 0
	for ; done < target; rounds++ {
		dir := t.TempDir()
		e := open(t, search.Options{Dir: dir, Spec: patient(), Lease: 300 * time.Millisecond})
		s := serve(t, e, Options{Dir: dir})
		ctx, cancel := context.WithCancel(context.Background())
		var st search.Status
		var err error
		var run sync.WaitGroup
		run.Go(func() { st, err = e.Run(context.Background(), nil, 0, nil); cancel() })
		workers := []*process{start(t, "worker", dir), start(t, "worker", dir), start(t, "worker", dir)}
		for done < target && ctx.Err() == nil {
			time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
			disturb(workers, r)
			for i, w := range workers {
				if w.ProcessState != nil {
					workers[i] = start(t, "worker", dir)
				}
			}
			done++
		}
		run.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Finished(); err != nil {
			t.Error(err)
		}
		for _, w := range workers {
			_ = w.Process.Kill() // one that has just joined finds nobody any more
			w.end(t)
		}
		s.Close()
		equal(t, fmt.Sprintf("round %d", rounds), st, want)
	}
	t.Logf("%d faults in %d searches", done, rounds)
}

func TestKilledWorkersLoseNothing(t *testing.T) {
	disturbed(t, faults(8), func(workers []*process, r *rand.Rand) {
		w := workers[r.IntN(len(workers))]
		_ = w.Process.Kill()
		w.end(t)
	})
}

// A worker that stands still past its lease comes back with results that do not
// count any more.
func TestStoppedWorkersComeBackTooLate(t *testing.T) {
	disturbed(t, faults(3), func(workers []*process, r *rand.Rand) {
		w := workers[r.IntN(len(workers))]
		_ = w.Process.Signal(syscall.SIGSTOP)
		time.Sleep(400 * time.Millisecond)
		_ = w.Process.Signal(syscall.SIGCONT)
	})
}

// The search is killed again and again; its workers live on and find it anew.
func TestWorkersOutliveTheSearch(t *testing.T) {
	want := undisturbed(t, patient())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	kills, rounds := 0, 0
	for target := faults(4); kills < target; rounds++ {
		dir := t.TempDir()
		p := start(t, "search", dir)
		for { // until it can be found
			if _, err := ReadAddress(dir); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		workers := []*process{start(t, "worker", dir), start(t, "worker", dir)}
		for {
			if kills < target {
				time.Sleep(time.Duration(100+r.IntN(200)) * time.Millisecond)
				_ = p.Process.Kill()
			}
			if !p.end(t) {
				break
			}
			kills++
			p = start(t, "search", dir)
		}
		for _, w := range workers {
			_ = w.Process.Kill()
			w.end(t)
		}
		st, err := search.ReadStatus(dir)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, fmt.Sprintf("round %d", rounds), st, want)
	}
	t.Logf("%d kills of the search in %d searches", kills, rounds)
}
