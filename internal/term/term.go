package term

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"golang.org/x/term"
)

// Options say what a writer can show. Zero: found out from the writer and the
// environment.
type Options struct {
	TTY      *bool                // bars and colours; default: whether the writer is a terminal
	Getenv   func(string) string  // NO_COLOR, TERM; default os.Getenv
	Interval time.Duration        // between plain lines of one bar; default 15 s
	Now      func() time.Time     // default time.Now
	Width    func() (columns int) // default: the terminal's, else 80
	Quiet    bool                 // no bars, lines or notes at all
}

// Term writes progress and notes. It may be used by many goroutines.
type Term struct {
	w        io.Writer
	tty      bool
	color    bool
	quiet    bool
	interval time.Duration
	now      func() time.Time
	width    func() int

	mu   sync.Mutex
	live *mpb.Progress // bars on the screen; nil: none
}

// New makes a Term that writes to w.
func New(w io.Writer, o Options) *Term {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Interval == 0 {
		o.Interval = 15 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	tty := isTerminal(w) && o.Getenv("TERM") != "dumb"
	if o.TTY != nil {
		tty = *o.TTY
	}
	if o.Width == nil {
		o.Width = func() int { return columns(w) }
	}
	return &Term{w: w, tty: tty, color: tty && o.Getenv("NO_COLOR") == "", quiet: o.Quiet, interval: o.Interval, now: o.Now, width: o.Width}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 80
}

// Write writes whole lines above a bar that is on the screen, for logs.
func (t *Term) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live != nil {
		if n, err := t.live.Write(p); err == nil {
			return n, nil
		}
	}
	return t.w.Write(p)
}

// Heading begins a stage.
func (t *Term) Heading(name, detail string) {
	if !t.quiet {
		fmt.Fprintf(t, "%s  %s\n", t.Bold(fmt.Sprintf("%-9s", name)), detail)
	}
}

// Note writes a line of what happened, indented under its stage.
func (t *Term) Note(format string, args ...any) {
	if !t.quiet {
		fmt.Fprintf(t, "           %s\n", strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n           "))
	}
}

// Bold, Dim, Red and Green colour text where that is possible.
func (t *Term) Bold(s string) string  { return t.paint("1", s) }
func (t *Term) Dim(s string) string   { return t.paint("2", s) }
func (t *Term) Red(s string) string   { return t.paint("31", s) }
func (t *Term) Green(s string) string { return t.paint("32", s) }

func (t *Term) paint(code, s string) string {
	if !t.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
