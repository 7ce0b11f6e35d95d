package main

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// nasnetJSON runs a command and decodes the document it prints.
func nasnetJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	cmd := exec.Command(program(t, "nasnet"), args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stderr.String())
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// smallSearch are the arguments of a search that takes seconds.
func smallSearch(t *testing.T, dir string, more ...string) []string {
	args := append([]string{"search"}, small(t, dir)[1:]...)
	return append(args, more...)
}

// A search whose children are trained by workers in other processes, one of
// which is killed and one of which joins late, is the search of one process.
// Then every operation on it.
func TestSearchWithWorkersElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for half a minute")
	}
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	alone, spread := t.TempDir(), t.TempDir()
	var want, got search.Status
	nasnetJSON(t, &want, smallSearch(t, alone)...)
	searching := exec.Command(nasnet, smallSearch(t, spread, "--set", "search.workers=0")...)
	out, err := searching.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := searching.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = searching.Process.Kill() })
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(spread, "queue.json")); err == nil {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("the search opened no queue")
		}
	}
	killed, late := exec.Command(nasnet, "worker", "--search", spread), exec.Command(nasnet, "worker", "--search", spread)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(3*time.Second, func() { _ = killed.Process.Kill() })
	if err := killed.Wait(); err == nil {
		t.Error("the worker ended before it was killed")
	}
	if text, err := late.CombinedOutput(); err != nil {
		t.Errorf("worker: %v\n%s", err, text)
	}
	if err := json.NewDecoder(out).Decode(&got); err != nil {
		t.Error(err)
	}
	if err := searching.Wait(); err != nil {
		t.Error(err)
	}
	if got.LedgerDigest != want.LedgerDigest || got.ControllerDigest != want.ControllerDigest {
		t.Errorf("ledger %s, controller %s; in one process %s, %s", got.LedgerDigest, got.ControllerDigest, want.LedgerDigest, want.ControllerDigest)
	}
	operations(t, spread, want)
}

func operations(t *testing.T, dir string, want search.Status) {
	var replayed search.Replayed
	nasnetJSON(t, &replayed, "search", "replay", "--run", dir)
	if replayed.Difference != nil || replayed.Trials != 6 || replayed.LedgerDigest != want.LedgerDigest {
		t.Errorf("replayed %+v", replayed)
	}
	cells := filepath.Join(t.TempDir(), "cells")
	var paths []string
	nasnetJSON(t, &paths, "search", "export-cell", "--json", "--run", dir, "--out", cells, "--best", "2")
	if len(paths) != 2 {
		t.Errorf("exported %v", paths)
	}
	nasnetJSON(t, nil, "draw", paths[0])
	nasnetJSON(t, nil, "search", "extend", "--run", dir, "--trials", "6")
	var more search.Status
	nasnetJSON(t, &more, smallSearch(t, dir)...)
	if more.Trials.Planned != want.Trials.Planned+4 || more.Trials.Done != more.Trials.Planned {
		t.Errorf("extended: %+v", more.Trials)
	}
	if out, err := exec.Command(program(t, "nasnet"), "search", "pause", "--run", dir).CombinedOutput(); err == nil || !strings.Contains(string(out), "no process runs this search") {
		t.Errorf("pause of a search that nobody runs: %v %s", err, out)
	}
	warm := t.TempDir()
	set := []string{"--set", "search.top_k=2", "--set", "train.steps=4", "--set", "data.validation=500"}
	nasnetJSON(t, nil, append(append([]string{"search", "import", dir}, small(t, warm)[1:]...), set...)...)
	var finished struct {
		search.Status
		Finished []finalist `json:"finished"`
	}
	nasnetJSON(t, &finished, smallSearch(t, warm, append(set, "--finish")...)...)
	if len(finished.Finished) != 2 || finished.Finished[0].Images != 500 || finished.Finished[0].Top1 < finished.Finished[1].Top1 {
		t.Errorf("finished: %+v", finished.Finished)
	}
	var record api.TrainResult
	text, err := os.ReadFile(filepath.Join(finished.Finished[0].Run, "train.json"))
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	if err != nil || record.Steps != 4 {
		t.Errorf("%+v %v", record, err)
	}
}

// Bad children are ended early by their looks at the held-out images, costs make
// the reward, and a further policy runs beside.
func TestSearchWithObjectiveAndStopping(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for half a minute")
	}
	program(t, "nasnet-engine")
	dir := t.TempDir()
	var st search.Status
	nasnetJSON(t, &st, smallSearch(t, dir, "--set", "search.beside=[evolution]", "--set", "search.trials=6", "--set", "search.random_trials=4",
		"--set", "search.stopping.rule=halving", "--set", "search.stopping.trials=2", "--set", "search.stopping.evaluations=2",
		"--set", "search.objective.penalties=[params>1:0.000001]", "--set", "search.objective.front=[latency_ms]")...)
	stopped := 0
	for _, a := range st.Arms {
		stopped += a.Stopped
	}
	if len(st.Arms) != 3 || st.Trials.Done != 16 || stopped == 0 || len(st.Front) == 0 {
		t.Errorf("%+v", st)
	}
	trials, err := search.ReadTrials(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, trial := range trials {
		if want := trial.Value - 1e-6*(trial.Metrics["params"]-1); math.Abs(trial.Reward-want) > 1e-9 {
			t.Errorf("trial %d: reward %g, want %g", trial.ID, trial.Reward, want)
		}
		if !trial.Stopped && trial.Reused < 0 && (len(trial.Curve) < 2 || trial.Metrics["latency_ms"] <= 0) {
			t.Errorf("trial %d: curve %v, latency %g", trial.ID, trial.Curve, trial.Metrics["latency_ms"])
		}
	}
}
