package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/bundle"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/rundir"
)

// subject is what an evaluation measures, by the flags.
type subject struct {
	checkpoint, savedModel, server string // one of them; none: the run's network
	data, classes                  string
	averages                       string // auto | yes | no
	best                           bool
	out                            string
}

func (a *app) evalCommand() *cobra.Command {
	var s subject
	c := &cobra.Command{
		Use: "eval", Short: "Measure a run, a checkpoint, a SavedModel or a running server on labelled images", Args: cobra.NoArgs,
		Long: "Measure a network on labelled images: a run's (--run), a checkpoint's, a SavedModel's or that of a running server. Images\n" +
			"are those of the configuration, or with --data all below a directory: a folder for each class, or record files. A run\n" +
			"keeps what was measured; of all else it is only printed, unless --out names a directory.",
		Example: "  nasnet eval --run runs/quickstart --json\n  nasnet eval --run runs/quickstart --compare runs/other/predictions.csv --per-class --reference\n" +
			"  nasnet eval --checkpoint weights/mobile --data imagenet-records --real real.json --reference --out eval/mobile\n" +
			"  nasnet eval --saved-model runs/flowers/export/1 --data more-flowers\n" +
			"  nasnet eval --server http://127.0.0.1:8501/v1/models/nasnet --config cifar10-small",
	}
	f := c.Flags()
	f.StringVar(&s.checkpoint, "checkpoint", "", "a checkpoint instead of a run: its directory or prefix, or a directory of weights")
	f.StringVar(&s.savedModel, "saved-model", "", "a SavedModel version's directory; it prepares images itself")
	f.StringVar(&s.server, "server", "", "a running server: http://HOST:PORT/v1/models/NAME")
	f.StringVar(&s.data, "data", "", "measure on all images of this directory (data.dir)")
	f.StringVar(&s.classes, "classes", "", "text file of the network's class names, one a line, where the folders of --data are only some of them")
	f.StringVar(&s.averages, "averages", "auto", "take the moving averages of the weights: auto (if there are any) | yes | no")
	f.StringVar(&s.out, "out", "", "directory for predictions, figures and pictures (default: the run's)")
	a.shortForm(c, "model", "model.name", "built-in model or model file of the checkpoint (model.name)")
	a.shortForm(c, "crops", "eval.crops", "views of an image whose probabilities are averaged: 1, 5 or 10 (eval.crops)")
	best, scores := bestFlag(c), scoringFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		s.best = *best
		if err := errors.Join(s.check(a), scores.prepare()); err != nil {
			return err
		}
		return a.evaluate(c, s, scores)
	}
	return c
}

// check refuses flags that do not go together.
func (s subject) check(a *app) error {
	given := 0
	for _, v := range []string{s.checkpoint, s.savedModel, s.server} {
		if v != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return usagef("eval: give one of --checkpoint, --saved-model and --server")
	case given == 1 && a.run != "":
		return usagef("eval: --run is a network of its own; --out says where the figures go")
	case given == 1 && s.best:
		return usagef("eval: --best chooses among a run's checkpoints; give --run")
	case !slices.Contains([]string{"auto", "yes", "no"}, s.averages):
		return usagef("eval: --averages is %q; want auto, yes or no", s.averages)
	case s.averages != "auto" && (s.savedModel != "" || s.server != ""):
		return usagef("eval: --averages chooses the weights of a checkpoint; an exported network has only one kind")
	case s.classes != "" && s.data == "":
		return usagef("eval: --classes names the classes of the folders of --data")
	}
	return nil
}

