package model

import (
	"fmt"
	"strings"

	"github.com/nasnet-go/nasnet/cells"
)

// Style is the kind of stem.
type Style string

// CIFARStyle starts with one convolution at full size; ImageNetStyle halves the
// image three times before the first normal cell.
const (
	CIFARStyle    Style = "cifar"
	ImageNetStyle Style = "imagenet"
)

// Pooling says how pools of stride 2 treat the border.
type Pooling string

// PoolSame is slim's, PoolZeroPadded Keras'.
const (
	PoolSame       Pooling = "same"
	PoolZeroPadded Pooling = "zero_padded"
)

// BatchNormConfig holds the constants of batch norm.
type BatchNormConfig struct {
	Decay   float64 `yaml:"decay" json:"decay"`     // of the moving statistics, a step
	Epsilon float64 `yaml:"epsilon" json:"epsilon"` // added to the variance
}

// Model is a network's configuration: the fields of a model file.
type Model struct {
	Name               string          `yaml:"-" json:"name"`
	Cell               cells.Genotype  `yaml:"-" json:"cell"`
	Style              Style           `yaml:"style" json:"style"`
	NormalCells        int             `yaml:"normal_cells" json:"normal_cells"`       // a multiple of 3
	Filters            int             `yaml:"filters" json:"filters"`                 // of the first stack
	StemMultiplier     float64         `yaml:"stem_multiplier" json:"stem_multiplier"` // cifar: times filters; imagenet: times 32
	FilterScaling      float64         `yaml:"filter_scaling" json:"filter_scaling"`   // at each reduction
	SkipReductionInput bool            `yaml:"skip_reduction_input" json:"skip_reduction_input"`
	Input              [3]int          `yaml:"input" json:"input"` // height, width, channels
	Classes            int             `yaml:"classes" json:"classes"`
	AuxHead            bool            `yaml:"aux_head" json:"aux_head"`
	DropPathKeep       float64         `yaml:"drop_path_keep" json:"drop_path_keep"` // at the end of training, in the last cell
	DropoutKeep        float64         `yaml:"dropout_keep" json:"dropout_keep"`     // before the last layer
	BatchNorm          BatchNormConfig `yaml:"batch_norm" json:"batch_norm"`
	Pooling            Pooling         `yaml:"pooling" json:"pooling"`
}

// cifarModel is slim's CIFAR configuration, 6 @ 768 (nasnet.py cifar_config).
func cifarModel() Model {
	return Model{
		Name: "nasnet-a-cifar", Cell: cells.NASNetA(), Style: CIFARStyle, NormalCells: 18, Filters: 32, StemMultiplier: 3,
		FilterScaling: 2, Input: [3]int{32, 32, 3}, Classes: 10, AuxHead: true, DropPathKeep: 0.6, DropoutKeep: 1,
		BatchNorm: BatchNormConfig{Decay: 0.9, Epsilon: 1e-5}, Pooling: PoolSame,
	}
}

// mobileModel is slim's mobile configuration, 4 @ 1056, with 1000 classes.
func mobileModel() Model {
	return Model{
		Name: "nasnet-a-mobile", Cell: cells.NASNetA(), Style: ImageNetStyle, NormalCells: 12, Filters: 44, StemMultiplier: 1,
		FilterScaling: 2, Input: [3]int{224, 224, 3}, Classes: 1000, AuxHead: true, DropPathKeep: 1, DropoutKeep: 0.5,
		BatchNorm: BatchNormConfig{Decay: 0.9997, Epsilon: 1e-3}, Pooling: PoolSame,
	}
}

// presets are the models by name (design: nasnet-a-cifar 6@768, -large 7@2304,
// mobile 4@1056, large 6@4032; reference nasnet.md section 3).
var presets = map[string]func() Model{
	"nasnet-a-cifar": cifarModel,
	"nasnet-a-cifar-large": func() Model {
		m := cifarModel()
		m.Name, m.NormalCells, m.Filters = "nasnet-a-cifar-large", 21, 96
		return m
	},
	"nasnet-a-mobile": mobileModel,
	"nasnet-a-large": func() Model {
		m := mobileModel()
		m.Name, m.NormalCells, m.Filters, m.StemMultiplier = "nasnet-a-large", 18, 168, 3
		m.SkipReductionInput, m.Input, m.DropPathKeep = true, [3]int{331, 331, 3}, 0.7
		return m
	},
}

// Presets lists the names of the built-in models.
func Presets() []string {
	return []string{"nasnet-a-cifar", "nasnet-a-cifar-large", "nasnet-a-mobile", "nasnet-a-large"}
}

// Preset returns a built-in model.
func Preset(name string) (Model, error) {
	f, ok := presets[name]
	if !ok {
		return Model{}, fmt.Errorf("model: no built-in model %q; there are %s, or give a model file", name, strings.Join(Presets(), ", "))
	}
	return f(), nil
}
