package rundir

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Manifest says what made a run: enough to make it again, or to see why two
// runs differ.
type Manifest struct {
	Format   int               `json:"format"` // 1
	Created  time.Time         `json:"created"`
	Seed     int64             `json:"seed"`
	Config   string            `json:"config_sha256"` // of config.yaml
	Versions map[string]string `json:"versions"`      // nasnet, go, tensorflow
	Machine  map[string]string `json:"machine"`       // os, arch, cores
	Data     map[string]string `json:"data_sha256"`   // of each data file, by its name
	Commands []Command         `json:"commands"`      // that worked on the run, oldest first
	Stages   []Stage           `json:"stages"`        // in the order they were begun first
}

// Command is one call.
type Command struct {
	Args    []string  `json:"args"`
	Started time.Time `json:"started"`
	PID     int       `json:"pid"`
}

// Status says how a stage stands.
type Status string

// What a stage can be. A stage that is running while nobody has the lock was
// cut off.
const (
	Running     Status = "running"
	Done        Status = "done"
	Failed      Status = "failed"
	Interrupted Status = "interrupted"
)

// Stage is one step of a run.
type Stage struct {
	Name    string    `json:"name"`
	Status  Status    `json:"status"`
	Started time.Time `json:"started"` // the last time
	Seconds float64   `json:"seconds"` // of work, over all times
	Inputs  string    `json:"inputs"`  // digest of what it was made from
	Output  string    `json:"output"`  // SHA-256 of its result file; "" until it is done
	Error   string    `json:"error,omitempty"`
}

// ReadManifest reads the manifest of a run, also while a process works on it.
func ReadManifest(path string) (Manifest, error) {
	m := Manifest{Format: 1, Versions: map[string]string{}, Machine: map[string]string{}, Data: map[string]string{}}
	name := filepath.Join(path, ManifestFile)
	text, err := os.ReadFile(name)
	if err != nil {
		return m, fmt.Errorf("run: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("run: %s is damaged (%w); move it away: finished stages are then done again", name, err)
	}
	if m.Format != 1 {
		return m, fmt.Errorf("run: %s has format %d; this program reads 1: use the version of nasnet that wrote it", name, m.Format)
	}
	return m, nil
}

// interrupted marks the stages that a process was in when it died.
func (m *Manifest) interrupted() {
	for i := range m.Stages {
		if m.Stages[i].Status == Running {
			m.Stages[i].Status = Interrupted
		}
	}
}

// Stage returns the record of a stage, nil if it was never begun.
func (m *Manifest) Stage(name string) *Stage {
	i := slices.IndexFunc(m.Stages, func(s Stage) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Stages[i]
}

// maxCommands is how many calls a manifest keeps: the first and the newest.
const maxCommands = 100

// Begin notes a call.
func (m *Manifest) Begin(args []string, at time.Time) {
	if m.Created.IsZero() {
		m.Created = at
	}
	m.Commands = append(m.Commands, Command{Args: args, Started: at, PID: os.Getpid()})
	if n := len(m.Commands); n > maxCommands {
		m.Commands = append(m.Commands[:1], m.Commands[n-maxCommands+1:]...)
	}
}

// Save writes the manifest, atomically.
func (d *Dir) Save() error {
	_, err := d.WriteJSON(ManifestFile, d.Manifest)
	return err
}
