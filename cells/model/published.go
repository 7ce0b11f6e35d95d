package model

import "fmt"

// Published is a row of the paper's tables (arXiv 1707.07012, tables 1 to 3;
// reference nasnet.md section 6), with the network that the released structure
// makes of it.
type Published struct {
	Name    string  `json:"name"` // in the paper's notation: N @ penultimate filters
	Data    string  `json:"data"` // CIFAR-10 | ImageNet
	Pixels  int     `json:"pixels"`
	Params  float64 `json:"paper_params"`           // of the paper, rounded as printed there
	MACs    float64 `json:"paper_macs,omitempty"`   // of the paper; not given for CIFAR-10
	Error   float64 `json:"error,omitempty"`        // CIFAR-10 test error in %, mean of 5 runs
	Cutout  float64 `json:"error_cutout,omitempty"` // the same, trained with cutout
	Top1    float64 `json:"top1,omitempty"`         // in %, single crop
	Top5    float64 `json:"top5,omitempty"`
	Preset  string  `json:"preset,omitempty"`
	Departs bool    `json:"departs"` // its sizes do not follow from the released structure
	// Structure is nil where the cell was published as a figure only.
	Structure *Model `json:"-"`
}

// PublishedModels are the rows of the paper's tables.
func PublishedModels() ([]Published, error) {
	rows := []Published{
		{Name: "NASNet-A (6 @ 768)", Data: "CIFAR-10", Pixels: 32, Params: 3.3e6, Error: 3.41, Cutout: 2.65, Preset: "nasnet-a-cifar"},
		{Name: "NASNet-A (7 @ 2304)", Data: "CIFAR-10", Pixels: 32, Params: 27.6e6, Error: 2.97, Cutout: 2.40, Preset: "nasnet-a-cifar-large", Departs: true},
		{Name: "NASNet-B (4 @ 1152)", Data: "CIFAR-10", Pixels: 32, Params: 2.6e6, Error: 3.73},
		{Name: "NASNet-C (4 @ 640)", Data: "CIFAR-10", Pixels: 32, Params: 3.1e6, Error: 3.59},
		{Name: "NASNet-A (5 @ 1538)", Data: "ImageNet", Pixels: 299, Params: 10.9e6, MACs: 2.35e9, Top1: 78.6, Top5: 94.2, Departs: true, Structure: imagenetModel(5, 64, 1, 299)},
		{Name: "NASNet-A (7 @ 1920)", Data: "ImageNet", Pixels: 299, Params: 22.6e6, MACs: 4.93e9, Top1: 80.8, Top5: 95.3, Departs: true, Structure: imagenetModel(7, 80, 3, 299)},
		{Name: "NASNet-A (6 @ 4032)", Data: "ImageNet", Pixels: 331, Params: 88.9e6, MACs: 23.8e9, Top1: 82.7, Top5: 96.2, Preset: "nasnet-a-large"},
		{Name: "NASNet-A (4 @ 1056)", Data: "ImageNet", Pixels: 224, Params: 5.3e6, MACs: 564e6, Top1: 74.0, Top5: 91.6, Preset: "nasnet-a-mobile"},
		{Name: "NASNet-B (4 @ 1536)", Data: "ImageNet", Pixels: 224, Params: 5.3e6, MACs: 488e6, Top1: 72.8, Top5: 91.3},
		{Name: "NASNet-C (3 @ 960)", Data: "ImageNet", Pixels: 224, Params: 4.9e6, MACs: 558e6, Top1: 72.5, Top5: 91.0},
	}
	for i := range rows {
		if rows[i].Preset == "" {
			continue
		}
		m, err := Preset(rows[i].Preset)
		if err != nil {
			return nil, fmt.Errorf("model: published row %s: %w", rows[i].Name, err)
		}
		rows[i].Structure = &m
	}
	return rows, nil
}

// imagenetModel is NASNet-A (n @ 24·filters); 1538 is not a multiple of 24, the
// nearest one, 1536, is taken.
func imagenetModel(n, filters int, stem float64, pixels int) *Model {
	m := mobileModel()
	m.Name, m.NormalCells, m.Filters, m.StemMultiplier = "", 3*n, filters, stem
	m.Input = [3]int{pixels, pixels, 3}
	return &m
}
