package plot_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/plot"
)

// figures are one of each kind.
func figures(t *testing.T) map[string]*plot.Figure {
	t.Helper()
	all := map[string]*plot.Figure{}
	add := func(name string, f *plot.Figure, err error) {
		if err != nil {
			t.Fatal(name, err)
		}
		all[name] = f
	}
	f, err := plot.Lines("step", "loss", []plot.Series{
		{Name: "training", X: []float64{1, 2, 3, 4}, Y: []float64{2.3, 1.9, math.NaN(), 1.4}}, {Name: "held out <&>", X: []float64{2, 4}, Y: []float64{2, 1.6}}, {Name: "best", X: []float64{4}, Y: []float64{1.4}},
	})
	add("lines", f, err)
	f, err = plot.Intervals("reward", []plot.Interval{{Name: "ppo", Value: 0.61, Low: 0.55, High: 0.67, Points: []float64{0.5, 0.6, 0.7}}, {Name: "random", Value: 0.5, Low: 0.42, High: 0.58}})
	add("intervals", f, err)
	f, err = plot.Reliability([]plot.Bin{{}, {Confidence: 0.4, Right: 0.5, Low: 0.3, High: 0.7, Images: 20}, {Confidence: 0.9, Right: 0.8, Low: 0.75, High: 0.85, Images: 200}})
	add("reliability", f, err)
	f, err = plot.Confusion([][]int64{{90, 8, 2}, {5, 80, 15}, {0, 0, 0}}, []string{"cat", "dog", "eel"})
	add("confusion", f, err)
	large := make([][]int64, 60)
	for i := range large {
		large[i] = make([]int64, 60)
		large[i][i], large[i][(i*7)%60] = 30, 5
	}
	f, err = plot.Confusion(large, nil)
	add("confusion of many classes", f, err)
	return all
}

var (
	colours   = regexp.MustCompile(`#[0-9A-Fa-f]{3,8}|rgb`)
	variables = regexp.MustCompile(`var\(--plot-(ink|grid|[1-6]),#[0-9A-F]{6}\)`)
)

// Every figure is well-formed, scales, and has no colour but style variables.
func TestSVGFollowsThePage(t *testing.T) {
	for name, f := range figures(t) {
		svg, err := f.SVG(`a "label" & more`)
		if err != nil {
			t.Fatal(name, err)
		}
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, svg)
			}
		}
		if !strings.HasPrefix(svg, `<svg class="plot"`) || !strings.Contains(svg, "viewBox=") || !strings.Contains(svg, "a &quot;label&quot; &amp; more") {
			t.Errorf("%s begins %.200s", name, svg)
		}
		if left := colours.FindString(variables.ReplaceAllString(svg, "")); left != "" {
			t.Errorf("%s has a fixed colour, %s", name, left)
		}
	}
}

func TestPNG(t *testing.T) {
	for name, f := range figures(t) {
		text, err := f.PNG()
		if err != nil {
			t.Fatal(name, err)
		}
		if dir := os.Getenv("NASNET_TEST_PICTURES"); dir != "" { // to be looked at
			if err := os.WriteFile(filepath.Join(dir, name+".png"), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if im, err := png.Decode(bytes.NewReader(text)); err != nil || im.Bounds().Dx() < 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingToDrawIsAnError(t *testing.T) {
	for name, f := range map[string]func() (*plot.Figure, error){
		"lines": func() (*plot.Figure, error) {
			return plot.Lines("", "", []plot.Series{{X: []float64{math.NaN()}, Y: []float64{1}}})
		},
		"odd lines": func() (*plot.Figure, error) {
			return plot.Lines("", "", []plot.Series{{X: []float64{1, 2}, Y: []float64{1}}})
		},
		"intervals":   func() (*plot.Figure, error) { return plot.Intervals("", nil) },
		"reliability": func() (*plot.Figure, error) { return plot.Reliability([]plot.Bin{{}}) },
		"confusion":   func() (*plot.Figure, error) { return plot.Confusion(nil, nil) },
		"not square":  func() (*plot.Figure, error) { return plot.Confusion([][]int64{{1, 2}}, nil) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s was drawn", name)
		}
	}
}
