package main

import (
	"context"
	"testing"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/train"
)

// A model with an auxiliary head trains whether its loss has a weight or not,
// and its parts stand in the metrics.
func TestTheAuxiliaryHeadIsBuiltWhenItsLossCounts(t *testing.T) {
	for _, weight := range []float64{0, 0.4} {
		m, err := model.Preset("nasnet-a-cifar")
		if err != nil {
			t.Fatal(err)
		}
		m.NormalCells, m.Filters = 3, 2
		recipe := api.Training{Batch: 2, Steps: 2, AuxWeight: weight, Schedule: api.Schedule{Rate: 0.01}}
		plan, err := trainingPlan(m, recipe)
		if err != nil {
			t.Fatal(err)
		}
		im := blankImages(plan.Model, 4, api.Data{Standardize: "channel"})
		o, err := trainOptions(plan, recipe, im.Len(), 1, api.Threads{InterOp: 1, IntraOp: 1, Grappler: "off"})
		if err != nil {
			t.Fatal(err)
		}
		tr, err := train.New(o, feed(im, 2, 1), tower(plan, recipe, false))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Run(context.Background()); err != nil {
			t.Errorf("weight %g: %v", weight, err)
		}
		if has := tr.Store.Lookup("aux_1/aux_logits/FC/weights") != nil; has != (weight > 0) {
			t.Errorf("weight %g: an auxiliary head: %v", weight, has)
		}
		tr.Close()
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	if _, err := rule(api.Optimizer{Name: "nosuch"}); err == nil {
		t.Error("an unknown optimizer was taken")
	}
	if _, err := schedule(api.Schedule{Name: "nosuch"}, 1, 1); err == nil {
		t.Error("an unknown schedule was taken")
	}
}

func TestImagesOfAnotherSizeAreRefused(t *testing.T) {
	m, err := model.Preset("nasnet-a-cifar")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := trainingPlan(m, api.Training{})
	if err != nil {
		t.Fatal(err)
	}
	if err := blankImages(m, 1, api.Data{}).fits(plan); err != nil {
		t.Error(err)
	}
	m.Input = [3]int{64, 64, 3}
	if err := blankImages(m, 1, api.Data{}).fits(plan); err == nil {
		t.Error("images of 64x64 were taken for a network of 32x32")
	}
}
