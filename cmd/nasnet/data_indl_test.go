package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/data/sets"
	"github.com/nasnet-go/nasnet/pipeline/data/sets/indl"
)

// A drawn set is a folder of images like any other: it converts to records,
// with InDL's labels and its split.
func TestDataINDL(t *testing.T) {
	dir := t.TempDir()
	out, records, picture := filepath.Join(dir, "set"), filepath.Join(dir, "records"), filepath.Join(dir, "sheet.png")
	code, stdout, stderr := nasnet("data", "indl", "--set", "3", "--images", "60", "--seed", "2", "--out", out, "--sheet", picture, "--json")
	var s indl.Set
	if err := json.Unmarshal([]byte(stdout), &s); code != 0 || err != nil || s.Seed != 2 || s.Set != 3 {
		t.Fatalf("%d %v\n%s%s", code, err, stdout, stderr)
	}
	if _, err := os.Stat(picture); err != nil {
		t.Error(err)
	}
	code, stdout, stderr = nasnet("data", "folder", out, "--out", records, "--json")
	var m sets.Manifest
	if err := json.Unmarshal([]byte(stdout), &m); code != 0 || err != nil {
		t.Fatalf("%d %v\n%s%s", code, err, stdout, stderr)
	}
	if len(m.Splits) != 2 || m.Splits[0].Examples != 48 || m.Splits[1].Examples != 12 || m.Classes[1].Name != "equal" {
		t.Errorf("%+v", m)
	}
	for _, args := range [][]string{{"--set", "6", "--out", dir + "/x"}, {"--set", "seed=1", "--out", dir + "/x"}, {"--set", "1"}} {
		if code, _, stderr := nasnet(append([]string{"data", "indl"}, args...)...); code != exitUsage {
			t.Errorf("%v: %d %s", args, code, stderr)
		}
	}
}
