package controller

import (
	"errors"
	"fmt"
	"math"
)

// Outcome is a finished trial.
type Outcome struct {
	Trial   int
	Choices []int
	Reward  float64
	Failed  bool // no reward was measured
}

// Policy proposes choices and learns from outcomes.
type Policy interface {
	// Name is the policy's kind: ppo, reinforce, random or evolution.
	Name() string
	// BatchSize is how many outcomes one Update takes.
	BatchSize() int
	// Version is the number of updates so far.
	Version() int
	// Sample returns the choices of a trial: a function of seed, version and
	// trial alone.
	Sample(trial int) []int
	// Update learns from a batch of outcomes in trial order.
	Update(batch []Outcome) error
	// Digest identifies everything that decides the future, as hex SHA-256.
	Digest() string
	// Stats are numbers to watch, such as entropy and baseline.
	Stats() map[string]float64
}

// Kinds of policies.
const (
	PPO       = "ppo"
	REINFORCE = "reinforce"
	Random    = "random"
	Evolution = "evolution"
)

// Config configures a policy. Zero values take the default of the trial budget
// (see Defaults).
type Config struct {
	Policy       string  `json:"policy" yaml:"policy" mapstructure:"policy"`
	Batch        int     `json:"batch" yaml:"batch" mapstructure:"batch"`                         // outcomes an update; paper: 20
	LearningRate float64 `json:"learning_rate" yaml:"learning_rate" mapstructure:"learning_rate"` // of Adam; paper: 0.00035
	Entropy      float64 `json:"entropy" yaml:"entropy" mapstructure:"entropy"`                   // weight of the bonus; paper: 0.00001
	Baseline     float64 `json:"baseline" yaml:"baseline" mapstructure:"baseline"`                // decay of the rewards' moving average; paper: 0.95
	Units        int     `json:"units" yaml:"units" mapstructure:"units"`                         // of the LSTM; paper: 100
	Epochs       int     `json:"epochs" yaml:"epochs" mapstructure:"epochs"`                      // of PPO over a batch; not in the paper
	Clip         float64 `json:"clip" yaml:"clip" mapstructure:"clip"`                            // of PPO's ratio; not in the paper
	Population   int     `json:"population" yaml:"population" mapstructure:"population"`          // of evolution
	Tournament   int     `json:"tournament" yaml:"tournament" mapstructure:"tournament"`          // of evolution
}

// Paper is the configuration of the paper (appendix A.2), right for its 20,000
// trials and too slow for hundreds (reference field.md section 5).
func Paper() Config {
	return Config{Policy: PPO, Batch: 20, LearningRate: 0.00035, Entropy: 0.00001, Baseline: 0.95, Units: 100, Epochs: 4, Clip: 0.2, Population: 50, Tournament: 10}
}

// Defaults is the configuration for a budget of trials. Below the paper's half
// of 20,000 the controller is smaller, explores more, and learns the faster the
// fewer trials there are: the rate that does best is inversely proportional to
// them. A slow baseline lags behind rising rewards, so that whatever is sampled
// seems good, and the policy collapses; a quick one does not. Measured on two
// tables of published benchmarks, docs/results/searcher.csv.
func Defaults(policy string, trials int) Config {
	c := Paper()
	c.Policy = policy
	if trials < 10000 {
		c.LearningRate = max(c.LearningRate, min(0.02, 1.4/float64(max(1, trials))))
		c.Entropy, c.Baseline, c.Units = 0.1, 0.2, 32
	}
	if trials < 100 { // a few updates must do
		c.Batch = max(2, trials/8)
	}
	if policy == REINFORCE { // one step a batch must do what PPO's epochs do
		if trials < 10000 {
			c.LearningRate = min(0.02, c.LearningRate*float64(c.Epochs))
		}
		c.Epochs = 1
	}
	return c
}

// fill replaces zero values by the defaults.
func (c Config) fill(trials int) Config {
	d := Defaults(c.Policy, trials)
	pick := func(x *float64, y float64) {
		if *x == 0 {
			*x = y
		}
	}
	pickInt := func(x *int, y int) {
		if *x == 0 {
			*x = y
		}
	}
	pickInt(&c.Batch, d.Batch)
	pickInt(&c.Units, d.Units)
	pickInt(&c.Epochs, d.Epochs)
	pickInt(&c.Population, d.Population)
	pickInt(&c.Tournament, d.Tournament)
	pick(&c.LearningRate, d.LearningRate)
	pick(&c.Entropy, d.Entropy)
	pick(&c.Baseline, d.Baseline)
	pick(&c.Clip, d.Clip)
	return c
}

// Validate returns all faults.
func (c Config) Validate() error {
	var faults []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("controller: "+format, args...))
		}
	}
	switch c.Policy {
	case PPO, REINFORCE, Random, Evolution:
	default:
		want(false, "policy %q: want ppo, reinforce, random or evolution", c.Policy)
	}
	want(c.Batch >= 0 && c.Batch <= 10000, "batch %d: want 1 to 10000, or 0 for the default", c.Batch)
	want(c.LearningRate >= 0 && c.LearningRate <= 1, "learning_rate %g: want more than 0, at most 1", c.LearningRate)
	want(c.Entropy >= 0 && c.Entropy <= 10, "entropy %g: want 0 to 10", c.Entropy)
	want(c.Baseline >= 0 && c.Baseline < 1, "baseline %g: want 0 to below 1", c.Baseline)
	want(c.Units >= 0 && c.Units <= 4096, "units %d: want 1 to 4096, or 0 for the default", c.Units)
	want(c.Clip >= 0 && c.Clip < 1, "clip %g: want 0 to below 1", c.Clip)
	return errors.Join(faults...)
}

// New makes a policy over decisions of the given sizes, for a budget of trials.
func New(c Config, sizes []int, trials int, seed uint64) (Policy, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if len(sizes) == 0 {
		return nil, errors.New("controller: there is nothing to decide")
	}
	for i, n := range sizes {
		if n < 1 {
			return nil, fmt.Errorf("controller: decision %d has %d choices", i, n)
		}
	}
	c = c.fill(trials)
	switch c.Policy {
	case Random:
		return &random{sizes: sizes, seed: seed, batch: c.Batch}, nil
	case Evolution:
		return &evolution{c: c, sizes: sizes, seed: seed}, nil
	}
	return newReinforced(c, sizes, seed), nil
}

// usable reports whether an outcome may teach.
func usable(o Outcome) bool {
	return !o.Failed && !math.IsNaN(o.Reward) && !math.IsInf(o.Reward, 0)
}
