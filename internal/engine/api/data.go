package api

import "github.com/nasnet-go/nasnet/cells/model"

// Data names images to learn from or to measure on.
type Data struct {
	Train       []string `json:"train"`       // CIFAR-10 binary files, in order
	Test        []string `json:"test"`        // the same for the test images
	Images      int      `json:"images"`      // training images used; 0: all that are not held out
	HeldOut     int      `json:"held_out"`    // training images set aside for validation
	Seed        uint64   `json:"seed"`        // of the split
	Standardize string   `json:"standardize"` // image | channel | none
	CropPad     int64    `json:"crop_pad"`    // pixels padded before the random crop; 0: no crop
	Flip        bool     `json:"flip"`
	Cutout      int64    `json:"cutout"`           // side in pixels; 0: none
	Shrink      int      `json:"shrink,omitempty"` // squares of so many pixels a side are averaged first; 0, 1: none

	Records     *Records    `json:"records,omitempty"`   // instead of CIFAR-10's files; without CropPad and Shrink
	Colour      bool        `json:"colour,omitempty"`    // change brightness and saturation; this and the next of records alone
	CropArea    float64     `json:"crop_area,omitempty"` // smallest random box, as a share of the area; 1: none
	RandAugment RandAugment `json:"rand_augment"`
	Eval        Preparation `json:"eval"`
}

// Parts of a data set.
const (
	TrainSplit = "train"
	TestSplit  = "test"
)

// Records are record files of encoded images.
type Records struct {
	Train       []string           `json:"train"`
	Validation  []string           `json:"validation"`   // to measure on
	LabelOffset int64              `json:"label_offset"` // stored label - offset = class from 0
	Classes     int64              `json:"classes"`
	JPEG        bool               `json:"jpeg"` // all images are JPEGs
	ImageKey    string             `json:"image_key,omitempty"`
	LabelKey    string             `json:"label_key,omitempty"`
	Exclude     map[string][]int64 `json:"exclude,omitempty"` // bytes at which records begin that are left out, by file
}

// RandAugment is so many random operations of a strength of 0 to 10.
type RandAugment struct {
	Layers    int     `json:"layers,omitempty"`
	Magnitude float64 `json:"magnitude,omitempty"`
}

// LegacyResize is TensorFlow 1's bilinear kernel.
const LegacyResize = "legacy"

// Preparation is how encoded images are prepared for evaluation where it differs from the
// way of the model's style.
type Preparation struct {
	Crop   float64 `json:"crop,omitempty"`   // share of each side that is kept; 0: the style's
	Resize string  `json:"resize,omitempty"` // legacy | antialias
	Crops  int64   `json:"crops,omitempty"`  // views of an image: 1, 5 or 10
}

// ShowRequest asks for images as the network sees them.
type ShowRequest struct {
	Model   model.Model `json:"model"`
	Data    Data        `json:"data"`
	Split   string      `json:"split"` // train: the first of a training, augmented | test: prepared for evaluation
	Seed    int64       `json:"seed"`
	Images  int64       `json:"images"`
	Output  string      `json:"output"` // .npy float32 [N,H,W,3]
	Threads Threads     `json:"threads"`
}

// ShowResult is what was written.
type ShowResult struct {
	Shape  []int64 `json:"shape"`
	Labels []int64 `json:"labels"`
}
