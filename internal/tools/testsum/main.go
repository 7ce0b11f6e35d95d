// Command testsum reads `go test -json` on stdin and prints what a person wants
// of it: one line a package, the output of what failed, the names of what was
// skipped with the reason, and one line with the sum. It exits with 1 when
// anything failed, or when there was nothing to read.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
)

func main() {
	if !summarise(os.Stdin, os.Stdout) {
		os.Exit(1)
	}
}

// event is one line of `go test -json`; see `go doc test2json` and
// `go help buildjson`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

type sum struct {
	out                      io.Writer
	start                    time.Time
	output                   map[string]string // of a test, package or build that has not ended yet
	passed, failed, packages int
	broken                   []string // packages that failed
	skipped                  []string
}

func summarise(in io.Reader, out io.Writer) (ok bool) {
	s := &sum{out: out, start: time.Now(), output: map[string]string{}}
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil && e.Action != "" {
			s.add(e)
		} else if len(line) > 0 {
			fmt.Fprint(out, string(line)) // the go command's own words
		}
		if err != nil {
			break
		}
	}
	return s.finish()
}

func (s *sum) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		s.output[key] += e.Output
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "build-fail":
		fmt.Fprintf(s.out, "FAIL  %s does not build\n", e.ImportPath)
		s.failed++
	case "pass", "skip", "fail":
		if e.Test == "" {
			s.endPackage(e, s.output[key])
		} else {
			s.endTest(e, s.output[key])
		}
		delete(s.output, key)
	}
}

func (s *sum) endTest(e event, output string) {
	switch e.Action {
	case "pass":
		s.passed++
	case "skip":
		s.skipped = append(s.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, skipReason(output)))
	case "fail":
		s.failed++
		fmt.Fprint(s.out, output)
	}
}

func (s *sum) endPackage(e event, output string) {
	switch e.Action {
	case "pass":
		s.packages++
		fmt.Fprintf(s.out, "ok    %s  %.1f s\n", e.Package, e.Elapsed)
	case "fail":
		s.packages++
		s.broken = append(s.broken, e.Package)
		fmt.Fprint(s.out, output)
		fmt.Fprintf(s.out, "FAIL  %s  %.1f s\n", e.Package, e.Elapsed)
	}
}

func (s *sum) finish() bool {
	for _, line := range s.skipped {
		fmt.Fprintln(s.out, "skip ", line)
	}
	for _, name := range s.broken {
		fmt.Fprintln(s.out, "FAIL ", name)
	}
	fmt.Fprintf(s.out, "%d tests passed, %d failed, %d skipped; %d packages, %d of them failed; %.0f s\n",
		s.passed, s.failed, len(s.skipped), s.packages, len(s.broken), time.Since(s.start).Seconds())
	return s.failed == 0 && len(s.broken) == 0 && s.passed > 0
}

var skipLine = regexp.MustCompile(`(?m)^\s+\S+_test\.go:\d+: (.*)$`)

func skipReason(output string) string {
	if m := skipLine.FindStringSubmatch(output); m != nil {
		return strings.TrimSpace(m[1])
	}
	return "no reason given"
}
