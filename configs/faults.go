package configs

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong with a configuration.
type Fault struct {
	Where   string // file:line, variable or flag; "" where the value alone is at fault
	Key     string // its path
	Problem string // what is wrong and what would be right
}

func (f Fault) String() string {
	s := f.Problem
	if f.Key != "" {
		s = f.Key + ": " + s
	}
	if f.Where != "" {
		s = f.Where + ": " + s
	}
	return s
}

// Error lists all faults of a configuration.
type Error struct {
	Name   string // of the configuration
	Faults []Fault
}

func (e *Error) Error() string {
	if len(e.Faults) == 1 {
		return fmt.Sprintf("configuration %s: %s", e.Name, e.Faults[0])
	}
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = "  " + f.String()
	}
	return fmt.Sprintf("configuration %s has %d faults:\n%s", e.Name, len(e.Faults), strings.Join(lines, "\n"))
}

// ExitCode is the command's: wrong configuration.
func (e *Error) ExitCode() int { return 2 }

// faults collects.
type faults []Fault

func (f *faults) add(where, key, format string, args ...any) {
	*f = append(*f, Fault{where, key, fmt.Sprintf(format, args...)})
}

func (f faults) err(name string) error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Name: name, Faults: f}
}
