package eval

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// columns of predictions.csv. The two names are empty where the classes have
// none; a reader needs the others only.
var columns = []string{"image", "label", "prediction", "rank", "confidence", "loss", "top5", "label_name", "prediction_name"}

// needed are how many of the columns a reader wants.
const needed = 7

// Writer writes predictions as CSV: a line of column names, then one an image.
type Writer struct {
	csv   *csv.Writer
	names []string
}

// NewWriter begins a file of predictions. names are those of the classes, or
// nil.
func NewWriter(w io.Writer, names []string) (*Writer, error) {
	c := csv.NewWriter(w)
	return &Writer{csv: c, names: names}, c.Write(columns)
}

// Write adds a prediction.
func (w *Writer) Write(p Prediction) error {
	best := make([]string, len(p.Top))
	for i, class := range p.Top {
		best[i] = strconv.Itoa(class)
	}
	return w.csv.Write([]string{
		p.Image, strconv.Itoa(p.Label), strconv.Itoa(p.Predicted), strconv.Itoa(p.Rank),
		strconv.FormatFloat(p.Confidence, 'g', -1, 64), strconv.FormatFloat(p.Loss, 'g', -1, 64), strings.Join(best, " "),
		w.name(p.Label), w.name(p.Predicted),
	})
}

func (w *Writer) name(class int) string {
	if class < 0 || class >= len(w.names) {
		return ""
	}
	return w.names[class]
}

// Flush writes what is buffered.
func (w *Writer) Flush() error {
	w.csv.Flush()
	return w.csv.Error()
}

// File is a file of predictions that appears, whole, when it is closed.
type File struct {
	*Writer
	path string
	tmp  *os.File
}

// Create begins the file at path. Close publishes it; Discard does not.
func Create(path string, names []string) (*File, error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return nil, fmt.Errorf("eval: predictions: %w", err)
	}
	w, err := NewWriter(tmp, names)
	if err != nil {
		return nil, fmt.Errorf("eval: predictions: %w", err)
	}
	return &File{Writer: w, path: path, tmp: tmp}, nil
}

// Close publishes the file.
func (f *File) Close() error {
	if err := errors.Join(f.Flush(), f.tmp.Chmod(0o644), f.tmp.Sync(), f.tmp.Close()); err != nil {
		return fmt.Errorf("eval: predictions: %w", err)
	}
	return durable.Rename(f.tmp.Name(), f.path)
}

// Discard gives the file up, if it was not closed.
func (f *File) Discard() {
	f.tmp.Close()           // nothing of it is wanted
	os.Remove(f.tmp.Name()) // gone already after Close
}

// ReadFile reads all predictions of a file.
func ReadFile(name string) ([]Prediction, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("eval: predictions: %w", err)
	}
	defer f.Close()
	var all []Prediction
	err = Read(f, func(p Prediction) error { all = append(all, p); return nil })
	if err != nil {
		return nil, fmt.Errorf("eval: predictions: %s: %w", name, err)
	}
	return all, nil
}

// Read calls each for every prediction of a CSV. Columns are found by their
// names; others than those of Writer are passed over. An error names the line.
func Read(from io.Reader, each func(Prediction) error) error {
	r := csv.NewReader(from)
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil {
		return fmt.Errorf("no line of column names: %w", err)
	}
	var at [needed]int
	for i, name := range columns[:needed] {
		if at[i] = slices.Index(head, name); at[i] < 0 {
			return fmt.Errorf("no column %q among %q; want a predictions.csv of nasnet eval", name, head)
		}
	}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var row [needed]string
		for i, column := range at {
			row[i] = fields[column]
		}
		p, err := parseRow(row)
		if err == nil {
			err = each(p)
		}
		if err != nil {
			line, _ := r.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

func parseRow(row [needed]string) (Prediction, error) {
	p := Prediction{Image: row[0]}
	var err [needed]error
	p.Label, err[0] = strconv.Atoi(row[1])
	p.Predicted, err[1] = strconv.Atoi(row[2])
	p.Rank, err[2] = strconv.Atoi(row[3])
	p.Confidence, err[3] = strconv.ParseFloat(row[4], 64)
	p.Loss, err[4] = strconv.ParseFloat(row[5], 64)
	for _, text := range strings.Fields(row[6]) {
		class, e := strconv.Atoi(text)
		p.Top, err[5] = append(p.Top, class), errors.Join(err[5], e)
	}
	if err := errors.Join(err[:]...); err != nil {
		return p, err
	}
	return p, p.check()
}

// check refuses what no network can have said.
func (p Prediction) check() error {
	switch {
	case p.Label < 0 || p.Predicted < 0 || p.Rank < 0:
		return fmt.Errorf("image %s: label %d, prediction %d, rank %d: none may be negative", p.Image, p.Label, p.Predicted, p.Rank)
	case p.Right() != (p.Label == p.Predicted):
		return fmt.Errorf("image %s: label %d, prediction %d and rank %d contradict each other", p.Image, p.Label, p.Predicted, p.Rank)
	case !(p.Confidence >= 0 && p.Confidence <= 1):
		return fmt.Errorf("image %s: confidence %g is no probability", p.Image, p.Confidence)
	case !(p.Loss >= 0) || math.IsInf(p.Loss, 0):
		return fmt.Errorf("image %s: loss %g; want nats, 0 or more", p.Image, p.Loss)
	case len(p.Top) == 0 || p.Top[0] != p.Predicted:
		return fmt.Errorf("image %s: the best classes %v do not begin with the prediction %d", p.Image, p.Top, p.Predicted)
	}
	return nil
}
