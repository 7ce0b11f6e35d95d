package table

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Columns says which columns of a table count. Empty lists are found by name.
type Columns struct {
	Reward []string // accuracies; of several, each network keeps one at random for a whole search
	Truth  []string // accuracies; the mean of several
}

// Table is a space of networks with known accuracies.
type Table struct {
	Columns Columns
	Rows    int   // of the file
	Sizes   []int // choices of each decision
	rows    map[string]row
}

type row struct {
	rewards []float64
	truth   float64
}

// Open reads the table of a CSV file, compressed if its name ends in .gz.
func Open(path string, c Columns) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("table: %s: %w", path, err)
		}
		defer z.Close()
		r = z
	}
	t, err := Read(r, c)
	if err != nil {
		return nil, fmt.Errorf("table: %s: %w", path, err)
	}
	return t, nil
}

// Read reads a table: a header, and one network a line. The column arch (or the
// first one) spells the network's decisions; see decisions.
func Read(r io.Reader, c Columns) (*Table, error) {
	reader := csv.NewReader(r)
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	lines, err := reader.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(lines) < 2 {
		return nil, fmt.Errorf("%d networks; want at least 2", len(lines))
	}
	arch := max(0, slices.Index(header, "arch"))
	if c, err = choose(header, arch, c); err != nil {
		return nil, err
	}
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = line[arch]
	}
	codes, sizes, err := decisions(texts)
	if err != nil {
		return nil, err
	}
	t := &Table{Columns: c, Rows: len(lines), Sizes: sizes, rows: make(map[string]row, len(lines))}
	for i, line := range lines {
		rewards, err := values(header, line, c.Reward)
		truths, err2 := values(header, line, c.Truth)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("network %q (line %d): %w", texts[i], i+2, err)
		}
		if _, twice := t.rows[key(codes[i])]; twice {
			return nil, fmt.Errorf("network %q (line %d) is there twice", texts[i], i+2)
		}
		t.rows[key(codes[i])] = row{rewards, mean(truths)}
	}
	return t, nil
}

func values(header, line, names []string) ([]float64, error) {
	out := make([]float64, len(names))
	for i, name := range names {
		text := line[slices.Index(header, name)]
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("column %s holds %q; want a number", name, text)
		}
		out[i] = x
	}
	return out, nil
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// key is a row's key.
func key(choices []int) string {
	b := make([]byte, 0, 2*len(choices))
	for _, c := range choices {
		b = strconv.AppendInt(b, int64(c), 36)
		b = append(b, ' ')
	}
	return string(b)
}

var (
	// repeated ends the names of several trainings: acc_seed1, test-2.
	repeated = regexp.MustCompile(`[_-]?(seed|run|trial)?[_-]?\d+$`)
	// costs are no accuracies.
	costs = regexp.MustCompile(`(?i)param|flops|macs|madds|latency|time|second|size|epoch|energy|memory|^id$|index|loss`)
	valid = regexp.MustCompile(`(?i)(^|_|-)(valid|validation|val)(_|-|$)`)
	test  = regexp.MustCompile(`(?i)(^|_|-)test(_|-|$)`)
)

// choose finds the columns that are not given: of the groups of columns that
// differ in a last number alone, the first validation accuracy is the reward and
// the test accuracy of the same name the truth. Without such a pair the first
// accuracy is both.
func choose(header []string, arch int, c Columns) (Columns, error) {
	var stems []string
	groups := map[string][]string{}
	for i, name := range header {
		if i == arch || costs.MatchString(name) {
			continue
		}
		stem := repeated.ReplaceAllString(name, "")
		if groups[stem] == nil {
			stems = append(stems, stem)
		}
		groups[stem] = append(groups[stem], name)
	}
	for _, name := range slices.Concat(c.Reward, c.Truth) {
		if !slices.Contains(header, name) {
			return c, fmt.Errorf("no column %q; there are %s", name, strings.Join(header, ", "))
		}
	}
	if len(stems) == 0 && (len(c.Reward) == 0 || len(c.Truth) == 0) {
		return c, fmt.Errorf("no column of accuracies among %s", strings.Join(header, ", "))
	}
	reward, truth := "", ""
	for _, stem := range stems {
		if other := partner(stem, stems); reward == "" && other != "" {
			reward, truth = stem, other
		}
	}
	if reward == "" && len(stems) > 0 {
		reward, truth = stems[0], stems[0]
	}
	if len(c.Reward) == 0 {
		c.Reward = groups[reward]
	}
	if len(c.Truth) == 0 {
		c.Truth = groups[truth]
	}
	return c, nil
}

// partner is the test accuracy that belongs to a validation accuracy.
func partner(stem string, stems []string) string {
	if !valid.MatchString(stem) {
		return ""
	}
	want := valid.ReplaceAllString(stem, "${1}${3}")
	for _, s := range stems {
		if test.MatchString(s) && test.ReplaceAllString(s, "${1}${2}") == want {
			return s
		}
	}
	return ""
}
