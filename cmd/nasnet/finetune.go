package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/bundle"
	"github.com/nasnet-go/nasnet/internal/rundir"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// modelOrCell sets the key that a --model of train means: a model's name or file,
// or a cell's, such as the one that `nasnet search export-cell` writes, which the
// configuration's model is then made of.
func (a *app) modelOrCell(v string) error {
	key := "model.name"
	if !slices.Contains(model.Presets(), v) {
		if _, err := cells.Load(v, ""); err == nil {
			key = "model.cell"
		}
	}
	a.short = append(a.short, key+"="+v)
	return nil
}

// What fine-tuning does where nothing else is said.
const (
	tuneBodyRate = 0.1  // of the learning rate, for all but the last layer
	tunePatience = 5    // epochs without a better accuracy on held-out images
	tuneHeldOut  = 5000 // at most; else a tenth
)

// fineTune fills in what is not stated of a training that begins with trained
// weights: the network is that of the weights, its last layer is drawn anew where
// the classes are others, the body learns slower, and the training ends when
// held-out images show no more gain.
func (s *chain) fineTune() error {
	f := &s.config.Train.FineTune
	if f.Weights == "" {
		return nil
	}
	prefix, err := checkpointPrefix(f.Weights)
	if err != nil {
		return err
	}
	b, err := bundle.Open(prefix)
	if err != nil {
		return usagef("train.fine_tune.weights: %v", err)
	}
	if !fits(s.model, b) {
		if err := s.modelOfWeights(b); err != nil {
			return err
		}
	}
	if head, ok := b.Lookup("final_layer/FC/weights"); ok && s.silent("train.fine_tune.new_head") && head.Shape[1] != int64(s.model.Classes) {
		f.NewHead = true
		s.term.Note("the weights are of %d classes, the images of %d: the last layer is drawn anew", head.Shape[1], s.model.Classes)
	}
	if f.BodyRate == 1 && s.silent("train.fine_tune.body_rate") {
		f.BodyRate = tuneBodyRate
	}
	e := &s.config.Train.Evaluation
	if e.EveryEpochs > 0 || s.config.Data.Validation > 0 || !s.silent("train.evaluation.every_epochs") || !s.silent("data.validation") {
		return nil
	}
	n, err := s.set.trainingImages()
	if err != nil || n < 20 {
		return err
	}
	e.EveryEpochs, e.Patience, s.config.Data.Validation = 1, tunePatience, min(n/10, tuneHeldOut)
	s.term.Note("%d of %d training images are held out; the training ends after %d epochs without a better accuracy on them", s.config.Data.Validation, n, tunePatience)
	return nil
}

// silent tells that no flag states a key.
func (a *app) silent(key string) bool { return a.stated(key) == "" }

// trainingImages counts them.
func (s dataset) trainingImages() (n int, err error) {
	if s.records == nil {
		return 50_000, nil // CIFAR-10
	}
	for _, path := range s.records.Train {
		list, err := tfrecord.Index(path)
		if err != nil && len(s.records.Exclude[path]) == 0 {
			return 0, err
		}
		n += len(list) - len(s.records.Exclude[path])
	}
	return n, nil
}

// fits tells whether a checkpoint has all variables of a network but those of the
// layers that depend on the classes.
func fits(m model.Model, b *bundle.Bundle) bool {
	m.AuxHead = false
	plan, err := model.Build(m)
	if err != nil {
		return false
	}
	for _, v := range plan.Variables() {
		e, ok := b.Lookup(v.Name)
		if head := strings.HasPrefix(v.Name, "final_layer/FC/"); !head && (!ok || fmt.Sprint(e.Shape) != fmt.Sprint(v.Shape)) {
			return false
		}
	}
	return true
}

// modelOfWeights takes the network that the weights are of: that of the model file
// beside them, or of the run they lie in. What flags state of it stays.
func (s *chain) modelOfWeights(b *bundle.Bundle) error {
	weights := s.config.Train.FineTune.Weights
	was, found := s.config.Model, configs.Model{}
	for _, dir := range []string{weights, filepath.Dir(weights)} {
		if file := filepath.Join(dir, "model.yaml"); exists(file) {
			found.Name = file
		}
	}
	run, ok := runOf(weights)
	if found.Name == "" && ok {
		config, err := configs.Load(configs.Source{Config: filepath.Join(run, rundir.ConfigFile)})
		if err != nil {
			return err
		}
		found = config.Model
		if found.Cell, err = s.cellOf(run, found.Cell); err != nil {
			return err
		}
	}
	if found.Name == "" {
		return usagef("train.fine_tune.weights: the weights of %s do not fit the configured network, and there is neither a model.yaml beside them nor a run around them; name their network with --model", weights)
	}
	none := false
	found.Classes, found.AuxHead = s.model.Classes, &none
	found.DropPathKeep, found.DropoutKeep = was.DropPathKeep, was.DropoutKeep
	if !s.silent("model.input") {
		found.Input = was.Input
	}
	s.config.Model = found
	var err error
	if s.model, err = found.Network(); err != nil {
		return err
	}
	if !fits(s.model, b) {
		return usagef("train.fine_tune.weights: the weights of %s are not those of %s", weights, found.Name)
	}
	s.term.Note("the network is that of the weights: %d normal cells, %d filters, input %v", s.model.NormalCells, s.model.Filters, s.model.Input)
	return nil
}

// cellOf is the cell of a run's networks, as a file in this run where that one's
// search found it.
func (s *chain) cellOf(run, configured string) (string, error) {
	if !exists(filepath.Join(run, "search.json")) {
		return configured, nil
	}
	found, err := recordedIn[search.Status](run, "search")
	if err == nil && found.Best == nil {
		err = usagef("no child of the search in %s succeeded", run)
	}
	if err != nil {
		return "", err
	}
	file := s.dir.Join("cell.yaml")
	return file, s.dir.WriteFile("cell.yaml", []byte(found.Best.Genotype))
}

// reportTraining leaves a report with the learning curves in the run.
func (s *chain) reportTraining() error {
	d, err := reportOf(s.dir.Path)
	if err != nil {
		return err
	}
	return writeReport(d, "html", s.dir.Join("report.html"))
}
