package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SyncTree flushes every file and directory below dir, and dir itself, to the
// disk: for files written by others, such as TensorFlow, which syncs nothing.
func SyncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("durable: %w", err)
		}
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("durable: %w", err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("durable: sync %s: %w", path, err)
		}
		return nil
	})
}
