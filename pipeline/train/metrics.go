package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// metricsFile holds one JSON line a report.
const metricsFile = "metrics.jsonl"

// metricsLog appends to metrics.jsonl. Nil is a log that keeps nothing.
type metricsLog struct{ f *os.File }

// openMetrics opens the log of a run and drops lines behind step: those that a
// killed process wrote after its last checkpoint will be written again.
func openMetrics(dir string, step int64) (*metricsLog, error) {
	path := filepath.Join(dir, metricsFile)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("train: %w", err)
	}
	if kept := keepUntil(old, step); len(kept) != len(old) {
		if err := durable.WriteFile(path, kept, 0o644); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return &metricsLog{f}, nil
}

// keepUntil returns the whole lines whose step is at most the given one.
func keepUntil(text []byte, step int64) []byte {
	var kept []byte
	for line := range bytes.Lines(text) {
		var p Progress
		if bytes.HasSuffix(line, []byte("\n")) && json.Unmarshal(line, &p) == nil && p.Step > 0 && p.Step <= step {
			kept = append(kept, line...)
		}
	}
	return kept
}

func (m *metricsLog) write(p Progress) error {
	if m == nil {
		return nil
	}
	line, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("train: metrics: %w", err)
	}
	if _, err := m.f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("train: metrics: %w", err)
	}
	return nil
}

func (m *metricsLog) close() error {
	if m == nil {
		return nil
	}
	return m.f.Close()
}
