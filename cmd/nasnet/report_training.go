package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/plot"
	"github.com/nasnet-go/nasnet/internal/report"
	"github.com/nasnet-go/nasnet/internal/term"
)

// metric is a line of metrics.jsonl, as far as it is drawn.
type metric struct {
	Step            int64    `json:"step"`
	Epoch           float64  `json:"epoch"`
	Loss            float64  `json:"loss"`
	Accuracy        float64  `json:"accuracy"`
	LearningRate    float64  `json:"learning_rate"`
	ImagesPerSecond float64  `json:"images_per_second"`
	EvalLoss        *float64 `json:"eval_loss"`
	EvalTop1        *float64 `json:"eval_top1"`
}

// readMetrics reads the lines that are whole: the last of a live run may not be.
func readMetrics(path string) (list []metric, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var m metric
		if json.Unmarshal(s.Bytes(), &m) == nil && m.Step > 0 {
			list = append(list, m)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("report: %s: %w", path, err)
	}
	return list, nil
}

// trainingPart draws the learning curves.
func trainingPart(r runFiles) ([]report.Part, error) {
	metrics, err := readMetrics(r.path("metrics.jsonl"))
	if err != nil || len(metrics) == 0 {
		return nil, err
	}
	part := report.Part{Title: "Training"}
	var t api.TrainResult
	found, err := r.read("train.json", &t)
	if err != nil {
		return nil, err
	}
	if found {
		part.Items = append(part.Items, trainingFacts(t))
	} else {
		last := metrics[len(metrics)-1]
		part.Items = append(part.Items, report.Text(fmt.Sprintf("The training is not done: step %d, epoch %.2f.", last.Step, last.Epoch)))
	}
	curves, err := trainingCurves(metrics)
	if err != nil {
		return nil, err
	}
	part.Items = append(part.Items, curves...)
	part.Items = append(part.Items, metricTable(metrics))
	return []report.Part{part}, nil
}

func trainingFacts(t api.TrainResult) report.Facts {
	facts := report.Facts{
		{"steps", term.Count(t.Steps)},
		{"epochs", fmt.Sprintf("%.2f", t.Epochs)},
		{"parameters", term.Count(t.Params)},
		{"last loss", fmt.Sprintf("%.4f", t.Loss)},
		{"time", term.Duration(time.Duration(t.Seconds * float64(time.Second)))},
		{"images a second", fmt.Sprintf("%.1f", t.ImagesPerSecond)},
		{"checkpoint", t.Checkpoint},
	}
	if t.Best != "" {
		facts = append(facts, [2]string{"best on held-out images", fmt.Sprintf("%s %%, %s", percent(t.BestTop1), t.Best)})
	}
	if t.Ended != "" {
		facts = append(facts, [2]string{"ended early", t.Ended})
	}
	return facts
}

// trainingCurves draw loss, accuracy and learning rate over the steps.
func trainingCurves(metrics []metric) ([]report.Item, error) {
	steps := make([]float64, len(metrics))
	series := func(name string, value func(metric) (float64, bool)) plot.Series {
		s := plot.Series{Name: name}
		for i, m := range metrics {
			if v, ok := value(m); ok {
				s.X, s.Y = append(s.X, steps[i]), append(s.Y, v)
			}
		}
		return s
	}
	for i, m := range metrics {
		steps[i] = float64(m.Step)
	}
	optional := func(v *float64) (float64, bool) {
		if v == nil {
			return 0, false
		}
		return *v, true
	}
	held := func(name string, value func(metric) *float64) []plot.Series {
		s := series(name, func(m metric) (float64, bool) { return optional(value(m)) })
		if len(s.X) == 0 {
			return nil
		}
		return []plot.Series{s}
	}
	var items []report.Item
	for _, c := range []struct {
		name, axis, caption string
		series              []plot.Series
	}{
		{"loss", "loss, nats", "Loss of the training batches, and of the held-out images where they were looked at.", append(
			[]plot.Series{series("training", func(m metric) (float64, bool) { return m.Loss, true })}, held("held out", func(m metric) *float64 { return m.EvalLoss })...)},
		{"accuracy", "accuracy", "Share right of the training batches, and of the held-out images.", append(
			[]plot.Series{series("training", func(m metric) (float64, bool) { return m.Accuracy, true })}, held("held out", func(m metric) *float64 { return m.EvalTop1 })...)},
		{"learning-rate", "learning rate", "Learning rate.", []plot.Series{series("learning rate", func(m metric) (float64, bool) { return m.LearningRate, true })}},
	} {
		f, err := plot.Lines("step", c.axis, c.series)
		drawn, err := figure(c.name, c.caption, f, err)
		if err != nil {
			return nil, err
		}
		items = append(items, drawn)
	}
	return items, nil
}

// maxMetrics is how many reports the table lists: of more, every second, third …
const maxMetrics = 400

func metricTable(metrics []metric) report.Table {
	t := report.Table{Caption: "The figures of the curves", Header: []string{"step", "epoch", "loss", "accuracy", "learning rate", "held-out loss", "held-out top-1", "images/s"}, Folded: true}
	every := 1 + (len(metrics)-1)/maxMetrics
	if every > 1 {
		t.Caption += fmt.Sprintf(" (one report of %d)", every)
	}
	number := func(v *float64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'g', 6, 64)
	}
	for i := 0; i < len(metrics); i += every {
		m := metrics[i]
		t.Rows = append(t.Rows, []string{
			strconv.FormatInt(m.Step, 10), fmt.Sprintf("%.3f", m.Epoch), number(&m.Loss), number(&m.Accuracy), number(&m.LearningRate), number(m.EvalLoss), number(m.EvalTop1), fmt.Sprintf("%.0f", m.ImagesPerSecond),
		})
	}
	return t
}
