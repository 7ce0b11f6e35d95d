package term

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Bar shows one long step. Its methods may be called from many goroutines.
type Bar struct {
	t     *Term
	label string
	unit  string

	mu          sync.Mutex
	begun       bool
	ended       bool
	first       int64 // done when it began: what an earlier process did
	start, last time.Time
	done, total int64
	extra       string

	progress *mpb.Progress
	bar      *mpb.Bar
}

// Bar begins a step, counted in unit ("steps", "bytes"). Nothing is shown
// before the first Set.
func (t *Term) Bar(label, unit string) *Bar {
	return &Bar{t: t, label: label, unit: unit}
}

// Set tells how far it is; total 0 means unknown. extra is a short text behind
// the counts.
func (b *Bar) Set(done, total int64, extra string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended || b.t.quiet {
		return
	}
	now := b.t.now()
	b.done, b.total, b.extra = done, total, extra
	if !b.begun {
		b.begun, b.first, b.start, b.last = true, done, now, now
		if b.t.tty {
			b.open()
		}
	}
	switch {
	case b.bar != nil:
		b.bar.SetTotal(max(total, done+1), false)
		b.bar.SetCurrent(done)
	case now.Sub(b.last) >= b.t.interval:
		b.last = now
		b.t.Note("%s", b.line(now))
	}
}

// End finishes the step. A bar disappears, so that the lines that stay are the
// same on a terminal and elsewhere.
func (b *Bar) End() {
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return
	}
	b.ended = true
	b.mu.Unlock() // the bar's decorators take the lock
	if b.bar == nil {
		return
	}
	b.bar.Abort(true)
	b.progress.Wait()
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	b.t.live = nil
}

// open puts the bar on the screen.
func (b *Bar) open() {
	width := max(10, min(30, b.t.width()-65))
	b.progress = mpb.New(mpb.WithOutput(b.t.w), mpb.WithWidth(width), mpb.WithAutoRefresh(), mpb.WithRefreshRate(200*time.Millisecond))
	b.bar = b.progress.New(0, mpb.BarStyle().Lbound("").Filler("█").Tip("█").Padding("░").Rbound(""),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return b.before() })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.after() })),
		mpb.BarRemoveOnComplete())
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	b.t.live = b.progress
}

func (b *Bar) before() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintf("%-9s  %s  ", b.label, b.counts())
}

func (b *Bar) after() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return "  " + b.pace(b.t.now())
}

// line is the bar as plain text.
func (b *Bar) line(now time.Time) string {
	return strings.TrimSuffix(fmt.Sprintf("%s, %s", b.counts(), b.pace(now)), ", ")
}

func (b *Bar) counts() string {
	if b.unit == "bytes" {
		if b.total > 0 {
			return Bytes(b.done) + " of " + Bytes(b.total)
		}
		return Bytes(b.done)
	}
	if b.total > 0 {
		return fmt.Sprintf("%d/%d %s", b.done, b.total, b.unit)
	}
	return fmt.Sprintf("%d %s", b.done, b.unit)
}

// pace is the rate since the beginning, the time left at that rate, and the
// extra text.
func (b *Bar) pace(now time.Time) string {
	var parts []string
	seconds, made := now.Sub(b.start).Seconds(), float64(b.done-b.first)
	if seconds >= 0.5 && made > 0 {
		parts = append(parts, rate(made/seconds, b.unit))
		if left := float64(b.total - b.done); b.total > 0 && left > 0 {
			parts = append(parts, Duration(time.Duration(left/made*seconds*float64(time.Second)))+" left")
		}
	}
	if b.extra != "" {
		parts = append(parts, b.extra)
	}
	return strings.Join(parts, ", ")
}

func rate(perSecond float64, unit string) string {
	switch {
	case unit == "bytes":
		return Bytes(int64(perSecond)) + "/s"
	case perSecond < 1:
		return fmt.Sprintf("%.3g %s/min", perSecond*60, unit)
	}
	return fmt.Sprintf("%.3g %s/s", perSecond, unit)
}
