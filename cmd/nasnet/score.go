package main

import (
	"fmt"
	"image"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/contactsheet"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/internal/plot"
	"github.com/nasnet-go/nasnet/internal/rundir"
	"github.com/nasnet-go/nasnet/internal/term"
	"github.com/nasnet-go/nasnet/pipeline/eval"
)

// Files that an evaluation writes into its run.
const (
	evaluationFile  = "evaluation.json"
	predictionsCSV  = "predictions.csv"
	confusionFile   = "confusion.png"
	reliabilityFile = "reliability.png"
	mistakesFile    = "worst-mistakes.png"
)

// maxConfusion is how many classes' confusion stands in evaluation.json; that of
// more is in predictions.csv and in the picture.
const maxConfusion = 100

// scoring says what is measured of predictions, beside what always is.
type scoring struct {
	realFile, compareFile string
	perClass, reference   bool

	real  *eval.Real
	other []eval.Prediction
}

// scoringFlags are eval's own.
func scoringFlags(c *cobra.Command) *scoring {
	s := &scoring{}
	c.Flags().StringVar(&s.realFile, "real", "", "real.json (or .gz) of ImageNet ReaL: accuracy by its labels too")
	c.Flags().StringVar(&s.compareFile, "compare", "", "predictions.csv of another evaluation on the same images: McNemar's test")
	c.Flags().BoolVar(&s.perClass, "per-class", false, "recall and precision of each class")
	c.Flags().BoolVar(&s.reference, "reference", false, "the published figures beside the measured ones")
	return s
}

// prepare reads the files that the flags name, before any work starts.
func (s *scoring) prepare() (err error) {
	if s.realFile != "" {
		if s.real, err = eval.ReadReal(s.realFile); err != nil {
			return usagef("%v", err)
		}
	}
	if s.compareFile != "" {
		if s.other, err = eval.ReadFile(s.compareFile); err != nil {
			return usagef("%v", err)
		}
	}
	return nil
}

// predicted are a network's logits on labelled images.
type predicted struct {
	logits     string   // .npy, float32 [N,classes]
	images     []string // names [N]
	labels     []int    // [N]
	classes    []string // names; may be empty
	background bool     // labels are those of slim's 1001 classes, the first of which is the background: it is left out
	picture    func(i int) (image.Image, error)
	preset     string // whose published figures these are compared with
	set        string // cifar10, imagenet, indl
	perSecond  float64
	Source     evalSource
}

// scored is the document of an evaluation.
type scored struct {
	Source evalSource `json:"source"`
	eval.Measurement
	ImagesPerSecond float64          `json:"images_per_second"`
	Comparison      *eval.Comparison `json:"comparison,omitempty"`
	References      []eval.Reference `json:"references,omitempty"`
}

// score measures predictions and writes what came of them into a run.
func (s *scoring) score(d *rundir.Dir, p predicted) (out scored, err error) {
	list, k, err := p.judge()
	if err != nil {
		return out, err
	}
	scores, err := eval.NewScores(eval.Options{Classes: k, Names: p.classes, Real: s.real})
	if err != nil {
		return out, err
	}
	file, err := eval.Create(d.Join(predictionsCSV), p.classes)
	if err != nil {
		return out, err
	}
	defer file.Discard()
	for _, prediction := range list {
		if err := scores.Add(prediction); err != nil {
			return out, err
		}
		if err := file.Write(prediction); err != nil {
			return out, err
		}
	}
	if err := file.Close(); err != nil {
		return out, err
	}
	out = scored{Source: p.Source, Measurement: scores.Measurement(), ImagesPerSecond: p.perSecond}
	if s.reference {
		if p.set == "indl" { // published of other networks, whatever this one is
			p.preset = ""
		}
		out.References = out.Against(p.preset, p.set)
	}
	if s.other != nil {
		c, err := eval.Compare(list, s.other)
		if err != nil {
			return out, fmt.Errorf("%s: %w", s.compareFile, err)
		}
		out.Comparison = &c
	}
	return out, p.keep(d, out)
}

// judge reads the logits and turns them into predictions of k classes.
func (p predicted) judge() (list []eval.Prediction, k int, err error) {
	logits, shape, err := npy.Read(p.logits)
	if err == nil && (len(shape) != 2 || shape[0] != int64(len(p.labels))) {
		err = fmt.Errorf("evaluate: %s has shape %v; want the logits of %d images", p.logits, shape, len(p.labels))
	}
	if err != nil {
		return nil, 0, err
	}
	labels, k := p.labels, int(shape[1])
	switch {
	case p.background:
		logits, labels, err = eval.WithoutBackground(logits, labels)
	case k == backgroundClasses && len(p.classes) == imageNetClasses: // of a server
		logits, labels, err = eval.WithoutBackground(logits, shifted(labels, 1))
	case len(p.classes) > 0 && k != len(p.classes):
		err = usagef("evaluate: the network tells %d classes apart, the images are of %d; with --data, --classes FILE lists the network's classes", k, len(p.classes))
	}
	if err != nil {
		return nil, 0, err
	}
	err = eval.JudgeBatch(p.images, logits, labels, func(one eval.Prediction) error {
		list = append(list, one)
		return nil
	})
	return list, len(logits) / max(1, len(labels)), err
}

