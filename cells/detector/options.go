package detector

import (
	"errors"
	"fmt"
)

// Options are what a detector adds to its network: the keys of the
// configuration's section detect.
type Options struct {
	Classes     int         `yaml:"classes" json:"classes"`            // ids 1 to this are told apart, besides the background; 0: no detector
	Objects     int         `yaml:"objects" json:"objects"`            // annotated boxes of an image that training uses; more are cut off
	Anchors     Anchors     `yaml:"anchors" json:"anchors"`            // what regions are proposed from
	RPNChannels int         `yaml:"rpn_channels" json:"rpn_channels"`  // of the region proposal network's 3x3 convolution
	RPN         Sampling    `yaml:"rpn" json:"rpn"`                    // its minibatch: anchors of an image
	Proposals   Suppression `yaml:"proposals" json:"proposals"`        // boxes of an image that the second stage judges
	Crop        int         `yaml:"crop" json:"crop"`                  // places a side that the features of a proposal are resampled to
	Second      Sampling    `yaml:"second" json:"second"`              // the second stage's minibatch: proposals of an image
	Detections  Suppression `yaml:"detections" json:"detections"`      // boxes of an image in the end
	PerClass    int         `yaml:"per_class" json:"per_class"`        // of these, of one class at most
	ClipOrder   ClipOrder   `yaml:"clip_order" json:"clip_order"`      // clip_first | suppress_first
	FirstNorm   NormMode    `yaml:"first_norm" json:"first_norm"`      // batch norms of the first stage in training: frozen | batch
	SecondNorm  NormMode    `yaml:"second_norm" json:"second_norm"`    // those of the second stage
	DropSteps   int64       `yaml:"drop_path_steps" json:"drop_steps"` // over which drop path grows; 0: over the whole training
	Chunk       int         `yaml:"chunk" json:"chunk" change:"free"`  // proposals of an image at once in the second stage, in inference; no result depends on it
	ClipEach    bool        `yaml:"clip_each" json:"clip_each"`        // train.clip_norm bounds each variable's gradient, as the release's trainer, not all together
}

// Anchors are a grid of boxes: one for each ratio and scale at each place of the
// features, centred at multiples of the stride without an offset (section 3).
type Anchors struct {
	Scales []float64 `yaml:"scales,flow" json:"scales"` // of the base
	Ratios []float64 `yaml:"ratios,flow" json:"ratios"` // width to height
	Base   float64   `yaml:"base" json:"base"`          // pixels a side at scale 1
}

// Sampling is a minibatch of boxes that a loss is taken of (sections 5, 6, 10).
type Sampling struct {
	Batch       int     `yaml:"batch" json:"batch"`               // boxes of an image
	Positive    float64 `yaml:"positive" json:"positive"`         // share of them that match an object, at most
	Matched     float64 `yaml:"matched" json:"matched"`           // IoU with an object from which on a box matches it
	Unmatched   float64 `yaml:"unmatched" json:"unmatched"`       // IoU below which a box is background; in between it is ignored
	BoxWeight   float64 `yaml:"box_weight" json:"box_weight"`     // of the loss of codes
	ClassWeight float64 `yaml:"class_weight" json:"class_weight"` // of the loss of classes, or of objectness
}

// Suppression leaves of overlapping boxes the best ones (sections 7, 11).
type Suppression struct {
	Count int     `yaml:"count" json:"count"` // boxes of an image that stay, at most
	IoU   float64 `yaml:"iou" json:"iou"`     // a box that overlaps a better one more than this falls
	Score float64 `yaml:"score" json:"score"` // a box must score more than this
}

// ClipOrder says when boxes are clipped to the image.
type ClipOrder string

// ClipFirst clips and drops empty boxes before suppression, as the release of
// 2018-01 does; SuppressFirst behind it, as its code does since 2018-08, where an
// empty box can first suppress others and use up a place (section 7).
const (
	ClipFirst     ClipOrder = "clip_first"
	SuppressFirst ClipOrder = "suppress_first"
)

// NormMode says what batch norms do in training.
type NormMode string

// NormFrozen normalises by the moving statistics and leaves them, as the first
// public commit does in both stages and all commits intend; NormBatch by the
// batch's, as the public code does in the first stage since 2017-11 (section 2).
const (
	NormFrozen NormMode = "frozen"
	NormBatch  NormMode = "batch"
)

// limits keep a mistyped file from planning a detector nobody could build.
const (
	maxClasses = 1 << 14
	maxBoxes   = 1 << 16
)

// Validate returns all faults, with their keys.
func (o Options) Validate() error {
	var faults []error
	want := func(ok bool, key, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
		}
	}
	count := func(key string, n, most int) { want(n >= 1 && n <= most, key, "%d: want 1 to %d", n, most) }
	count("classes", o.Classes, maxClasses)
	count("objects", o.Objects, maxBoxes)
	count("rpn_channels", o.RPNChannels, maxClasses)
	count("crop", o.Crop, 256)
	count("per_class", o.PerClass, maxBoxes)
	count("chunk", o.Chunk, maxBoxes)
	want(len(o.Anchors.Scales) > 0 && len(o.Anchors.Ratios) > 0 && positive(o.Anchors.Scales) && positive(o.Anchors.Ratios), "anchors", "scales %v and ratios %v: want at least one of each, more than 0", o.Anchors.Scales, o.Anchors.Ratios)
	want(o.Anchors.Base > 0, "anchors.base", "%g: want more than 0 pixels", o.Anchors.Base)
	for key, s := range map[string]Sampling{"rpn": o.RPN, "second": o.Second} {
		count(key+".batch", s.Batch, maxBoxes)
		want(s.Positive > 0 && s.Positive <= 1, key+".positive", "%g: want more than 0, at most 1", s.Positive)
		want(s.Unmatched > 0 && s.Unmatched <= s.Matched && s.Matched <= 1, key+".unmatched", "%g with %s.matched %g: want 0 < unmatched <= matched <= 1", s.Unmatched, key, s.Matched)
		want(s.BoxWeight >= 0 && s.ClassWeight >= 0, key, "loss weights %g and %g: want 0 or more", s.BoxWeight, s.ClassWeight)
	}
	for key, s := range map[string]Suppression{"proposals": o.Proposals, "detections": o.Detections} {
		count(key+".count", s.Count, maxBoxes)
		want(s.IoU >= 0 && s.IoU <= 1, key+".iou", "%g: want 0 to 1", s.IoU)
		want(s.Score >= 0 && s.Score < 1, key+".score", "%g: want 0 to below 1", s.Score)
	}
	want(o.Second.Batch <= o.Proposals.Count, "second.batch", "%d of %d proposals (detect.proposals.count): want no more than there are", o.Second.Batch, o.Proposals.Count)
	want(o.ClipOrder == ClipFirst || o.ClipOrder == SuppressFirst, "clip_order", "%q: want %s or %s", o.ClipOrder, ClipFirst, SuppressFirst)
	for key, n := range map[string]NormMode{"first_norm": o.FirstNorm, "second_norm": o.SecondNorm} {
		want(n == NormFrozen || n == NormBatch, key, "%q: want %s or %s", n, NormFrozen, NormBatch)
	}
	want(o.DropSteps >= 0, "drop_path_steps", "%d: want 0 or more", o.DropSteps)
	return errors.Join(faults...)
}

func positive(list []float64) bool {
	for _, x := range list {
		if !(x > 0) {
			return false
		}
	}
	return true
}
