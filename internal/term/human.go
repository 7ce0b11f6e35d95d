package term

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Count writes a number with thousands set apart: 5,326,716.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	digits := 0
	for i := len(s) - 1; i > 0 && s[i-1] != '-'; i-- {
		if digits++; digits%3 == 0 {
			s = s[:i] + "," + s[i:]
		}
	}
	return s
}

// Short writes a number with three digits and a prefix: 5.33 M.
func Short(n int64) string {
	x := float64(n)
	for _, p := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(x) >= p.size {
			return threeDigits(x/p.size) + " " + p.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// Bytes writes a size in binary units: 1.5 MiB.
func Bytes(n int64) string {
	x := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if math.Abs(x) < 1024 {
			if unit == "B" {
				return fmt.Sprintf("%d B", n)
			}
			return threeDigits(x) + " " + unit
		}
		x /= 1024
	}
	return threeDigits(x) + " TiB"
}

func threeDigits(x float64) string {
	switch {
	case math.Abs(x) >= 99.95:
		return fmt.Sprintf("%.0f", x)
	case math.Abs(x) >= 9.995:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// Percent writes a share: 63.42 %.
func Percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// Duration writes a time in the two units that matter: 1h02m, 3m54s, 4.2s.
func Duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
