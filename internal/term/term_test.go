package term_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/nasnet-go/nasnet/internal/term"
)

func TestHumanNumbers(t *testing.T) {
	for got, want := range map[string]string{
		term.Count(0): "0", term.Count(999): "999", term.Count(5326716): "5,326,716", term.Count(-1000): "-1,000", term.Count(-123): "-123",
		term.Short(5326716): "5.33 M", term.Short(23783000000): "23.8 G", term.Short(999): "999", term.Short(100400): "100 k",
		term.Bytes(0): "0 B", term.Bytes(1536): "1.50 KiB", term.Bytes(5 << 40): "5.00 TiB",
		term.Percent(0.63421):                  "63.42 %",
		term.Duration(4200 * time.Millisecond): "4.2s", term.Duration(59 * time.Second): "59s",
		term.Duration(234 * time.Second): "3m54s", term.Duration(62*time.Minute + 31*time.Second): "1h02m",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func TestPlainLinesNowAndThen(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	tm := term.New(&out, term.Options{Now: c.Now, Interval: 10 * time.Second})
	b := tm.Bar("train", "steps")
	for i := range int64(26) { // one a second, resumed at 100
		b.Set(100+i, 200, "loss 1.2")
		c.now = c.now.Add(time.Second)
	}
	b.End()
	b.Set(200, 200, "") // late: nothing
	want := "           110/200 steps, 1 steps/s, 1m30s left, loss 1.2\n           120/200 steps, 1 steps/s, 1m20s left, loss 1.2\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}

func TestBarOnATerminal(t *testing.T) {
	var out bytes.Buffer
	yes := true
	tm := term.New(&out, term.Options{TTY: &yes, Getenv: func(string) string { return "" }})
	b := tm.Bar("train", "steps")
	b.Set(1, 10, "")
	tm.Note("a line above")
	b.Set(5, 10, "")
	b.End()
	tm.Heading("eval", "after it")
	if s := out.String(); !strings.Contains(s, "a line above") || !strings.Contains(s, "\x1b[1meval") {
		t.Errorf("got %q", s)
	}
}

func TestNoColorIsRespected(t *testing.T) {
	yes := true
	for env, want := range map[string]string{"": "\x1b[31mx\x1b[0m", "1": "x"} {
		tm := term.New(&bytes.Buffer{}, term.Options{TTY: &yes, Getenv: func(name string) string {
			if name == "NO_COLOR" {
				return env
			}
			return ""
		}})
		if got := tm.Red("x"); got != want {
			t.Errorf("NO_COLOR=%q: %q, want %q", env, got, want)
		}
	}
}

func TestQuietSaysNothing(t *testing.T) {
	var out bytes.Buffer
	tm := term.New(&out, term.Options{Quiet: true, Interval: 1})
	tm.Heading("a", "b")
	tm.Note("c")
	b := tm.Bar("x", "y")
	b.Set(1, 2, "")
	b.Set(2, 2, "")
	b.End()
	if out.Len() > 0 {
		t.Errorf("got %q", &out)
	}
}

func TestTableAlignsNumbersToTheRight(t *testing.T) {
	var out bytes.Buffer
	err := term.Table(&out, []string{"arm", "trials", "best"}, [][]string{{"ppo", "16", "0.45"}, {"random", "160", "-0.46"}})
	want := "arm     trials   best\nppo         16   0.45\nrandom     160  -0.46\n"
	if err != nil || out.String() != want {
		t.Errorf("got\n%q\nwant\n%q (%v)", &out, want, err)
	}
}

func TestBoxHoldsItsLines(t *testing.T) {
	var out bytes.Buffer
	if err := term.Box(&out, "T", []string{"äöü", "longer line"}); err != nil {
		t.Fatal(err)
	}
	want := "┌─ T ─────────┐\n│ äöü         │\n│ longer line │\n└─────────────┘\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}
