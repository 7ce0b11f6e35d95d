package main

import (
	"fmt"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// examples are labelled images to train or to measure on.
type examples interface {
	Len() int64
	// training feeds them for ever, each epoch in another order, augmented.
	training(s *tfgraph.Scope, batch, seed int64) train.Source
	// ordered hands them out once, as stored, prepared for evaluation: [B,H,W,C],
	// or [B,K,H,W,C] of K crops; the last batch may be smaller.
	ordered(s *tfgraph.Scope, batch int64) train.Source
	// encoded are the first n as image files.
	encoded(n int) ([][]byte, error)
	// files are those of the numbers from to to-1 as image files, with their classes.
	files(from, to int64) ([][]byte, []int64, error)
	// fits refuses images that cannot become the network's input.
	fits(plan *model.Plan) error
}

// memoryExamples are pictures of one size, such as CIFAR-10's.
type memoryExamples struct {
	data.Images
	d api.Data
}

func (e memoryExamples) training(s *tfgraph.Scope, batch, seed int64) train.Source {
	m := data.NewMemory(s, "train_input", e.Images, data.MemoryOptions{
		Batch: batch, Shuffle: true, Repeat: true, Seed: seed, Standardize: data.Standardize(e.d.Standardize),
		Augment: data.Augment{CropPad: e.d.CropPad, Flip: e.d.Flip, Cutout: e.d.Cutout}, Threads: 1,
	})
	return train.Source{Images: m.Images, Labels: m.Labels, Start: m.Start}
}

func (e memoryExamples) ordered(s *tfgraph.Scope, batch int64) train.Source {
	m := data.NewMemory(s, "eval_input", e.Images, data.MemoryOptions{Batch: batch, Standardize: data.Standardize(e.d.Standardize), Threads: 1})
	return train.Source{Images: m.Images, Labels: m.Labels, Start: m.Start}
}

func (e memoryExamples) encoded(n int) ([][]byte, error) { return pictures(e.Images, n) }

func (e memoryExamples) files(from, to int64) ([][]byte, []int64, error) {
	part, size := e.Images, e.Size[0]*e.Size[1]*e.Size[2]
	part.Pixels = part.Pixels[from*size : to*size]
	list, err := pictures(part, int(to-from))
	return list, e.Labels[from:to], err
}

func (e memoryExamples) fits(plan *model.Plan) error {
	in := plan.Model.Input
	if want := [3]int64{int64(in[0]), int64(in[1]), int64(in[2])}; e.Size != want {
		return fmt.Errorf("the model's input is %v, the images are %v; set model.input to the images' size", want, e.Size)
	}
	return classesFit(plan, e.Labels)
}

func classesFit(plan *model.Plan, labels []int64) error {
	for _, label := range labels {
		if label >= int64(plan.Model.Classes) {
			return fmt.Errorf("the model has %d classes, an image is of class %d; set model.classes", plan.Model.Classes, label)
		}
	}
	return nil
}

// recordExamples are encoded images of any size in record files.
type recordExamples struct {
	*data.RecordSet
	d    api.Data
	prep data.Preparation // for evaluation
}

func (e recordExamples) training(s *tfgraph.Scope, batch, seed int64) train.Source {
	in := data.NewRecordInput(s, "train_input", e.RecordSet, data.RecordOptions{
		Batch: batch, Shuffle: true, Repeat: true, Seed: seed, Train: &data.Distortion{
			Height: e.prep.Height, Width: e.prep.Width, CropArea: e.d.CropArea, Flip: e.d.Flip, Colour: e.d.Colour, Cutout: e.d.Cutout, Standardize: e.prep.Standardize,
			RandAugment: data.RandAugment{Layers: e.d.RandAugment.Layers, Magnitude: e.d.RandAugment.Magnitude},
		},
	})
	return train.Source{Images: in.Images, Labels: in.Labels, Start: in.Start}
}

func (e recordExamples) ordered(s *tfgraph.Scope, batch int64) train.Source {
	in := data.NewRecordInput(s, "eval_input", e.RecordSet, data.RecordOptions{Batch: batch, Eval: e.prep})
	return train.Source{Images: in.Images, Labels: in.Labels, Start: in.Start}
}

func (e recordExamples) encoded(n int) ([][]byte, error) {
	var list [][]byte
	err := e.First(n, func(record []byte) error {
		x, err := sets.ParseExample(record)
		list = append(list, x.Encoded)
		return err
	})
	return list, err
}

func (e recordExamples) files(from, to int64) (list [][]byte, classes []int64, err error) {
	ids := make([]int, to-from)
	for i := range ids {
		ids[i] = int(from) + i
	}
	err = e.Subset(ids).First(len(ids), func(record []byte) error {
		x, err := sets.ParseExample(record)
		list, classes = append(list, x.Encoded), append(classes, x.Label-e.LabelOffset)
		return err
	})
	return list, classes, err
}

func (e recordExamples) fits(plan *model.Plan) error {
	if plan.Model.Input[2] != 3 {
		return fmt.Errorf("the model's input has %d channels, images of record files have 3", plan.Model.Input[2])
	}
	if n := int64(plan.Model.Classes); n != e.Classes {
		return fmt.Errorf("the model has %d classes, the images %d; set model.classes", n, e.Classes)
	}
	return nil
}

// collection is one part of a data set, of which images are picked: all if ids is
// nil.
type collection interface {
	Len() int64
	pick(ids []int) (examples, error)
}

// cifarFiles are CIFAR-10's binary files.
type cifarFiles struct {
	files []string
	d     api.Data
}

func (c cifarFiles) Len() int64 { return int64(len(c.files)) * data.CIFARFile }

func (c cifarFiles) pick(ids []int) (examples, error) {
	im, err := data.LoadCIFAR(c.files, ids)
	return memoryExamples{im.Shrink(c.d.Shrink), c.d}, err
}

func (e recordExamples) pick(ids []int) (examples, error) {
	if ids != nil {
		e.RecordSet = e.Subset(ids)
	}
	return e, nil
}

// openCollection finds the images of a request: those of one part, for a network.
func openCollection(d api.Data, m model.Model, part string) (collection, error) {
	if d.Records == nil {
		return cifarFiles{map[bool][]string{true: d.Test, false: d.Train}[part == api.TestSplit], d}, nil
	}
	if d.Shrink > 1 {
		return nil, usage(fmt.Errorf("images of record files are resized to the network's input, not shrunk by %d; set search.child.shrink to 1", d.Shrink))
	}
	set, err := openRecords(*d.Records, part)
	if err != nil {
		return nil, err
	}
	prep := preparation(m, d.Standardize, d.Eval)
	prep.Crops = d.Eval.Crops
	return recordExamples{set, d, prep}, nil
}

func openRecords(r api.Records, part string) (*data.RecordSet, error) {
	files := r.Train
	if part == api.TestSplit {
		files = r.Validation
	}
	if len(files) == 0 {
		return nil, usage(fmt.Errorf("the data set has no record files to %s on", map[bool]string{true: "measure", false: "train"}[part == api.TestSplit]))
	}
	return data.OpenRecords(data.Records{
		Files: files, LabelOffset: r.LabelOffset, Classes: r.Classes, JPEG: r.JPEG, ImageKey: r.ImageKey, LabelKey: r.LabelKey, Exclude: r.Exclude,
	})
}

// trainingImages are the images to train on and those held out.
func trainingImages(d api.Data, m model.Model) (images, heldOut examples, err error) {
	all, err := openCollection(d, m, api.TrainSplit)
	if err != nil {
		return nil, nil, err
	}
	total, n := int(all.Len()), d.Images
	if n == 0 {
		n = total - d.HeldOut
	}
	ids, held, err := data.Split(total, n, d.HeldOut, d.Seed)
	if err != nil {
		return nil, nil, usage(err)
	}
	if images, err = all.pick(ids); err == nil {
		heldOut, err = all.pick(held)
	}
	return images, heldOut, err
}

// testImages are the first n test images; all if n is 0.
func testImages(d api.Data, m model.Model, n int) (examples, error) {
	all, err := openCollection(d, m, api.TestSplit)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return all.pick(nil)
	}
	if int64(n) > all.Len() {
		return nil, usage(fmt.Errorf("%d test images asked for, %d are there", n, all.Len()))
	}
	return all.pick(firsts(n))
}

// splitImages are the test images, or those held out of training.
func splitImages(d api.Data, m model.Model, split string) (examples, error) {
	switch split {
	case api.TestSplit, "":
		return testImages(d, m, 0)
	case "validation":
		_, held, err := trainingImages(d, m)
		return held, err
	}
	return nil, usage(fmt.Errorf("unknown split %q; want test or validation", split))
}