// evaluate measures a subject and tells what came of it.
func (a *app) evaluate(c *cobra.Command, s subject, scores *scoring) (err error) {
	e, err := a.openEvaluation(c, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	p, top1, err := e.predict(c.Context(), s)
	if err != nil {
		return err
	}
	doc, err := e.scoreTest(e.into, scores, p, top1)
	if err != nil {
		return err
	}
	if scores.reference && e.known(s) && presetOf(e.model) == "" {
		e.term.Note("the network is none of the published ones: %d normal cells, %d filters", e.model.NormalCells, e.model.Filters)
	}
	dir := ""
	if e.keep {
		dir = e.into.Path
	}
	return a.evaluation(doc, scores.perClass, dir)
}

// evaluating is a chain that measures one network.
type evaluating struct {
	*chain
	checkpoint string      // prefix or directory; "" for an exported network
	into       *rundir.Dir // what is measured goes here
	keep       bool        // and stays
	temporary  string      // directory of what does not stay
}

func (e evaluating) close() error {
	var errs []error
	if e.into != nil {
		errs = append(errs, e.into.Close())
	}
	if e.chain != nil && e.dir != e.into {
		errs = append(errs, e.dir.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(e.temporary))...)
}

// openEvaluation finds data, model and engine, and where the figures go: to
// --out, or into the run if its own images are measured.
func (a *app) openEvaluation(c *cobra.Command, s subject) (e evaluating, err error) {
	if e.temporary, err = os.MkdirTemp("", "nasnet-eval-"); err != nil {
		return e, fmt.Errorf("evaluate: %w", err)
	}
	switch {
	case s.out != "":
		e.keep = true
		e.into, err = rundir.Open(s.out)
	case !s.ofRun() || s.data != "":
		e.into, err = rundir.Open(e.temporary)
	}
	switch {
	case err != nil:
	case s.ofRun():
		e.chain, e.checkpoint, err = a.trainedOn(c, s)
	default:
		e.chain, e.checkpoint, err = a.untrained(c.Context(), s, e.into)
	}
	if err == nil && e.into == nil {
		e.keep, e.into = true, e.dir
	} else if err == nil && e.keep {
		err = e.keepCall()
	}
	if err != nil {
		return e, errors.Join(err, e.close())
	}
	return e, nil
}

// ofRun tells that a run's network is meant.
func (s subject) ofRun() bool { return s.checkpoint == "" && s.savedModel == "" && s.server == "" }

// trainedOn is trained, on other images where the flags say so.
func (a *app) trainedOn(c *cobra.Command, s subject) (*chain, string, error) {
	if s.data != "" && a.run == "" {
		return nil, "", usagef("give --run DIR, the run whose network is meant, or --checkpoint, --saved-model or --server")
	}
	if err := a.measureOn(s); err != nil {
		return nil, "", err
	}
	return a.trained(c, s.best)
}

// untrained is a chain without a run, of a checkpoint or an exported network.
func (a *app) untrained(ctx context.Context, s subject, into *rundir.Dir) (c *chain, checkpoint string, err error) {
	if s.checkpoint != "" {
		if checkpoint, err = checkpointPrefix(s.checkpoint); err != nil {
			return nil, "", err
		}
	}
	if err := errors.Join(a.configure(s), a.measureOn(s)); err != nil {
		return nil, "", err
	}
	config, err := a.load()
	if err != nil {
		return nil, "", err
	}
	c = &chain{app: a, config: config, dir: into}
	if err := c.open(ctx); err != nil {
		return nil, "", err
	}
	if c.model, err = c.config.Model.Network(); err != nil || checkpoint == "" {
		return c, checkpoint, err
	}
	if run, ok := runOf(s.checkpoint); ok { // whose cell may have been found by its search
		c.model, err = c.foundCell(run)
	}
	return c, checkpoint, err
}

// keepCall writes configuration and command into the directory of an evaluation,
// for its report.
func (e evaluating) keepCall() error {
	text, err := e.config.Marshal()
	if err == nil {
		err = e.into.WriteFile(rundir.ConfigFile, text)
	}
	if err != nil {
		return err
	}
	of := *e.chain
	of.dir = e.into
	return of.begin()
}

// configure chooses the configuration where none is given: that of the run
// that a checkpoint or SavedModel lies in, or the preset of a model's style.
func (a *app) configure(s subject) error {
	if a.config != "" {
		return nil
	}
	for _, path := range []string{s.checkpoint, s.savedModel} {
		if run, ok := runOf(path); ok {
			a.config = filepath.Join(run, rundir.ConfigFile)
			return nil
		}
	}
	name := a.stated("model.name")
	for _, dir := range []string{s.checkpoint, filepath.Dir(s.checkpoint)} { // of weights import and fetch
		if file := filepath.Join(dir, "model.yaml"); s.checkpoint != "" && name == "" && exists(file) {
			name = file
			a.short = append(a.short, "model.name="+file)
		}
	}
	switch {
	case name != "":
		m, err := configs.Model{Name: name}.Network()
		if err != nil {
			return usagef("%v", err)
		}
		if m.Style == model.ImageNetStyle {
			a.config = "imagenet-mobile" // its data and preparation; the model's name is stated
		}
		return nil
	case s.checkpoint != "":
		return usagef("eval: which network has the weights of %s? Give --model or --config", s.checkpoint)
	case s.data == "":
		return usagef("eval: on which images? Give --data or --config")
	}
	return nil
}

// stated is the value that flags give a key; "": none.
func (a *app) stated(key string) string {
	for _, setting := range slices.Backward(slices.Concat(a.set, a.short)) {
		if v, ok := strings.CutPrefix(setting, key+"="); ok {
			return v
		}
	}
	return ""
}

// runOf finds the run that a checkpoint or SavedModel lies in: RUN/export/1,
// RUN/checkpoints/STEP, or a prefix in the latter.
func runOf(path string) (string, bool) {
	if path == "" {
		return "", false
	}
	path = filepath.Clean(path)
	for range 3 {
		if path = filepath.Dir(path); exists(filepath.Join(path, rundir.ConfigFile)) {
			return path, true
		}
	}
	return "", false
}

// measureOn has the images measured that --data names: all of a folder, unless it
// is divided itself.
func (a *app) measureOn(s subject) (err error) {
	if s.data == "" {
		return nil
	}
	a.short = append(a.short, "data.set=folder", "data.dir="+s.data)
	a.by.Holdout = 1
	switch {
	case s.classes != "":
		a.by.Classes, err = classList(s.classes)
	case s.savedModel != "":
		a.by.Classes, err = knownFolders(filepath.Join(s.savedModel, "assets", "classes.txt"), s.data)
	}
	return err
}

func classList(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("classes: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n"), nil
}

// knownFolders returns the class names of a file if all folders of dir are among
// them; nil where there is no such file, or folders have other names.
func knownFolders(file, dir string) ([]string, error) {
	if !exists(file) {
		return nil, nil
	}
	names, err := classList(file)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, usagef("eval: %v", err)
	}
	for _, entry := range entries {
		if entry.IsDir() && !slices.Contains(names, entry.Name()) {
			return nil, nil
		}
	}
	return names, nil
}

