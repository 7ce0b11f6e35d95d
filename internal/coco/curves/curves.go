// Package curves draws the precision-recall curves of a score.
//
// Caveat: the curves are COCO's, interpolated: at each of 101 recalls the best
// precision at that recall or beyond it, averaged over the categories.
package curves

import (
	"fmt"
	"image/color"
	"io"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/durable"
)

// formats are the endings that Write understands.
var formats = []string{"png", "svg", "pdf"}

// Format returns the format that a file's name asks for.
func Format(path string) (string, error) {
	ending := strings.ToLower(strings.TrimPrefix(filepath.Ext(path), "."))
	for _, f := range formats {
		if f == ending {
			return f, nil
		}
	}
	return "", fmt.Errorf("curves: %s: want a name that ends in .%s", path, strings.Join(formats, ", ."))
}

// Write draws the curve of every IoU threshold into a file, whose name says the
// format. There must be an object to judge by.
func Write(path string, s *coco.Score) error {
	format, err := Format(path)
	if err != nil {
		return err
	}
	p, err := draw(s)
	if err != nil {
		return err
	}
	to, err := p.WriterTo(16*vg.Centimeter, 12*vg.Centimeter, format)
	if err != nil {
		return fmt.Errorf("curves: %w", err)
	}
	var text strings.Builder
	if _, err := to.WriteTo(io.Writer(&text)); err != nil {
		return fmt.Errorf("curves: %w", err)
	}
	return durable.WriteFile(path, []byte(text.String()), 0o644)
}

func draw(s *coco.Score) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("AP %.3f over %d categories", s.Summary().AP, len(s.Categories))
	p.X.Label.Text, p.Y.Label.Text = "recall", "precision"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1.02
	p.Legend.Left, p.Legend.YOffs = true, 2*vg.Millimeter
	p.Add(plotter.NewGrid())
	recalls, thresholds := coco.RecallPoints(), coco.IoUThresholds()
	ap := s.AtThreshold()
	for t, iou := range thresholds {
		curve := s.Curve(t)
		if curve == nil {
			return nil, fmt.Errorf("curves: there is no object to judge by, so there is no curve")
		}
		points := make(plotter.XYs, len(recalls))
		for i := range points {
			points[i] = plotter.XY{X: recalls[i], Y: curve[i]}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("curves: %w", err)
		}
		line.Width, line.Color = vg.Points(1.5), shade(t, len(thresholds))
		p.Add(line)
		p.Legend.Add(fmt.Sprintf("IoU %.2f: %.3f", iou, ap[t]), line)
	}
	return p, nil
}

// shade goes from blue, the loosest threshold, to red.
func shade(i, n int) color.Color {
	f := float64(i) / float64(n-1)
	return color.RGBA{uint8(30 + 190*f), uint8(90 - 50*f), uint8(200 - 160*f), 255}
}
