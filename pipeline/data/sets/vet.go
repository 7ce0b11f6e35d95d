package sets

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// VetOptions says what records must hold. Zero means the default.
type VetOptions struct {
	LabelOffset, Classes int64              // labels are LabelOffset to LabelOffset+Classes-1
	Boxes                bool               // records of a detection set, instead of images with one label
	Limit                int                // faults to go on after; 0: end at the first
	Decode               bool               // decode every image, instead of its structure only
	MaxPixels            int64              // that an image may declare; default 50 million
	Exclude              map[string][]int64 // bytes at which records begin that are known to be bad, by file
	Progress             func(Progress)
}

// Vet looks for records that training cannot take: wrong checksums, no example, no
// label or one out of range, boxes that are empty or leave their image, images that
// are cut off, declare too many pixels or are none. It returns the faults in the order of files and bytes, each with its
// place. More than Limit are a tfrecord.ErrTooManyFaults; with a Limit of 0 the
// first is returned as the only one, without error.
func Vet(ctx context.Context, files []string, o VetOptions) ([]*tfrecord.Fault, error) {
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	v := &verifier{
		VerifyOptions: VerifyOptions{Decode: o.Decode, MaxPixels: o.MaxPixels, Workers: runtime.GOMAXPROCS(0), Progress: o.Progress},
		tally:         &tfrecord.Tally{Limit: o.Limit}, splits: map[string]*SplitReport{}, least: o.LabelOffset, most: o.LabelOffset + o.Classes - 1,
		known: o.Exclude, classified: !o.Boxes, boxed: o.Boxes,
	}
	err := v.scan(ctx, files)
	faults := v.tally.Faults()
	slices.SortFunc(faults, func(a, b *tfrecord.Fault) int {
		if i := slices.Index(files, a.File) - slices.Index(files, b.File); i != 0 {
			return i
		}
		return int(a.Record - b.Record)
	})
	if o.Limit == 0 && len(faults) > 0 {
		return faults[:1], nil
	}
	if err != nil {
		return faults, fmt.Errorf("sets: vet: %w", err)
	}
	return faults, nil
}
