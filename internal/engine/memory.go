package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// residentBytes reads a process's resident size from /proc; shared libraries
// that it has touched count.
func residentBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text)) // size resident shared …, in pages
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/statm: %q has no resident size", pid, text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
