package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/coco/curves"
	"github.com/nasnet-go/nasnet/internal/term"
)

// scoreFlags say what detect score judges and how.
type scoreFlags struct {
	annotations, results, plot string
	perClass, classAgnostic    bool
	policy                     coco.Policy
}

// check refuses a plot of an unknown kind before anything is computed.
func (f scoreFlags) check() error {
	if f.plot == "" {
		return nil
	}
	if _, err := curves.Format(f.plot); err != nil {
		return usagef("--plot: %v", err)
	}
	if dir := filepath.Dir(f.plot); !exists(dir) {
		return usagef("--plot: there is no directory %s", dir)
	}
	return nil
}

// detectionScore is the document of detect score.
type detectionScore struct {
	Metrics    coco.Summary    `json:"metrics"`
	PerIoU     []float64       `json:"per_iou_AP"`
	Categories []categoryScore `json:"per_category,omitempty"`
	Counts     scoreCounts     `json:"counts"`
	Remarks    remarks         `json:"remarks"` // odd boxes that were judged as they are
	LeftOut    remarks         `json:"left_out"`
}

// categoryScore is the metrics of one category.
type categoryScore struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	coco.Summary
}

type scoreCounts struct {
	Images     int   `json:"images"`
	Objects    int   `json:"objects"`
	Crowd      int   `json:"crowd"`
	Categories int   `json:"categories"`
	Detections int64 `json:"detections"`
	Unjudged   int64 `json:"unjudged"` // detections of categories that the annotations do not have
}

// remarks are counts by kind, of both files.
type remarks struct {
	Annotations coco.Counts `json:"annotations"`
	Results     coco.Counts `json:"results"`
}

// remarksOf has no nil: scripts look kinds up in it.
func remarksOf(annotations, results coco.Counts) remarks {
	r := remarks{coco.Counts{}, coco.Counts{}}
	maps.Copy(r.Annotations, annotations)
	maps.Copy(r.Results, results)
	return r
}

func (a *app) detectScoreCommand() *cobra.Command {
	var f scoreFlags
	c := &cobra.Command{
		Use: "score --annotations JSON --results JSON", Short: "COCO's box metrics of a result file", Args: cobra.NoArgs,
		Long: "Judge a result file, a list of {image_id, category_id, bbox [x, y, width, height], score}, by an annotation file of\n" +
			"COCO's format: COCO's twelve numbers, as pycocotools computes them. -1 means that there is no object to judge by.\n" +
			"A faulty entry ends it, unless --skip lets it be left out and counted.",
		Example: "  nasnet detect score --annotations instances_val2017.json --results detections.json --per-class --plot pr.png",
	}
	flags := c.Flags()
	flags.StringVar(&f.annotations, "annotations", "", "annotation file")
	flags.StringVar(&f.results, "results", "", "result file")
	flags.StringVar(&f.plot, "plot", "", "draw the precision-recall curves into this file: .png, .svg or .pdf")
	flags.BoolVar(&f.perClass, "per-class", false, "the numbers of each category too")
	flags.BoolVar(&f.classAgnostic, "class-agnostic", false, "judge where objects are, not what they are: all categories as one (pycocotools' useCats = 0)")
	flags.IntVar(&f.policy.Limit, "skip", 0, "faulty entries of each file that may be left out, each told; 0: the first one ends it")
	flags.BoolVar(&f.policy.Strict, "strict", false, "results of unknown categories, and boxes that are empty or leave their image, are faults; without, the former do not count and the latter are judged as they are")
	c.RunE = func(*cobra.Command, []string) error {
		if f.annotations == "" || f.results == "" {
			return usagef("detect score: want --annotations JSON and --results JSON")
		}
		if f.policy.Limit < 0 {
			return usagef("--skip: want 0 or more, got %d", f.policy.Limit)
		}
		if err := f.check(); err != nil {
			return err
		}
		return a.detectScore(f)
	}
	return c
}

func (a *app) detectScore(f scoreFlags) error {
	log := a.log()
	f.policy.Tell = func(fault *coco.Fault) { log.Warn().Msg("left out: " + fault.Error()) }
	set, err := coco.OpenAnnotations(f.annotations, f.policy)
	if err != nil {
		return err
	}
	results, err := coco.OpenResults(f.results, set, f.policy)
	if err != nil {
		return err
	}
	if f.classAgnostic {
		results = coco.ClassAgnostic(results)
	}
	score := coco.Evaluate(results)
	if f.plot != "" {
		if err := curves.Write(f.plot, score); err != nil {
			return err
		}
	}
	doc := scoreDocument(set, results, score)
	if !f.perClass {
		doc.Categories = nil
	}
	if a.json {
		return a.document(doc)
	}
	return a.sayScore(doc)
}

func scoreDocument(set *coco.Dataset, r *coco.Results, s *coco.Score) detectionScore {
	doc := detectionScore{
		Metrics: s.Summary(), PerIoU: s.AtThreshold(),
		Counts:  scoreCounts{Images: len(set.Images), Objects: len(set.Objects), Categories: len(set.Categories), Detections: r.Added, Unjudged: r.Unjudged},
		Remarks: remarksOf(set.Remarks, r.Remarks), LeftOut: remarksOf(set.LeftOut, r.LeftOut),
	}
	for _, o := range set.Objects {
		if o.Crowd {
			doc.Counts.Crowd++
		}
	}
	for k, c := range s.Categories {
		doc.Categories = append(doc.Categories, categoryScore{c.ID, c.Name, s.Category(k)})
	}
	return doc
}

func (a *app) sayScore(d detectionScore) error {
	a.say("%d detections for %d objects (%d crowds) of %d categories in %d images", d.Counts.Detections, d.Counts.Objects, d.Counts.Crowd, d.Counts.Categories, d.Counts.Images)
	for _, line := range []struct {
		what   string
		counts coco.Counts
	}{
		{"annotations left out", d.LeftOut.Annotations},
		{"results left out", d.LeftOut.Results},
		{"odd annotations, judged as they are", d.Remarks.Annotations},
		{"odd results, judged as they are", d.Remarks.Results},
	} {
		if line.counts.Total() > 0 {
			a.say("%s: %s", line.what, line.counts)
		}
	}
	if d.Counts.Unjudged > 0 {
		a.say("%d results are of categories that the annotations do not have; they do not count", d.Counts.Unjudged)
	}
	rows := [][]string{summaryRow("all", "", d.Metrics)}
	for _, c := range d.Categories {
		rows = append(rows, summaryRow(c.Name, strconv.FormatInt(c.ID, 10), c.Summary))
	}
	return term.Table(a.stdout, []string{"category", "id", "AP", "AP50", "AP75", "small", "medium", "large", "AR1", "AR10", "AR100", "small", "medium", "large"}, rows)
}

func summaryRow(name, id string, s coco.Summary) []string {
	row := []string{name, id}
	for _, v := range s.Numbers() {
		if v < 0 {
			row = append(row, "-")
		} else {
			row = append(row, fmt.Sprintf("%.4f", v))
		}
	}
	return row
}
