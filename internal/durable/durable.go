package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// WriteFile replaces the file at path by data, atomically, and returns when
// both the content and its name have reached the disk.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	if err := renameio.WriteFile(path, data, perm); err != nil {
		return fmt.Errorf("durable: write %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// Rename moves the file or directory from to to, within one file system,
// replacing a file but not a directory that is there. The content of from must
// have been synced by its writer; Rename makes the name durable.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("durable: %w", err)
	}
	return SyncDir(filepath.Dir(to))
}

// SyncDir flushes the names in a directory to the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("durable: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("durable: sync %s: %w", dir, err)
	}
	return nil
}
