package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// conversionFlags are those that all converters share.
func (a *app) conversionFlags(c *cobra.Command) *sets.Conversion {
	o := &sets.Conversion{}
	f := c.Flags()
	f.StringVar(&o.Out, "out", "", "directory for the record files")
	f.IntVar(&o.TrainShards, "train-shards", 0, "files of the training split; 0: the usual number")
	f.IntVar(&o.ValidationShards, "validation-shards", 0, "files of the validation split; 0: the usual number")
	f.IntVar(&o.SkipLimit, "skip", 0, "bad images that may be left out, each listed; 0: the first one ends the conversion")
	f.IntVar(&o.Workers, "workers", 0, "files written at once; 0: one a core")
	f.Int64Var(&o.MaxPixels, "max-pixels", 0, "that an image may declare; 0: 50 million")
	return o
}

func (a *app) dataImageNetCommand() *cobra.Command {
	var from sets.ImageNet
	c := &cobra.Command{
		Use: "imagenet --train DIR|TAR --val DIR|TAR --out DIR", Short: "Convert ILSVRC-2012 to record files", Args: cobra.NoArgs,
		Long: "Convert ILSVRC-2012 to the record files of Inception's converter: labels 1 to 1000 by alphabetical synset. Archives\n" +
			"are read without being unpacked. An interrupted conversion is resumed by the same call.",
		Example: "  nasnet data imagenet --train ILSVRC2012_img_train.tar --val ILSVRC2012_img_val.tar --val-labels synsets.txt --out imagenet",
	}
	f := c.Flags()
	f.StringVar(&from.Train, "train", "", "directory or tar with a folder, or an inner tar, for each synset")
	f.StringVar(&from.Validation, "val", "", "the same, or all images flat with --val-labels")
	f.StringVar(&from.ValidationLabels, "val-labels", "", "synsets of the flat images in the order of their names, or lines FILE,SYNSET")
	f.StringVar(&from.Classes, "classes", "", "CSV with columns wnid and name: fixes the classes; default the folders of --train")
	o := a.conversionFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.convertSet(o, func() (sets.Manifest, error) { return sets.ConvertImageNet(c.Context(), from, *o) })
	}
	return c
}

func (a *app) dataFolderCommand() *cobra.Command {
	var from sets.Folder
	c := &cobra.Command{
		Use: "folder DIR --out DIR", Short: "Convert your own images to record files", Args: cobra.ExactArgs(1),
		Long: "Convert a folder of images to record files: a folder for each class, or a CSV that names them. Where DIR has the folders\n" +
			"train and validation (or val, or test), these are the splits; else a tenth of the images is held out, by their names.",
		Example: "  nasnet data folder flowers --out flowers-records\n  nasnet data folder photos --labels photos.csv --out photos-records",
	}
	c.Flags().StringVar(&from.Labels, "labels", "", "CSV with columns file, label and, if wanted, split")
	c.Flags().Float64Var(&from.Holdout, "holdout", 0, "share held out where nothing else says so; 0: 0.1, below 0: none")
	o := a.conversionFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		from.Dir = args[0]
		return a.convertSet(o, func() (sets.Manifest, error) { return sets.ConvertFolder(c.Context(), from, *o) })
	}
	return c
}

// convertSet runs a conversion and tells what came of it.
func (a *app) convertSet(o *sets.Conversion, run func() (sets.Manifest, error)) error {
	if o.Out == "" {
		return usagef("give --out DIR, the directory for the record files")
	}
	o.Log, o.Progress = a.log(), a.stages()
	m, err := run()
	if err != nil {
		return err
	}
	if a.json {
		return a.document(m)
	}
	for _, s := range m.Splits {
		a.say("%s: %d images of %d classes in %d files%s", s.Name, s.Examples, len(m.Classes), len(s.Shards), objects(m, s))
	}
	if len(m.Reencoded) > 0 {
		a.say("%d images were not what their name says or had colours that networks do not take, and were encoded anew:", len(m.Reencoded))
	}
	for _, r := range m.Reencoded {
		a.say("  %s (%s)", r.File, r.Was)
	}
	for _, b := range m.Bad {
		a.say("left out: %s: %s", b.File, b.Reason)
	}
	if len(m.Faults) > 0 {
		a.say("left out in all: %s", m.Faults)
	}
	if m.PassedOver > 0 {
		a.say("%d files are no images and were passed over", m.PassedOver)
	}
	return nil
}

// errFaulty says that a data set is not what it should be.
var errFaulty = errors.New("the data set has faults")

// verified is the document of data verify.
type verified struct {
	sets.Report
	Faults []string `json:"faults"` // broken records: file, record, byte, what
}

func (a *app) dataVerifyCommand() *cobra.Command {
	o := sets.VerifyOptions{SkipLimit: 100}
	c := &cobra.Command{
		Use: "verify DIR", Short: "Read every record of a data set and tell what is wrong with it", Args: cobra.ExactArgs(1),
		Long: "Read every record of a directory of record files, whoever wrote it: checksums, keys, labels, images whole and of a sane\n" +
			"size. Where a converter of nasnet wrote it, hashes and counts must be those of its manifest.",
		Example: "  nasnet data verify imagenet --decode",
	}
	f := c.Flags()
	f.BoolVar(&o.Decode, "decode", false, "decode every image, instead of looking at its structure: about 10 ms an image and core")
	f.IntVar(&o.SkipLimit, "faults", o.SkipLimit, "faults after which it ends; 0: the first")
	f.IntVar(&o.Classes, "classes", 0, "how many there may be, where no manifest says it")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.Progress = a.stages()
		r, err := sets.Verify(c.Context(), args[0], o)
		doc := verified{Report: r, Faults: []string{}}
		for _, fault := range r.Faults {
			doc.Faults = append(doc.Faults, fault.Error())
		}
		if a.json {
			err = errors.Join(err, a.document(doc))
		} else {
			a.sayVerified(doc)
		}
		if err == nil && !r.OK() {
			err = fmt.Errorf("%w: %d broken records, %d other problems", errFaulty, len(r.Faults), len(r.Problems))
		}
		return err
	}
	return c
}

func (a *app) sayVerified(v verified) {
	for _, s := range v.Splits {
		var formats []string
		for _, name := range slices.Sorted(maps.Keys(s.Formats)) {
			formats = append(formats, fmt.Sprintf("%d %s", s.Formats[name], name))
		}
		a.say("%s: %d images with %d labels in %d files: %s", s.Name, s.Examples, len(s.Labels), s.Files, strings.Join(formats, ", "))
		if s.Objects > 0 {
			a.say("%s: %d objects", s.Name, s.Objects)
		}
	}
	for _, text := range append(v.Faults, v.Problems...) {
		a.say("fault: %s", text)
	}
}
