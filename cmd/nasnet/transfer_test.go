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

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/rundir"
)

// A cell's file makes networks of both stems, at any depth and width; its weights
// begin a training on other classes in one command.
func TestTransfer(t *testing.T) {
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	env := cleanCache(t)
	do := func(args ...string) (api.TrainResult, string) {
		t.Helper()
		cmd := exec.Command(nasnet, append(args, "--json")...)
		cmd.Env = env
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		text, err := cmd.Output()
		var out api.TrainResult
		if err != nil || json.Unmarshal(text, &out) != nil {
			t.Fatalf("%v: %v\n%s", args, err, stderr.String())
		}
		return out, stderr.String()
	}
	cell := write(t, "found.yaml", foundCell)
	two, three := brightAndDark(t), brightAndDark(t)
	greenClass(t, three)
	sets := func(list ...string) (args []string) {
		for _, s := range append([]string{"train.batch=8", "train.report_steps=5", "model.drop_path_keep=1"}, list...) {
			args = append(args, "--set", s)
		}
		return args
	}
	params := map[int64]bool{}
	var last string
	for _, size := range []string{"3", "6"} { // both times on the ImageNet stem
		last = filepath.Join(t.TempDir(), "run")
		out, _ := do(append([]string{"train", "--config", "imagenet-mobile", "--model", cell, "--run", last},
			sets("data.set=folder", "data.dir="+two, "model.input=[32,32,3]", "model.normal_cells="+size, "model.filters=8", "train.steps=12", "model.aux_head=false")...)...)
		params[out.Params] = true
	}
	if len(params) != 2 {
		t.Errorf("networks of 3 and 6 cells have %v parameters", params)
	}
	was, err := configs.Load(configs.Source{Config: filepath.Join(last, rundir.ConfigFile)})
	if err != nil || was.Model.Cell != cell {
		t.Fatalf("cell %q, want %q; %v", was.Model.Cell, cell, err)
	}
	checkpoints, err := filepath.Glob(filepath.Join(last, "checkpoints", "step-*"))
	if err != nil || len(checkpoints) == 0 {
		t.Fatal(checkpoints, err)
	}
	tuned := filepath.Join(t.TempDir(), "tuned")
	args := append([]string{"train", "--config", "folder-small", "--fine-tune", checkpoints[0], "--run", tuned}, sets("data.dir="+three, "train.epochs=2")...)
	out, said := do(args...)
	for _, want := range []string{"of the weights: 6 normal cells, 8 filters, input [32 32 3]", "are of 2 classes, the images of 3", "held out"} {
		if !strings.Contains(said, want) {
			t.Errorf("it is not told: %s\n%s", want, said)
		}
	}
	if out.Best == "" || out.BestTop1 < 0 {
		t.Errorf("no checkpoint is the best: %+v", out)
	}
	if page, err := os.ReadFile(filepath.Join(tuned, "report.html")); err != nil || !bytes.Contains(page, []byte("<svg")) {
		t.Errorf("no learning curve in the report: %v", err)
	}
	if again, _ := do(args...); again.Steps != out.Steps { // the same call takes what is there
		t.Errorf("again: %+v", again)
	}
}

// foundCell is a cell such as a search writes.
const foundCell = `
name: found
normal:
  blocks:
    - {left: [0, sep3x3], right: [1, identity]}
    - {left: [2, max3x3], right: [0, sep5x5]}
  concat: [2, 3]
reduction:
  blocks:
    - {left: [0, sep3x3], right: [1, avg3x3]}
  concat: [2]
`

// greenClass adds a third class to a folder.
func greenClass(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, "green"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		picture := image.NewRGBA(image.Rect(0, 0, 24, 24))
		for p := range 24 * 24 {
			picture.Set(p%24, p/24, color.RGBA{uint8(i), 200, uint8(p % 50), 255})
		}
		var text bytes.Buffer
		err := jpeg.Encode(&text, picture, nil)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "green", string(rune('A'+i))+".jpg"), text.Bytes(), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
