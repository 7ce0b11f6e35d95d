package search

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// crashVariable names a point at which the process kills itself, for tests of
// what a crash leaves behind: NAME or NAME:K, the K-th time it passes there.
const crashVariable = "NASNET_CRASH_AT"

// crashPoints are the places where a crash could tear something apart.
var crashPoints = []string{
	"after-create", // passed once in a search, the others again and again
	"before-sample", "after-sample", "after-lease", "before-commit", "after-commit", "before-update", "after-update", "after-reuse",
}

// crasher kills the process at an armed point. Without the environment variable
// it does nothing.
type crasher struct {
	at   string
	left atomic.Int64
}

func newCrasher() *crasher {
	name, count, _ := strings.Cut(os.Getenv(crashVariable), ":")
	c := &crasher{at: name}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		n = 1
	}
	c.left.Store(n)
	return c
}

func (c *crasher) point(name string) {
	if c.at == name && c.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal takes a moment
	}
}
