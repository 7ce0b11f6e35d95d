package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/libtf"
	"github.com/nasnet-go/nasnet/internal/rundir"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// dataset is what a run learns from and is measured on.
type dataset struct {
	Classes []string
	Tests   int // images to measure on

	cifar   sets.CIFAR
	records *api.Records // instead of cifar
	dir     string       // of the record files
}

// images obtains or finds the configured data set.
func (a *app) images(ctx context.Context, c configs.Config) (dataset, error) {
	return a.imagesBy(ctx, c, sets.Folder{})
}

// imagesBy is images; by says how images in folders are divided and named.
func (a *app) imagesBy(ctx context.Context, c configs.Config, by sets.Folder) (dataset, error) {
	switch c.Data.Set {
	case "imagenet", "folder":
		return a.recordSet(ctx, c, by)
	}
	set, err := a.cifar(ctx, c.Data)
	return dataset{Classes: set.Classes, Tests: set.TestImages, cifar: set}, err
}

// suited fills in what the data set decides of the model.
func (s dataset) suited(m configs.Model) configs.Model {
	if s.records != nil && m.Classes == 0 {
		m.Classes = len(s.Classes)
	}
	return m
}

// request names the images for the engine. heldOut are set aside; n of the others
// are used, all of them if 0.
func (s dataset) request(c configs.Config, n, heldOut int) api.Data {
	g := c.Data.Augment
	d := api.Data{Images: n, HeldOut: heldOut, Seed: uint64(c.Seed), Standardize: g.Standardize, Flip: g.Flip, Cutout: int64(g.Cutout)}
	if s.records == nil {
		d.Train, d.Test, d.CropPad = s.cifar.Train, []string{s.cifar.Test}, int64(g.CropPad)
		return d
	}
	d.Records, d.Colour, d.CropArea, d.Eval = s.records, g.Colour, g.CropArea, preparation(c.Eval)
	if d.CropArea == 0 {
		d.CropArea = 1 // the whole image
	}
	d.RandAugment = api.RandAugment{Layers: g.RandAugment.Layers, Magnitude: g.RandAugment.Magnitude}
	return d
}

// preparation translates how images in files are prepared for evaluation.
func preparation(e configs.Eval) api.Preparation {
	p := api.Preparation{Crop: e.Crop, Resize: e.Resize, Crops: int64(e.Crops)}
	if p.Resize == "style" {
		p.Resize = ""
	}
	return p
}

// dataThere refuses a data set whose directory is missing, before anything starts.
func dataThere(d configs.Data) error {
	if d.Set == "folder" && d.Dir == "" {
		return usagef("data.set is folder; give data.dir, a directory with a folder of images for each class")
	}
	if _, err := os.Stat(d.Dir); d.Dir != "" && err != nil {
		return usagef("data.dir: %v", err)
	}
	return nil
}

// recordSet finds the record files of a set; images in folders become such first.
func (a *app) recordSet(ctx context.Context, c configs.Config, by sets.Folder) (s dataset, err error) {
	dir := c.Data.Dir
	if dir == "" {
		cache, err := libtf.CacheDir(os.Getenv)
		if err != nil {
			return s, err
		}
		dir = filepath.Join(cache, "datasets", "imagenet")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return s, err
	}
	files, err := sets.FindRecords(dir)
	if errors.Is(err, sets.ErrMissing) && c.Data.Set == "folder" {
		by.Dir = dir
		if dir, err = a.convertedFolder(ctx, by); err == nil {
			files, err = sets.FindRecords(dir)
		}
	}
	if errors.Is(err, sets.ErrMissing) {
		return s, usagef("data.dir: %s has no record files such as train-00000-of-01024; `nasnet data imagenet` and `nasnet data folder` write them", dir)
	}
	if err != nil {
		return s, err
	}
	if len(files.Train) == 0 && len(files.Validation) == 0 {
		return s, usagef("data.dir: %s has neither train nor validation record files", dir)
	}
	if files.Boxes {
		return s, usagef("data.dir: %s is a detection set; `nasnet detect` trains on it", dir)
	}
	s, err = a.described(ctx, c, files)
	s.dir = dir
	return s, err
}

