package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/configs"
)

// nasnet runs a command line in the test's process.
func nasnet(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestDescribe(t *testing.T) {
	code, out, errs := nasnet("describe", "nasnet-a-mobile", "--json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var d description
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatal(err)
	}
	if d.Params != 5326716 || d.Trainable != 5289978 || d.Aux != 2411240 || d.Penultimate != 1056 {
		t.Errorf("got %+v", d)
	}
}

func TestWrongUsageIsNamedAndExitsWithTwo(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"describe", "nosuch"}, "nosuch"},
		{[]string{"run", "--config", "quickstart", "--set", "train.batch=0", "--run", t.TempDir()}, "train.batch"},
		{[]string{"run", "--nosuch"}, "nosuch"},
		{[]string{"predict", "a.jpg"}, "--saved-model"},
		{[]string{"serve"}, "--model_base_path"},
		{[]string{"worker"}, "--search"},
		{[]string{"worker", "--search", "nosuch"}, "nosuch"},
		{[]string{"search", "extend", "--run", t.TempDir()}, "--trials"},
		{[]string{"train", "--cluster", "nosuch", "--run", t.TempDir()}, "engine.cluster"},
		{[]string{"eval"}, "--run"},
		{[]string{"train", "--config", "imagenet-mobile", "--set", "data.dir=nosuch", "--run", t.TempDir()}, "data.dir"},
		{[]string{"train", "--config", "folder-small", "--run", t.TempDir()}, "data.dir"},
		{[]string{"train", "--config", "folder-small", "--set", "data.augment.crop_pad=4", "--run", t.TempDir()}, "crop_area"},
		{[]string{"train", "--config", "cifar10-small", "--set", "eval.crops=5", "--run", t.TempDir()}, "eval"},
		{[]string{"train", "--config", "coco-faster-rcnn-large", "--run", t.TempDir()}, "nasnet detect"},
		{[]string{"data", "show", "--config", "quickstart"}, "--out"},
		{[]string{"run", "--config", "quickstart", "--set", "export.optimize=false", "--set", "export.weights=float16", "--run", t.TempDir()}, "export.optimize"},
		{[]string{"run", "--config", "quickstart", "--set", "export.weights=int8", "--run", t.TempDir()}, "no quantisation"},
		{[]string{"export", "--version", "0", "--run", t.TempDir()}, "--version"},
		{[]string{"bench", "infer", "--runs", "0"}, "--runs"},
		{[]string{"bench", "infer", "--net", "nosuch"}, "nosuch"},
	} {
		if code, _, errs := nasnet(c.args...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit code %d, %q", c.args, code, errs)
		}
	}
}

// What decides the children's rewards stands in the specification.
func TestSearchSpecCoversWhatDecidesRewards(t *testing.T) {
	spec := func(set ...string) string {
		c, err := configs.Load(configs.Source{Config: "quickstart", Set: set})
		if err != nil {
			t.Fatal(err)
		}
		s, err := searchSpec(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	base := spec()
	for _, set := range []string{"train.weight_decay=0.01", "data.augment.flip=false", "search.child.epochs=3", "search.policy.batch=8", "search.limits.max_macs=1"} {
		if spec(set) == base {
			t.Errorf("%s does not change the specification", set)
		}
	}
	if spec("search.workers=7") != base {
		t.Error("the number of workers changes the specification")
	}
}

// Flags that stand for a key hold beside --set, in any order.
func TestShortFormsStandBesideSet(t *testing.T) {
	dir := t.TempDir()
	code, _, errs := nasnet("train", "--run", dir, "--seed", "-7", "--precision", "fp8", "--set", "train.batch=0", "--devices", "cpu:0,tpu:1", "--set", "train.mixup=-1")
	for _, want := range []string{"seed", "-7", "fp8", "train.batch", `"tpu:1"`, "train.mixup"} {
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("exit code %d; the message lacks %q:\n%s", code, want, errs)
		}
	}
}
