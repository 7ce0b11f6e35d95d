package sets

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// npmPack lets the npm client of this machine, with whatever registry it is
// configured for, put a package's archive into dir, and returns its path once
// its sha512 is the pinned one. Nothing of the package is run.
func npmPack(ctx context.Context, pkg, integrity, dir string) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("npm is not installed: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, npm, "pack", pkg, "--pack-destination", ".", "--ignore-scripts",
		"--loglevel=error", "--no-update-notifier", "--fetch-retries=1", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000")
	cmd.Dir = dir // no package.json or .npmrc of the caller's directory has a say
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("npm pack %s: %w: %s", pkg, err, lastLines(stderr.String(), 6))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("npm pack %s: no archive came of it (%d files)", pkg, len(found))
	}
	return found[0], checkIntegrity(found[0], integrity)
}

// checkIntegrity compares a file with npm's form of a digest.
func checkIntegrity(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	h := sha512.New()
	_, err = io.Copy(h, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s: integrity is %s, expected is %s: %w", filepath.Base(path), got, want, ErrDigest)
	}
	return nil
}

// lastLines returns the end of a tool's message, without colours and blank lines.
func lastLines(text string, n int) string {
	var lines []string
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
