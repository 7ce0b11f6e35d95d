package libtf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// pipDownload lets pip fetch the pinned wheel into dir and returns its path.
// pip knows the user's index, proxy and certificates; the pin does not trust it.
func pipDownload(ctx context.Context, o Options, dir string, progress Progress) (string, error) {
	pip, err := findPip(ctx, o)
	if err != nil {
		return "", err
	}
	w := *o.wheel
	args := append(pip[1:], "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--retries=2",
		"--disable-pip-version-check", "--no-input", "--progress-bar=off", "--quiet",
		"--python-version=311", "--implementation=cp", "--abi=cp311", "--platform="+w.Platform,
		"--dest="+dir, w.Package+"=="+Version)
	cmd := exec.CommandContext(ctx, pip[0], args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir) // beside the final place: /tmp may be small, and we can watch it grow
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	stop := watch(dir, w.Bytes, progress)
	err = cmd.Run()
	stop()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("`%s download %s==%s` failed: %s; with a network `make libtensorflow` or `nasnet doctor --fix` gets it, "+
			"without one set LIBTENSORFLOW_DIR to a copy", strings.Join(pip, " "), w.Package, Version, lastLine(stderr.String(), err))
	}
	found, _ := filepath.Glob(filepath.Join(dir, "*.whl")) // the pattern is well formed
	if len(found) != 1 {
		return "", fmt.Errorf("pip ended well but left %d wheels in %s", len(found), dir)
	}
	return found[0], nil
}

// findPip returns the first pip that answers.
func findPip(ctx context.Context, o Options) ([]string, error) {
	if o.pip != nil {
		return append([]string{}, o.pip...), nil
	}
	for _, pip := range [][]string{{o.Python, "-m", "pip"}, {"pip3"}, {"pip"}} {
		if exec.CommandContext(ctx, pip[0], append(pip[1:len(pip):len(pip)], "--version")...).Run() == nil {
			return pip, nil
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, errors.New("no pip to fetch it with: install pip (Debian: apt install python3-pip) and run `make libtensorflow` or `nasnet doctor --fix`, or set LIBTENSORFLOW_DIR to a copy")
}

// watch reports the growth of dir until stop is called, for pip's own bar is
// not made for programs.
func watch(dir string, total int64, progress Progress) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				progress("download", min(treeBytes(dir), total), total)
			}
		}
	}()
	return func() { close(quit); <-done }
}

func treeBytes(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // a file that pip has just renamed: the next tick sees it
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

func lastLine(text string, err error) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return strings.TrimPrefix(last, "ERROR: ")
	}
	return err.Error()
}
