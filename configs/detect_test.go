package configs_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/configs"
)

// What the defaults say of a detector is the release.
func TestTheReleasedDetectorIsThePreset(t *testing.T) {
	c, err := configs.Load(configs.Source{Config: "coco-faster-rcnn-large"})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.Detect, detector.Release()) {
		t.Errorf("preset %+v\nrelease %+v", c.Detect, detector.Release())
	}
	d, err := c.Detector()
	if err != nil {
		t.Fatal(err)
	}
	if d.Model.Input != [3]int{1200, 1200, 3} || !d.Model.SkipReductionInput || d.Model.DropPathKeep != 0.7 {
		t.Errorf("model %+v", d.Model)
	}
}

func TestEveryDetectorPresetCanBePlanned(t *testing.T) {
	for _, name := range []string{"coco-faster-rcnn-large", "coco-faster-rcnn-mobile", "detect-small"} {
		c, err := configs.Load(configs.Source{Config: name})
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Detector()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := detector.Build(d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFaultsOfADetectorAreNamedByTheirKeys(t *testing.T) {
	set := []string{"detect.classes=0", "detect.rpn.positive=2", "train.schedule.name=steps", "train.mixup=0.1", "engine.xla=true", "export.features=true"}
	_, err := configs.Load(configs.Source{Config: "detect-small", Set: set})
	for _, key := range []string{"classes", "rpn.positive", "train.schedule.boundaries", "train.mixup", "engine.xla", "export"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not in: %v", key, err)
		}
	}
}

// The validation images of a detection set are files of their own.
func TestADetectorIsEvaluatedWithoutImagesHeldOut(t *testing.T) {
	if _, err := configs.Load(configs.Source{Config: "detect-small", Set: []string{"train.evaluation.every_epochs=1"}}); err != nil {
		t.Error(err)
	}
}