// described tells the engine how to read the files.
func (a *app) described(ctx context.Context, c configs.Config, files sets.RecordFiles) (dataset, error) {
	offset := files.LabelOffset
	if c.Data.LabelOffset >= 0 {
		offset = int64(c.Data.LabelOffset)
	}
	classes := files.Classes
	if classes == nil { // no manifest: as many as the model has
		m, err := c.Model.Network()
		if err != nil {
			return dataset{}, err
		}
		for i := range m.Classes {
			classes = append(classes, strconv.Itoa(i))
		}
		if m.Classes == backgroundClasses && c.Data.LabelOffset < 0 { // class 0 is the background, as in slim's labels
			offset--
		}
	}
	s := dataset{Classes: classes, Tests: int(files.Examples), records: &api.Records{
		Train: files.Train, Validation: files.Validation, LabelOffset: offset, Classes: int64(len(classes)), JPEG: files.JPEG, ImageKey: files.ImageKey, LabelKey: files.LabelKey,
	}}
	if c.Data.Bad.Policy != "skip" {
		return s, nil
	}
	if err := a.leaveOut(ctx, c.Data.Bad, s.records); err != nil {
		return s, err
	}
	tests, err := s.tests()
	if err == nil {
		s.Tests = tests.Len()
	}
	return s, err
}

// backgroundClasses is how many classes slim's ImageNet networks have: one before
// ImageNet's own.
const backgroundClasses = 1001

// convertedFolder makes record files of a folder of images, in the user's cache;
// what is there already is taken.
func (a *app) convertedFolder(ctx context.Context, from sets.Folder) (string, error) {
	cache, err := libtf.CacheDir(os.Getenv)
	if err != nil {
		return "", err
	}
	key := from.Dir
	if from.Holdout != 0 || from.Classes != nil { // another set of records of the same images
		key = fmt.Sprintf("%s\x00%g\x00%q", key, from.Holdout, from.Classes)
	}
	sum := sha256.Sum256([]byte(key))
	out := filepath.Join(cache, "datasets", fmt.Sprintf("folder-%x", sum[:6]))
	m, err := sets.ConvertFolder(ctx, from, sets.Conversion{Out: out, Log: a.log(), Progress: a.stages()})
	if err != nil {
		return "", err
	}
	for _, s := range m.Splits {
		a.term.Note("%s: %d images of %d classes, record files in %s", s.Name, s.Examples, len(m.Classes), out)
	}
	return out, nil
}

// leaveOut finds broken records before anything is trained, and lists them.
func (a *app) leaveOut(ctx context.Context, b configs.Bad, r *api.Records) error {
	out, err := a.vetted(ctx, b.Limit, slices.Concat(r.Train, r.Validation), sets.VetOptions{LabelOffset: r.LabelOffset, Classes: r.Classes})
	r.Exclude = out
	return err
}

// faultsFile lists in a run what was left out of its data.
const faultsFile = "data-faults.json"

// keepFaults writes down what is left out.
func (s dataset) keepFaults(d *rundir.Dir) error {
	if s.records == nil || s.records.Exclude == nil {
		return nil
	}
	_, err := d.WriteJSON(faultsFile, s.records.Exclude)
	return err
}

// blamed adds the place to an engine's failure that came of its input.
func (s dataset) blamed(ctx context.Context, err error) error {
	if err == nil || s.records == nil || !fromInput(err) {
		return err
	}
	faults, vetErr := sets.Vet(ctx, slices.Concat(s.records.Train, s.records.Validation), sets.VetOptions{
		LabelOffset: s.records.LabelOffset, Classes: s.records.Classes, Decode: true, Limit: 0, Exclude: s.records.Exclude,
	})
	if len(faults) > 0 || vetErr != nil {
		err = fmt.Errorf("the data is broken: %w; `nasnet data verify` lists all, data.bad.policy=skip leaves them out (%w)", errors.Join(vetErr, joined(faults)), err)
	}
	return err
}

// fromInput tells whether an engine's error came through its input pipeline.
func fromInput(err error) bool { return strings.Contains(err.Error(), "IteratorGetNext") }

// network is the configured one.
func (s dataset) network(c configs.Config) (model.Model, error) { return s.suited(c.Model).Network() }
