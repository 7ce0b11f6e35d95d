package libtf

import (
	"errors"
	"fmt"
	"strings"
)

// The ways a copy of the library is not used.
var (
	ErrHash    = errors.New("not the expected content")
	errAbsent  = errors.New("not there")
	errDamaged = errors.New("incomplete")
)

// Place is one place that was looked at, and why nothing there served.
type Place struct {
	Origin Origin
	Reason string // for example "python3 has no tensorflow package"
}

// NotFoundError says where the library was looked for, and what gets it.
type NotFoundError struct {
	Places []Place
}

func (e *NotFoundError) Error() string {
	reasons := make([]string, len(e.Places))
	for i, p := range e.Places {
		reasons[i] = p.Reason
	}
	return fmt.Sprintf("TensorFlow's C library %s was not found: %s; get it with `nasnet doctor --fix` or `make libtensorflow`, "+
		"or set LIBTENSORFLOW_DIR to a directory that holds its lib and include", Series, strings.Join(reasons, "; "))
}

// VersionError refuses a copy of another release: its operations and C types
// differ, which would show as a failing build or, worse, a failing run.
type VersionError struct {
	Dir, Version string // Version is "" where none could be read
}

func (e *VersionError) Error() string {
	if e.Version == "" {
		return fmt.Sprintf("%s does not say which TensorFlow it is (no include/tensorflow/core/public/version.h, no version in the library's name); %s is needed", e.Dir, Series)
	}
	return fmt.Sprintf("%s is TensorFlow %s, %s is needed", e.Dir, e.Version, Series)
}
