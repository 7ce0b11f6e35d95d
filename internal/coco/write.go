package coco

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// writer writes JSON lists entry by entry.
type writer struct {
	out *bufio.Writer
	err error
}

func (w *writer) text(s string) { w.out.WriteString(s) } // an error stays until Flush

// list writes n entries, one a line.
func (w *writer) list(n int, entry func(i int) any) {
	w.text("[")
	for i := range n {
		text, err := json.Marshal(entry(i))
		if err != nil && w.err == nil {
			w.err = fmt.Errorf("coco: entry %d: %w", i, err)
		}
		if i > 0 {
			w.text(",")
		}
		w.text("\n")
		w.out.Write(text)
	}
	w.text("\n]")
}

func (w *writer) end() error {
	w.text("\n")
	if err := w.out.Flush(); err != nil && w.err == nil {
		w.err = fmt.Errorf("coco: write: %w", err)
	}
	return w.err
}

// WriteResults writes detections as a result file, with every digit of their
// numbers, so that reading them gives the same metrics.
func WriteResults(out io.Writer, list []Detection) error {
	for i, d := range list {
		if f := d.check(); f != nil {
			f.File, f.List, f.Record = "output", "results", int64(i)
			return fmt.Errorf("coco: %w", f)
		}
	}
	w := &writer{out: bufio.NewWriter(out)}
	w.list(len(list), func(i int) any {
		d := list[i]
		return resultEntry{integer(d.ImageID), integer(d.CategoryID), d.Box.numbers(), d.Score}
	})
	return w.end()
}

// WriteAnnotations writes a set as an annotation file.
func WriteAnnotations(out io.Writer, set *Dataset) error {
	w := &writer{out: bufio.NewWriter(out)}
	w.text(`{"images":`)
	w.list(len(set.Images), func(i int) any {
		img := set.Images[i]
		return imageEntry{integer(img.ID), integer(img.Width), integer(img.Height), img.FileName}
	})
	w.text(`,"annotations":`)
	w.list(len(set.Objects), func(i int) any {
		o := set.Objects[i]
		e := annotationEntry{ID: integer(o.ID), ImageID: integer(o.ImageID), CategoryID: integer(o.CategoryID), BBox: o.Box.numbers(), Area: o.Area}
		if o.Crowd {
			e.Crowd = 1
		}
		return e
	})
	w.text(`,"categories":`)
	w.list(len(set.Categories), func(i int) any { return categoryEntry{integer(set.Categories[i].ID), set.Categories[i].Name} })
	w.text("}")
	return w.end()
}

func (b Box) numbers() []float64 { return []float64{b.X, b.Y, b.W, b.H} }
