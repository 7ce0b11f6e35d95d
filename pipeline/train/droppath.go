package train

import (
	"errors"
	"fmt"
)

// DropPath is the schedule of the probabilities with which paths are kept
// (ScheduledDropPath; slim nasnet_utils.py _apply_drop_path, reference nasnet.md
// section 4).
type DropPath struct {
	Keep    float64 // at the end of training, in the last cell; 1: nothing is dropped
	Version string  // v1: by time only; v2: by depth only; v3 (default): both
	Cells   int     // of the network, stem and reduction cells included
	Steps   int64   // of the whole training
}

// At returns the keep probability of each cell, in their order, at a step.
func (d DropPath) At(step int64) []float32 {
	keep := make([]float32, d.Cells)
	t := min(1, float64(step)/float64(max(1, d.Steps)))
	for cell := range keep {
		depth := float64(cell+1) / float64(d.Cells)
		switch d.Version {
		case "v1":
			keep[cell] = float32(1 - t*(1-d.Keep))
		case "v2":
			keep[cell] = float32(1 - depth*(1-d.Keep))
		default:
			keep[cell] = float32(1 - t*depth*(1-d.Keep))
		}
	}
	return keep
}

// ends are the probabilities of the first and the last cell, 1 without cells.
func (d DropPath) ends(step int64) (first, last float64) {
	keep := d.At(step)
	if len(keep) == 0 {
		return 1, 1
	}
	return float64(keep[0]), float64(keep[len(keep)-1])
}

func (d DropPath) validate() error {
	var faults []error
	if d.Cells > 0 && !(d.Keep > 0 && d.Keep <= 1) {
		faults = append(faults, fmt.Errorf("train: drop path keep %g: want above 0, at most 1 (nothing is dropped)", d.Keep))
	}
	switch d.Version {
	case "", "v1", "v2", "v3":
	default:
		faults = append(faults, fmt.Errorf("train: drop path version %q: want v1, v2 or v3", d.Version))
	}
	return errors.Join(faults...)
}