// evalSource says what was measured, and on what.
type evalSource struct {
	Kind     string `json:"kind"` // run | checkpoint | saved_model | server
	Path     string `json:"path"`
	Data     string `json:"data"`
	Averages bool   `json:"averages"` // moving averages in place of weights
	Crops    int    `json:"crops"`
}

func (s evalSource) String() string {
	weights := ""
	if s.Averages {
		weights = ", moving averages of the weights"
	}
	if s.Crops > 1 {
		weights += fmt.Sprintf(", %d views an image", s.Crops)
	}
	return fmt.Sprintf("%s %s on %s%s", strings.ReplaceAll(s.Kind, "_", " "), s.Path, s.Data, weights)
}

// predict computes the logits of all test images. top1 is what the engine counted
// of them; -1: nothing.
func (e evaluating) predict(ctx context.Context, s subject) (p predicted, top1 float64, err error) {
	p = predicted{logits: filepath.Join(e.temporary, predictionsFile), set: e.set.published(e.config)}
	if s.out != "" {
		p.logits = e.into.Join(predictionsFile)
	}
	p.Source = evalSource{Kind: "run", Data: e.set.named(e.config), Crops: e.config.Eval.Crops}
	if e.known(s) {
		p.preset = e.named()
	}
	r := api.EvalRequest{Model: &e.model, Checkpoint: e.checkpoint, SavedModel: s.savedModel, Split: api.TestSplit, Predictions: p.logits}
	switch {
	case s.server != "":
		p.Source.Kind, p.Source.Path = "server", s.server
		p.perSecond, err = e.askServer(ctx, s.server, p.logits)
		return p, -1, err
	case s.savedModel != "":
		p.Source.Kind, p.Source.Path = "saved_model", s.savedModel
		if !e.known(s) {
			r.Model = nil
		}
	default:
		if p.Source.Path = e.dir.Path; s.checkpoint != "" {
			p.Source.Kind, p.Source.Path = "checkpoint", s.checkpoint
		}
		if r.Averages, err = e.average(s.averages); err != nil {
			return p, -1, err
		}
		p.Source.Averages = r.Averages
	}
	out, err := e.measure(ctx, r)
	p.perSecond = out.ImagesPerSecond
	return p, out.Top1, err
}

// known tells whether the configuration's model is that of the network: an
// exported one may be any, unless it was named.
func (e evaluating) known(s subject) bool {
	if s.ofRun() || s.checkpoint != "" {
		return true
	}
	return e.stated("model.name") != "" || e.app.config != ""
}

// average decides whether moving averages take the place of the weights.
func (e evaluating) average(wish string) (bool, error) {
	prefix, err := checkpointPrefix(e.checkpoint)
	if err != nil {
		return false, err
	}
	b, err := bundle.Open(prefix)
	if err != nil {
		return false, fmt.Errorf("evaluate: %w", err)
	}
	has := slices.ContainsFunc(b.Entries(), func(x bundle.Entry) bool { return strings.HasSuffix(x.Name, "/ExponentialMovingAverage") })
	if wish == "yes" && !has {
		return false, usagef("eval: %s has no moving averages (train.ema.decay); --averages no takes the weights", prefix)
	}
	return has && wish != "no", nil
}

// published names the data set under which figures were published.
func (s dataset) published(c configs.Config) string {
	switch {
	case s.records != nil && exists(filepath.Join(c.Data.Dir, indlFile)):
		return "indl"
	case s.records != nil && (len(s.Classes) == imageNetClasses || len(s.Classes) == backgroundClasses):
		return "imagenet"
	}
	return c.Data.Set
}

// indlFile marks a folder that `nasnet data indl` drew.
const indlFile = "indl.json"

// imageNetClasses are ImageNet's.
const imageNetClasses = 1000

// named is the data set as people name it.
func (s dataset) named(c configs.Config) string {
	if s.records != nil && c.Data.Dir != "" {
		return c.Data.Dir
	}
	return c.Data.Set
}

// named is the built-in model that the network is, or is made of.
func (c *chain) named() string {
	if name := presetOf(c.model); name != "" || !slices.Contains(model.Presets(), c.config.Model.Name) {
		return name
	}
	return c.config.Model.Name
}

// presetOf is the name of the built-in model that a network is, "" for none.
func presetOf(n model.Model) string {
	for _, name := range model.Presets() {
		m, err := model.Preset(name)
		if err == nil && m.Style == n.Style && m.NormalCells == n.NormalCells && m.Filters == n.Filters && m.Cell.String() == n.Cell.String() {
			return name
		}
	}
	return ""
}
