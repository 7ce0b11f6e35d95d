package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// brightAndDark is a folder of two classes, bright and dark, that anything can learn.
func brightAndDark(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for class, base := range map[string]uint8{"bright": 200, "dark": 20} {
		if err := os.Mkdir(filepath.Join(dir, class), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			picture := image.NewRGBA(image.Rect(0, 0, 20+i%9, 24))
			for p := range 24 * (20 + i%9) {
				picture.Set(p%(20+i%9), p/(20+i%9), color.RGBA{base + uint8(i), base + uint8(p%40), base, 255})
			}
			var text bytes.Buffer
			if err := jpeg.Encode(&text, picture, nil); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, class, string(rune('A'+i))+".jpg"), text.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// folderArgs is a tiny training on record files.
func folderArgs(command, dir, run string, more ...string) []string {
	args := []string{command, "--config", "folder-small", "--run", run, "--json"}
	for _, set := range append([]string{
		"data.dir=" + dir, "model.input=[16,16,3]", "model.normal_cells=3", "model.filters=4", "train.steps=30", "train.batch=8", "train.report_steps=10",
		"data.augment.rand_augment.layers=1", "train.cutmix=0.2", "eval.crops=5", "data.validation=8",
	}, more...) {
		args = append(args, "--set", set)
	}
	return args
}

// Your own images end to end: a folder becomes record files, a network, an
// accuracy, an export that was checked.
func TestFolderChain(t *testing.T) {
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	dir, run := brightAndDark(t), filepath.Join(t.TempDir(), "run")
	env := cleanCache(t)
	do := func(args ...string) []byte {
		cmd := exec.Command(nasnet, args...)
		cmd.Env = env
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, stderr.String())
		}
		return out
	}
	do(folderArgs("train", dir, run)...)
	var measured struct {
		Top1   float64 `json:"top1"`
		Images int     `json:"images"`
	}
	if err := json.Unmarshal(do("eval", "--run", run, "--json"), &measured); err != nil || measured.Images < 4 || measured.Images > 20 {
		t.Errorf("%+v, %v", measured, err)
	}
	var sheet shown
	if err := json.Unmarshal(do(append(folderArgs("data", dir, run)[:1], append([]string{"show", "--out", filepath.Join(t.TempDir(), "seen.png"), "--images", "5"}, folderArgs("", dir, run)[1:]...)...)...), &sheet); err != nil || len(sheet.Labels) != 5 || sheet.Shape[1] != 16 {
		t.Errorf("data show: %+v, %v", sheet, err)
	}
}

// A broken record ends a training with its place; under skip it is left out and
// listed, and the others are trained on.
func TestBrokenRecordsOfATraining(t *testing.T) {
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	records := filepath.Join(t.TempDir(), "records")
	if out, err := exec.Command(nasnet, "data", "folder", brightAndDark(t), "--out", records, "--train-shards", "1").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	shard := filepath.Join(records, "train-00000-of-00001")
	offsets, err := tfrecord.Index(shard)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(shard)
	if err != nil {
		t.Fatal(err)
	}
	text[offsets[7]+100] ^= 1
	if err := os.WriteFile(shard, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(nasnet, folderArgs("train", records, filepath.Join(t.TempDir(), "run"))...).CombinedOutput()
	if place := "train-00000-of-00001: record 7 at byte "; err == nil || !strings.Contains(string(out), place) || !strings.Contains(string(out), "data.bad.policy=skip") {
		t.Errorf("%v, want %q in\n%s", err, place, out)
	}
	run := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command(nasnet, folderArgs("train", records, run, "data.bad.policy=skip")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err = cmd.Output()
	var done api.TrainResult
	if err != nil || json.Unmarshal(text, &done) != nil || done.Steps != 30 {
		t.Fatalf("skip: %v, %+v\n%s", err, done, stderr.String())
	}
	var left map[string][]int64
	text, err = os.ReadFile(filepath.Join(run, faultsFile))
	if err != nil || json.Unmarshal(text, &left) != nil || len(left[shard]) != 1 || left[shard][0] != offsets[7] {
		t.Errorf("%s: %v, %v", faultsFile, left, err)
	}
	if !strings.Contains(stderr.String(), "left out: "+shard+": record 7") {
		t.Errorf("the record left out is not told:\n%s", stderr.String())
	}
}
