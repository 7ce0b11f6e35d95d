package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"time"

	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// evaluateDetector finds the objects of a set's validation images and writes them
// as a result file.
func evaluateDetector(ctx context.Context, r api.DetectEvalRequest, emit emitter) (api.DetectEvalResult, error) {
	sp, err := newSpotter(r.DetectorSource)
	if err != nil {
		return api.DetectEvalResult{}, err
	}
	defer sp.close()
	records, err := data.OpenRecords(data.Records{Files: r.Set.Validation})
	if err != nil {
		return api.DetectEvalResult{}, err
	}
	total := records.Len()
	if r.Images > 0 {
		total = min(total, int64(r.Images))
	}
	var list []coco.Detection
	var result api.DetectEvalResult
	begin := time.Now()
	err = sp.findAll(ctx, r.Set, r.Images, r.Batch, func(found []coco.Detection) error {
		list = append(list, found...)
		result.Images++
		emit(progress("detect", int64(result.Images), total, "images"))
		return nil
	})
	if err != nil {
		return result, err
	}
	result.Detections, result.ImagesPerSecond = len(list), float64(result.Images)/time.Since(begin).Seconds()
	return result, writeResults(r.Results, list)
}

func writeResults(path string, list []coco.Detection) error {
	var out bytes.Buffer
	if err := coco.WriteResults(&out, list); err != nil {
		return err
	}
	return durable.WriteFile(path, out.Bytes(), 0o644)
}

// findAll takes the first n validation images of a set (all, if 0) through the
// detector, and tells what is on each.
func (sp spotter) findAll(ctx context.Context, set api.DetectionSet, n, batch int, each func([]coco.Detection) error) error {
	seen, waiting := 0, []sets.Labelled{}
	for l, err := range labelled(set.Validation) {
		if n > 0 && seen == n {
			break
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		seen, waiting = seen+1, append(waiting, l)
		if len(waiting) >= max(1, batch) {
			if err := sp.findOn(waiting, set, each); err != nil {
				return err
			}
			waiting = waiting[:0]
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	return sp.findOn(waiting, set, each)
}

// findOn is findAll for one batch.
func (sp spotter) findOn(batch []sets.Labelled, set api.DetectionSet, each func([]coco.Detection) error) error {
	encoded := make([][]byte, len(batch))
	for i, l := range batch {
		encoded[i] = l.Encoded
	}
	found, err := sp.find(encoded)
	if err != nil {
		return fmt.Errorf("detect: images %s to %s: %w", batch[0].SourceID, batch[len(batch)-1].SourceID, err)
	}
	for i, l := range batch {
		list, err := detections(l, found[i], set.Categories)
		if err == nil {
			err = each(list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// labelled reads record files, up to the first error.
func labelled(files []string) iter.Seq2[sets.Labelled, error] {
	return func(yield func(sets.Labelled, error) bool) {
		for _, name := range files {
			f, err := tfrecord.Open(name)
			for err == nil {
				var raw []byte
				var l sets.Labelled
				if raw, err = f.Next(); err == nil {
					l, err = sets.ParseLabelled(raw)
				}
				if err == nil && !yield(l, nil) {
					f.Close() // opened for reading
					return
				}
			}
			if f != nil {
				f.Close() // opened for reading
			}
			if !errors.Is(err, io.EOF) {
				yield(sets.Labelled{}, fmt.Errorf("detect: %s: %w", name, err))
				return
			}
		}
	}
}

// detections are what was found on an image, with the ids of its annotations. A
// label that the set has no category for, such as COCO's ten empty ones, is left
// out: it is nobody's detection, and its number may be another category's id.
func detections(l sets.Labelled, found api.FoundIn, categories map[int]int64) ([]coco.Detection, error) {
	id, err := strconv.ParseInt(l.SourceID, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("detect: image %s has the id %q; results need numbers", l.Filename, l.SourceID)
	}
	list := make([]coco.Detection, 0, len(found.Found))
	for _, f := range found.Found {
		category, ok := categories[f.Label]
		if !ok && len(categories) > 0 {
			continue
		}
		if !ok {
			category = int64(f.Label)
		}
		list = append(list, coco.Detection{ImageID: id, CategoryID: category, Score: f.Score, Box: coco.Box{X: f.Box[0], Y: f.Box[1], W: f.Box[2], H: f.Box[3]}})
	}
	return list, nil
}

// predictDetections finds the objects of image files, one file at a time: they
// may be large.
func predictDetections(ctx context.Context, r api.DetectPredictRequest, emit emitter) (api.DetectPredictResult, error) {
	sp, err := newSpotter(r.DetectorSource)
	if err != nil {
		return api.DetectPredictResult{}, err
	}
	defer sp.close()
	result := api.DetectPredictResult{Classes: sp.classes}
	for i, name := range r.Files {
		if err := ctx.Err(); err != nil {
			return result, err
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return result, fmt.Errorf("detect: %w", err)
		}
		found, err := sp.find([][]byte{raw})
		if err != nil {
			return result, fmt.Errorf("detect: %s: %w", name, err)
		}
		found[0].File = name
		result.Files = append(result.Files, found[0])
		emit(progress("detect", int64(i)+1, int64(len(r.Files)), "images"))
	}
	return result, nil
}
