package train

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Progress is one report of a training: a line of metrics.jsonl.
type Progress struct {
	Step            int64   `json:"step"` // done so far
	Steps           int64   `json:"steps"`
	Epoch           float64 `json:"epoch"`
	Loss            float64 `json:"loss"` // cross entropy with its smoothing, auxiliary part included
	Accuracy        float64 `json:"accuracy"`
	LearningRate    float64 `json:"learning_rate"`
	KeepFirst       float64 `json:"drop_path_keep_first"`
	KeepLast        float64 `json:"drop_path_keep_last"`
	GradientNorm    float64 `json:"gradient_norm"` // before clipping, weight decay included
	ImagesPerSecond float64 `json:"images_per_second"`
	ResidentBytes   int64   `json:"resident_bytes"`
	// Parts are the tower's own figures and, as eval_NAME, the evaluation's; in
	// JSON they stand beside the others.
	Parts map[string]float64 `json:"-"`
}

// reserved are the names that parts must not have.
var reserved = func() map[string]bool {
	names := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Progress]()) {
		names[f.Tag.Get("json")] = true
	}
	return names
}()

// plain is Progress without its methods.
type plain Progress

// MarshalJSON writes the parts beside the fields. Figures that JSON cannot
// hold, NaN and infinities, are left out.
func (p Progress) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(plain(p))
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSuffix(b, []byte("}"))
	for _, name := range slices.Sorted(maps.Keys(p.Parts)) {
		if v := p.Parts[name]; !math.IsNaN(v) && !math.IsInf(v, 0) {
			key, err := json.Marshal(name)
			if err != nil {
				return nil, err
			}
			b = strconv.AppendFloat(append(append(append(b, ','), key...), ':'), v, 'g', -1, 64)
		}
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Progress) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, (*plain)(p)); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for name, raw := range all {
		var v float64
		if !reserved[name] && json.Unmarshal(raw, &v) == nil {
			p.add(name, v)
		}
	}
	return nil
}

func (p *Progress) add(name string, v float64) {
	if p.Parts == nil {
		p.Parts = map[string]float64{}
	}
	p.Parts[name] = v
}

// scalars are the figures that are plotted against the step.
func (p Progress) scalars() map[string]float64 {
	m := map[string]float64{
		"epoch": p.Epoch, "loss": p.Loss, "accuracy": p.Accuracy, "learning_rate": p.LearningRate,
		"drop_path_keep_first": p.KeepFirst, "drop_path_keep_last": p.KeepLast, "gradient_norm": p.GradientNorm,
		"images_per_second": p.ImagesPerSecond, "resident_bytes": float64(p.ResidentBytes),
	}
	maps.Copy(m, p.Parts)
	return m
}

// Resident is the process's memory in bytes, 0 where the system does not say.
func Resident() int64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(raw))
	if len(f) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
