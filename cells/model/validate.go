package model

import (
	"errors"
	"fmt"
)

// limits keep a mistyped file from planning a network nobody could build.
const (
	maxCells   = 300
	maxFilters = 1 << 14
	maxSide    = 1 << 13
	maxClasses = 1 << 20
)

// Validate returns all the model's faults, with their keys.
func (m Model) Validate() error {
	var faults []error
	want := func(ok bool, key, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("model: %s: %s", key, fmt.Sprintf(format, args...)))
		}
	}
	want(m.Style == CIFARStyle || m.Style == ImageNetStyle, "style", "%q: want %s or %s", m.Style, CIFARStyle, ImageNetStyle)
	want(m.NormalCells >= 3 && m.NormalCells%3 == 0 && m.NormalCells <= maxCells, "normal_cells", "%d: want a multiple of 3, at most %d", m.NormalCells, maxCells)
	want(m.Filters >= 1 && m.Filters <= maxFilters, "filters", "%d: want 1 to %d", m.Filters, maxFilters)
	want(m.Style != ImageNetStyle || m.Filters >= 8, "filters", "%d: the imagenet stem runs at a quarter of it, want at least 8", m.Filters)
	want(m.StemMultiplier > 0 && m.StemMultiplier <= 64, "stem_multiplier", "%g: want more than 0, at most 64", m.StemMultiplier)
	want(m.FilterScaling >= 1 && m.FilterScaling <= 8, "filter_scaling", "%g: want 1 to 8", m.FilterScaling)
	want(m.Input[0] >= 1 && m.Input[0] <= maxSide && m.Input[1] >= 1 && m.Input[1] <= maxSide, "input", "%v: want height and width of 1 to %d", m.Input, maxSide)
	want(m.Input[2] >= 1 && m.Input[2] <= 16, "input", "%d channels: want 1 to 16", m.Input[2])
	want(m.Classes >= 2 && m.Classes <= maxClasses, "classes", "%d: want 2 to %d", m.Classes, maxClasses)
	want(m.DropPathKeep > 0 && m.DropPathKeep <= 1, "drop_path_keep", "%g: want more than 0, at most 1", m.DropPathKeep)
	want(m.DropoutKeep > 0 && m.DropoutKeep <= 1, "dropout_keep", "%g: want more than 0, at most 1", m.DropoutKeep)
	want(m.BatchNorm.Decay > 0 && m.BatchNorm.Decay < 1, "batch_norm.decay", "%g: want between 0 and 1", m.BatchNorm.Decay)
	want(m.BatchNorm.Epsilon > 0 && m.BatchNorm.Epsilon < 1, "batch_norm.epsilon", "%g: want between 0 and 1", m.BatchNorm.Epsilon)
	want(m.Pooling == PoolSame || m.Pooling == PoolZeroPadded, "pooling", "%q: want %s or %s", m.Pooling, PoolSame, PoolZeroPadded)
	want(len(m.Cell.Normal.Blocks) > 0 && len(m.Cell.Reduction.Blocks) > 0, "cell", "no cell given")
	return errors.Join(faults...)
}