func shifted(labels []int, by int) []int {
	out := make([]int, len(labels))
	for i, label := range labels {
		out[i] = label + by
	}
	return out
}

// keep writes the document and the pictures into the run.
func (p predicted) keep(d *rundir.Dir, out scored) error {
	confusion, err := plot.Confusion(out.Confusion, p.classes)
	if err != nil {
		return err
	}
	reliability, err := plot.Reliability(reliabilityBins(out.Calibration))
	if err != nil {
		return err
	}
	for name, f := range map[string]*plot.Figure{confusionFile: confusion, reliabilityFile: reliability} {
		text, err := f.PNG()
		if err == nil {
			err = d.WriteFile(name, text)
		}
		if err != nil {
			return err
		}
	}
	if err := p.keepMistakes(d, out.Worst); err != nil {
		return err
	}
	if len(out.Confusion) > maxConfusion {
		out.Confusion = nil
	}
	_, err = d.WriteJSON(evaluationFile, out)
	return err
}

func reliabilityBins(c eval.Calibration) []plot.Bin {
	var bins []plot.Bin
	for _, b := range c.Bins {
		bins = append(bins, plot.Bin{Confidence: b.Confidence, Right: b.Right, Low: b.RightCI[0], High: b.RightCI[1], Images: b.Images})
	}
	return bins
}

// keepMistakes draws the contact sheet of the worst mistakes, where the images
// are at hand.
func (p predicted) keepMistakes(d *rundir.Dir, worst []eval.Prediction) error {
	if p.picture == nil || len(worst) == 0 {
		return nil
	}
	at := map[string]int{}
	for i, name := range p.images {
		at[name] = i
	}
	var tiles []contactsheet.Tile
	for _, m := range worst {
		im, err := p.picture(at[m.Image])
		if err != nil {
			return err
		}
		tiles = append(tiles, contactsheet.Tile{Image: im, Caption: fmt.Sprintf("%s\nnot %s\n%.3f", p.name(m.Label), p.name(m.Predicted), m.Confidence)})
	}
	return contactsheet.Write(d.Join(mistakesFile), tiles, contactsheet.Layout{Columns: 10, Side: 96})
}

func (p predicted) name(class int) string {
	if class < len(p.classes) {
		return p.classes[class]
	}
	return strconv.Itoa(class)
}

// evaluation prints an evaluation: as JSON without what only its file has.
func (a *app) evaluation(doc scored, perClass bool, dir string) error {
	if !a.json {
		return doc.print(a, perClass, dir)
	}
	doc.Confusion, doc.Worst = nil, nil
	if !perClass {
		doc.Recall = nil
	}
	return a.document(doc)
}

// print shows an evaluation to people.
func (s scored) print(a *app, perClass bool, dir string) error {
	share := func(x float64, ci [2]float64) string {
		return fmt.Sprintf("%6.2f %%  (95 %% interval %.2f to %.2f)", 100*x, 100*ci[0], 100*ci[1])
	}
	a.say("%d images, %.0f a second", s.Images, s.ImagesPerSecond)
	a.say("  top-1        %s", share(s.Top1, s.Top1CI))
	a.say("  top-5        %s", share(s.Top5, s.Top5CI))
	a.say("  mean recall  %s", share(s.MeanRecall, s.MeanRecallCI))
	if s.RealScore != nil {
		a.say("  ReaL top-1   %s on %d images", share(s.RealTop1, s.RealTop1CI), s.RealImages)
	}
	a.say("  loss %.4f, calibration error %.4f", s.Loss, s.Calibration.ECE)
	for _, r := range s.References {
		measured := ""
		if !r.Missing {
			measured = fmt.Sprintf("%.2f %% (%.2f to %.2f) ", 100*r.Measured, 100*r.CI95[0], 100*r.CI95[1])
		}
		a.say("  %s %s %s%s (%s; %s)", r.Model, r.Metric, measured, r.Verdict, r.Note, r.Source)
	}
	if s.Comparison != nil {
		a.say("  beside the other: %.2f and %.2f %%: %s", 100*s.Comparison.First, 100*s.Comparison.Second, s.Comparison.Verdict)
	}
	if perClass {
		header, rows := classTable(s.Recall)
		if err := term.Table(a.stdout, header, rows); err != nil {
			return err
		}
	}
	if dir == "" {
		return nil
	}
	a.say("%s has %s, %s, %s and %s", dir, predictionsCSV, evaluationFile, confusionFile, reliabilityFile)
	return nil
}

// classTable lists what came of each class.
func classTable(classes []eval.ClassScore) (header []string, rows [][]string) {
	for _, c := range classes {
		name := c.Name
		if name == "" {
			name = strconv.Itoa(c.Class)
		}
		rows = append(rows, []string{
			name, percent(c.Recall), fmt.Sprintf("%.1f to %.1f", 100*c.RecallCI[0], 100*c.RecallCI[1]), percent(c.Precision), strconv.FormatInt(c.Images, 10),
		})
	}
	return []string{"class", "recall %", "95 %", "precision %", "images"}, rows
}

func percent(share float64) string { return strconv.FormatFloat(math.Round(1e4*share)/100, 'f', 2, 64) }
