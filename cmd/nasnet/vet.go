package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// vetted finds broken records, tells each, and returns at which bytes they begin, by
// file; more than limit are an error.
func (a *app) vetted(ctx context.Context, limit int, files []string, o sets.VetOptions) (map[string][]int64, error) {
	o.Limit, o.Progress = limit, a.stages()
	faults, err := sets.Vet(ctx, files, o)
	if err != nil {
		return nil, fmt.Errorf("%w; data.bad.limit is %d", err, limit)
	}
	out := map[string][]int64{}
	for _, f := range faults {
		a.term.Note("left out: %v", f)
		out[f.File] = append(out[f.File], f.Offset)
	}
	return out, nil
}

// firstFaults is how many faults an error names.
const firstFaults = 5

// vet looks through the training records before a training begins, and again
// wherever some are left out (data.bad). Conversion leaves none behind: it finds
// what has changed since, and what somebody else wrote.
func (d *detection) vet(ctx context.Context) error {
	o := sets.VetOptions{LabelOffset: 1, Classes: int64(d.detector.Options.Classes), Boxes: true}
	if d.config.Data.Bad.Policy == "skip" {
		out, err := d.vetted(ctx, d.config.Data.Bad.Limit, d.set.Train, o)
		if err != nil {
			return err
		}
		d.set.Exclude = out
		_, err = d.dir.WriteJSON(faultsFile, out)
		return err
	}
	if exists(d.dir.Join("checkpoints")) { // looked through when it began
		return nil
	}
	o.Limit, o.Progress = math.MaxInt, d.app.stages()
	faults, err := sets.Vet(ctx, d.set.Train, o)
	if err != nil || len(faults) == 0 {
		return err
	}
	return fmt.Errorf("%d training records of %s are broken; data.bad.policy=skip leaves them out (data.bad.limit many at most); the first: %w",
		len(faults), d.config.Data.Dir, joined(faults[:min(firstFaults, len(faults))]))
}

// joined are faults as one error.
func joined(faults []*tfrecord.Fault) error {
	list := make([]error, len(faults))
	for i, f := range faults {
		list[i] = f
	}
	return errors.Join(list...)
}
