package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/rundir"
	"github.com/nasnet-go/nasnet/internal/term"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// spoil adds two records to a set's training file: one with a box that leaves its
// image, one of a class that the detector does not have.
func spoil(t *testing.T, data string) (file string) {
	t.Helper()
	list, err := sets.FirstLabelled(data, sets.Train, 2)
	if err != nil {
		t.Fatal(err)
	}
	list[0].Objects[0].XMax = 1.5
	list[1].Objects[0].Label = 77
	file = filepath.Join(data, "train-00000-of-00001")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tfrecord.NewWriter(f)
	for _, l := range list {
		record, err := l.Marshal()
		if err == nil {
			err = w.Write(record)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// A training does not begin on broken records: all are counted, the first named.
// Under skip they are listed and left out.
func TestDetectorsAreNotTrainedOnBrokenRecords(t *testing.T) {
	data := filepath.Join(t.TempDir(), "shapes")
	if code, _, stderr := nasnet("data", "shapes", "--out", data, "--images", "4", "--val-images", "2", "--size", "48"); code != 0 {
		t.Fatal(stderr)
	}
	dir, err := rundir.Open(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var stderr bytes.Buffer
	d := &detection{chain: &chain{app: &app{stdout: &bytes.Buffer{}, stderr: &stderr, term: term.New(&stderr, term.Options{})}, dir: dir}, detector: detector.Detector{Options: detector.Options{Classes: 3}}}
	d.config.Data = configs.Data{Dir: data, Bad: configs.Bad{Policy: "fail", Limit: 2}}
	if err := d.findSet(d.config.Data); err != nil {
		t.Fatal(err)
	}
	if err := d.vet(t.Context()); err != nil {
		t.Errorf("a whole set: %v", err)
	}
	file := spoil(t, data)
	err = d.vet(t.Context())
	for _, want := range []string{"2 training records", "data.bad.policy=skip", "x 0", "label 77", "train-00000-of-00001"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	d.config.Data.Bad.Policy = "skip"
	if err := d.vet(t.Context()); err != nil || len(d.set.Exclude[file]) != 2 || strings.Count(stderr.String(), "left out: ") != 2 {
		t.Errorf("%v, %v, %s", err, d.set.Exclude, stderr.String())
	}
	if text, err := os.ReadFile(dir.Join(faultsFile)); err != nil || !strings.Contains(string(text), "train-00000-of-00001") {
		t.Errorf("%s, %v", text, err)
	}
	d.config.Data.Bad.Limit = 1
	if err := d.vet(t.Context()); err == nil || !strings.Contains(err.Error(), "data.bad.limit is 1") {
		t.Errorf("two broken records under a limit of one: %v", err)
	}
}
