package sets

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// errEnough ends a scan.
var errEnough = errors.New("enough")

// FirstLabelled reads the first n images of a split of a detection set, whoever
// wrote it; fewer where there are no more. In the sets of our converters the
// order is random already. A broken record is a *tfrecord.Fault.
func FirstLabelled(dir, split string, n int) ([]Labelled, error) {
	files, err := splitFiles(dir, split)
	if err != nil {
		return nil, err
	}
	var list []Labelled
	for _, path := range files {
		err := tfrecord.Scan(path, &tfrecord.Tally{}, func(record, offset int64, data []byte) error {
			if len(list) == n {
				return errEnough
			}
			l, err := ParseLabelled(data)
			if err != nil {
				return &tfrecord.Fault{File: path, Record: record, Offset: offset, Err: err}
			}
			list = append(list, l)
			return nil
		})
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("sets: %w", err)
		}
	}
	return list, nil
}

// splitFiles lists the record files of a split in their order.
func splitFiles(dir, split string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("sets: %w", err)
	}
	var files []string
	for _, e := range entries {
		if m := shardName.FindStringSubmatch(e.Name()); m != nil && m[1] == split {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("sets: %s holds no record files of a split %q (%s-00000-of-00001): %w", dir, split, split, ErrMissing)
	}
	return files, nil
}
