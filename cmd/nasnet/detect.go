package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells/detector"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/rundir"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

func (a *app) detectCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "detect", Short: "Detection: train, eval, predict, export, score, bench",
		Long: "Train a Faster-RCNN on the features of a network of cells, measure it by COCO's metrics, find objects in images,\n" +
			"and export it. docs/detection.md tells it from the data to the server.",
	}
	c.AddCommand(a.detectTrainCommand(), a.detectEvalCommand(), a.detectPredictCommand(), a.detectExportCommand(), a.detectScoreCommand(), a.detectBenchCommand())
	return c
}

// detection is a run of a detector.
type detection struct {
	*chain
	detector detector.Detector
	set      api.DetectionSet
	names    []string // of the classes by label, from 1; empty where the set does not tell
}

// loadDetection reads the configuration, which must be a detector's.
func (a *app) loadDetection() (configs.Config, error) {
	c, err := configs.Load(configs.Source{Config: a.config, Set: slices.Concat(a.set, a.short), Env: os.Environ()})
	if err == nil && c.Data.Set != detectionSet {
		err = usagef("data.set is %q; want %s: --config detect-small, coco-faster-rcnn-large, coco-faster-rcnn-mobile, or a file based on one", c.Data.Set, detectionSet)
	}
	return c, err
}

// detection opens a run with its configuration and its data. Where the data is not
// needed, a set that is not there only leaves the classes without names.
func (a *app) detection(c *cobra.Command, dataNeeded bool) (*detection, error) {
	config, err := a.loadDetection()
	if err != nil {
		return nil, err
	}
	d := &detection{}
	if d.detector, err = config.Detector(); err != nil {
		return nil, err
	}
	if _, err := detector.Build(d.detector); err != nil {
		return nil, usagef("%v", err)
	}
	if err := d.findSet(config.Data); err != nil {
		if dataNeeded {
			return nil, err
		}
		a.term.Note("the classes have no names: their set is not there (data.dir: %s)", config.Data.Dir)
	}
	launcher, err := a.launcher(c.Context(), config.Engine)
	if err != nil {
		return nil, err
	}
	dir, err := rundir.Open(a.directory())
	if err != nil {
		return nil, err
	}
	d.chain = &chain{app: a, config: config, dir: dir, launcher: launcher}
	return d, nil
}

// findSet looks up the record files, and what the labels mean.
func (d *detection) findSet(c configs.Data) error {
	if c.Dir == "" {
		return usagef("give --data DIR, record files of `nasnet data coco` or `nasnet data shapes` (data.dir)")
	}
	m, err := sets.LoadManifest(c.Dir)
	if errors.Is(err, sets.ErrUnfinished) {
		return usagef("data.dir: %s holds no finished set (manifest.json); `nasnet data coco` and `nasnet data shapes` write one", c.Dir)
	}
	if err != nil {
		return err
	}
	if len(m.Categories) == 0 {
		return usagef("%s holds a set of kind %s, whose images have no boxes; see `nasnet data coco`", c.Dir, m.Kind)
	}
	d.set = api.DetectionSet{Flip: c.Augment.Flip, Categories: map[int]int64{}}
	if s, ok := m.Split(sets.Train); ok {
		d.set.Train = s.Paths(c.Dir)
	}
	if s, ok := m.Split(sets.Validation); ok {
		d.set.Validation = s.Paths(c.Dir)
	}
	if drawn := filepath.Join(c.Dir, "annotations", sets.Validation+".json"); exists(drawn) { // nasnet data shapes
		d.set.Annotations = drawn
	}
	classes := d.detector.Options.Classes
	d.names = make([]string, classes)
	for _, k := range m.Categories {
		if k.Label > int64(classes) {
			return usagef("%s has the label %d (%s), but detect.classes is %d", c.Dir, k.Label, k.Name, classes)
		}
		d.set.Categories[int(k.Label)] = k.ID
		d.names[k.Label-1] = k.Name
	}
	for i, name := range d.names {
		if name == "" {
			d.names[i] = fmt.Sprintf("class %d", i+1)
		}
	}
	return nil
}

// dataFlags are those of the commands that read record files.
func (a *app) dataFlags(c *cobra.Command, annotations *string) {
	a.shortForm(c, "data", "data.dir", "record files of a detection set (data.dir)")
	c.Flags().StringVar(annotations, "annotations", "", "annotations of its validation images; not needed for a set of nasnet data shapes")
}

// weightsChoice choose whose weights a command takes.
type weightsChoice struct {
	best     *bool
	weights  string
	dataless bool // the command needs no record files
}

func (a *app) weightsChoice(c *cobra.Command) *weightsChoice {
	w := &weightsChoice{best: bestFlag(c)}
	c.Flags().StringVar(&w.weights, "weights", "", "a checkpoint, its directory or prefix, instead of the run's; with --config or --run")
	return w
}

// trainedDetection opens a run and finds its checkpoint.
func (a *app) trainedDetection(c *cobra.Command, w *weightsChoice) (*detection, string, error) {
	if a.run == "" && (w.weights == "" || a.config == "") {
		return nil, "", usagef("give --run DIR, the run whose detector is meant, or --config and --weights")
	}
	if err := checkpointThere("--weights", w.weights); err != nil {
		return nil, "", err
	}
	if a.config == "" {
		a.config = filepath.Join(a.directory(), rundir.ConfigFile)
	}
	d, err := a.detection(c, !w.dataless)
	if err != nil || w.weights != "" {
		return d, w.weights, err
	}
	t, err := recorded[api.DetectTrainResult](d.dir, trainStage)
	switch {
	case err != nil:
	case *w.best && t.Best == "":
		err = usagef("%s was not evaluated while it trained (train.evaluation.every_epochs), so no checkpoint is its best", d.dir.Path)
	case *w.best:
		return d, d.dir.Checkpoint(t.Best), nil
	default:
		return d, d.dir.Checkpoint(t.Checkpoint), nil
	}
	d.dir.Close()
	return nil, "", err
}

// trainStage names the training's record in the run.
const trainStage = "train"

// source is the run's detector with a checkpoint's weights.
func (d *detection) source(checkpoint string) api.DetectorSource {
	return api.DetectorSource{Detector: &d.detector, Checkpoint: checkpoint, Averages: d.config.Train.EMA.Decay > 0, Threads: threads(d.config.Engine)}
}
