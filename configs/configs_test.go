package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/configs"
)

func TestEveryPresetIsValidAndReadsBack(t *testing.T) {
	for _, name := range configs.Presets() {
		c, err := configs.Load(configs.Source{Config: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		back, err := configs.Load(configs.Source{Config: path})
		if err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%s does not read back: %v\n%+v\n%+v", name, err, back, c)
		}
		if _, err := c.Model.Network(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSettingsAreStrongerThanEnvironmentThanFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("train: {batch: 7, epochs: 2}\nseed: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(configs.Source{Config: path, Env: []string{"NASNET_TRAIN_BATCH=8", "NASNET_SEED=4"}, Set: []string{"seed=5"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Train.Epochs != 2 || c.Train.Batch != 8 || c.Seed != 5 {
		t.Errorf("epochs %g, batch %d, seed %d", c.Train.Epochs, c.Train.Batch, c.Seed)
	}
}

func TestAllFaultsAreNamed(t *testing.T) {
	_, err := configs.Load(configs.Source{Config: "quickstart", Set: []string{"train.batch=0", "train.learning_rat=1", "search.policy.name=nosuch"}})
	var e *configs.Error
	if !errors.As(err, &e) || e.ExitCode() != 2 || !strings.Contains(err.Error(), "learning_rat") {
		t.Errorf("a mistyped key: %v", err)
	}
	_, err = configs.Load(configs.Source{Config: "quickstart", Set: []string{"train.batch=0", "search.policy.name=nosuch"}})
	for _, want := range []string{"train.batch", "search.policy.name"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
}

func TestChangesNameTheKeys(t *testing.T) {
	a, err := configs.Load(configs.Source{Config: "quickstart"})
	if err != nil {
		t.Fatal(err)
	}
	b := a
	b.Train.Batch++
	if ch := configs.Changes(a, b); len(ch) != 1 || ch[0].Key != "train.batch" || a.Digest("train") == b.Digest("train") {
		t.Errorf("%v", ch)
	}
}
