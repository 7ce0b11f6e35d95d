package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/plot"
	"github.com/nasnet-go/nasnet/internal/report"
	"github.com/nasnet-go/nasnet/internal/term"
	"github.com/nasnet-go/nasnet/pipeline/eval"
)

// classesListed is how many classes' recall is listed: of more, the worst.
const classesListed = 20

// evaluationPart tells what was measured: all of it where `nasnet eval` was run,
// else what the chain measured.
func evaluationPart(r runFiles) ([]report.Part, error) {
	var s scored
	found, err := r.read(evaluationFile, &s)
	if err != nil {
		return nil, err
	}
	if !found {
		return chainEvaluation(r)
	}
	part := report.Part{Title: "Evaluation", Items: []report.Item{accuracyTable(s.Measurement), evaluationFacts(s)}}
	if len(s.References) > 0 {
		part.Items = append(part.Items, referenceTable(s.References))
	}
	f, err := plot.Reliability(reliabilityBins(s.Calibration))
	reliability, err := figure("reliability", fmt.Sprintf("How often predictions of some confidence were right; on the dashed line a network knows itself. Expected calibration error %.4f over %d bins.", s.Calibration.ECE, len(s.Calibration.Bins)), f, err)
	if err != nil {
		return nil, err
	}
	confusion, err := confusionFigure(r, s)
	if err != nil {
		return nil, err
	}
	part.Items = append(part.Items, recallTable(s.Recall), confusion, reliability)
	if sheet, err := os.ReadFile(r.path(mistakesFile)); err == nil {
		part.Items = append(part.Items, report.Figure{Name: "mistakes", Caption: "The worst mistakes: wrong predictions with the largest loss. What it is, what the network said, how sure it was.", PNG: sheet})
	}
	part.Items = append(part.Items, mistakeTable(s))
	return []report.Part{part}, nil
}

// chainEvaluation is of a run that has top-1 and top-5 alone.
func chainEvaluation(r runFiles) ([]report.Part, error) {
	var e api.EvalResult
	found, err := r.read("eval.json", &e)
	if !found || err != nil {
		return nil, err
	}
	m := eval.Measurement{Result: eval.Result{Images: e.Images, Top1: e.Top1, Top5: e.Top5, Top1CI: e.Top1CI95, Top5CI: e.Top5CI95, Loss: e.Loss}}
	return []report.Part{{Title: "Evaluation", Items: []report.Item{
		accuracyTable(m),
		report.Facts{{"loss", fmt.Sprintf("%.4f", e.Loss)}, {"images a second", fmt.Sprintf("%.0f", e.ImagesPerSecond)}},
		report.Text("Recall, calibration and mistakes: nasnet eval --run " + r.dir),
	}}}, nil
}

func accuracyTable(m eval.Measurement) report.Table {
	t := report.Table{Caption: fmt.Sprintf("Measured on %s images", term.Count(m.Images)), Header: []string{"measure", "%", "95 % interval"}}
	add := func(name string, share float64, ci [2]float64) {
		t.Rows = append(t.Rows, []string{name, percent(share), percent(ci[0]) + " to " + percent(ci[1])})
	}
	add("top-1", m.Top1, m.Top1CI)
	add("top-5", m.Top5, m.Top5CI)
	if len(m.Recall) > 0 {
		add("mean recall", m.MeanRecall, m.MeanRecallCI)
	}
	if m.RealScore != nil {
		add(fmt.Sprintf("ReaL top-1 (%s images)", term.Count(m.RealImages)), m.RealTop1, m.RealTop1CI)
	}
	return t
}

func evaluationFacts(s scored) report.Facts {
	var facts report.Facts
	if s.Source.Kind != "" {
		facts = append(facts, [2]string{"measured", s.Source.String()})
	}
	facts = append(facts, report.Facts{
		{"loss", fmt.Sprintf("%.4f", s.Loss)},
		{"mean precision", percent(s.MeanPrecision) + " %"},
		{"calibration error", fmt.Sprintf("%.4f, at most %.4f in a bin", s.Calibration.ECE, s.Calibration.MCE)},
		{"images a second", fmt.Sprintf("%.0f", s.ImagesPerSecond)},
	}...)
	if c := s.Comparison; c != nil {
		facts = append(facts,
			[2]string{"beside another model", fmt.Sprintf("%s %% and %s %%: %s", percent(c.First), percent(c.Second), c.Verdict)},
			[2]string{"only one right", fmt.Sprintf("this one on %d, the other on %d images", c.OnlyFirst, c.OnlySecond)},
			[2]string{"McNemar", fmt.Sprintf("exact p %.3g; chi-square with continuity correction %.2f, p %.3g", c.McNemar.PExact, c.McNemar.ChiSquare, c.McNemar.PChiSquare)})
	}
	return facts
}

func referenceTable(list []eval.Reference) report.Table {
	t := report.Table{Caption: "Beside what was published", Header: []string{"model", "measure", "published %", "measured %", "95 % interval", "verdict", "source"}}
	for _, r := range list {
		measured, interval := percent(r.Measured), percent(r.CI95[0])+" to "+percent(r.CI95[1])
		if r.Missing {
			measured, interval = "", ""
		}
		t.Rows = append(t.Rows, []string{r.Model, r.Metric, percent(r.Share), measured, interval, r.Verdict, r.Source})
	}
	return t
}

func recallTable(classes []eval.ClassScore) report.Table {
	caption := "Recall and precision by class"
	if len(classes) > classesListed {
		caption = fmt.Sprintf("The %d classes with the lowest recall, of %d", classesListed, len(classes))
		classes = slices.DeleteFunc(slices.Clone(classes), func(c eval.ClassScore) bool { return c.Images == 0 })
		slices.SortStableFunc(classes, func(a, b eval.ClassScore) int {
			if a.Recall < b.Recall {
				return -1
			}
			if a.Recall > b.Recall {
				return 1
			}
			return 0
		})
		classes = classes[:min(classesListed, len(classes))]
	}
	header, rows := classTable(classes)
	return report.Table{Caption: caption, Header: header, Rows: rows}
}

// confusionFigure draws the matrix, or shows the picture of a large one.
func confusionFigure(r runFiles, s scored) (report.Figure, error) {
	const caption = "Images by label (down) and prediction (across); shades are shares of the row."
	if len(s.Confusion) == 0 || len(s.Confusion) > plot.MaxNamed {
		picture, err := os.ReadFile(r.path(confusionFile))
		if err != nil {
			return report.Figure{}, fmt.Errorf("report: %w", err)
		}
		return report.Figure{Name: "confusion", Caption: caption, PNG: picture}, nil
	}
	var names []string
	for _, c := range s.Recall {
		if c.Name != "" {
			names = append(names, c.Name)
		}
	}
	f, err := plot.Confusion(s.Confusion, names)
	return figure("confusion", caption, f, err)
}

func mistakeTable(s scored) report.Table {
	t := report.Table{Caption: "The worst mistakes", Header: []string{"image", "label", "prediction", "confidence", "loss"}, Folded: true}
	name := func(class int) string {
		if class < len(s.Recall) && s.Recall[class].Name != "" {
			return s.Recall[class].Name
		}
		return strconv.Itoa(class)
	}
	for _, p := range s.Worst {
		t.Rows = append(t.Rows, []string{p.Image, name(p.Label), name(p.Predicted), fmt.Sprintf("%.4f", p.Confidence), fmt.Sprintf("%.4f", p.Loss)})
	}
	return t
}
