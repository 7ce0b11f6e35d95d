package train

import (
	"fmt"
	"path/filepath"

	"github.com/nasnet-go/nasnet/internal/contactsheet"
	"github.com/nasnet-go/nasnet/internal/tfevents"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// Events says what TensorBoard gets to see, beside the metrics.
type Events struct {
	Off        bool
	Text       string // shown as the configuration, in Markdown
	Images     int    // pictures of a batch after augmentation, shown once; 0: none
	Histograms int64  // steps between histograms of all weights; 0: none
}

// events writes a process's event file, made with its first event. Nil writes
// nothing.
type events struct {
	dir string
	o   Events
	w   *tfevents.Writer
}

func (e *events) open(step int64) error {
	if e.w != nil {
		return nil
	}
	var err error
	if e.w, err = tfevents.Create(e.dir, tfevents.Options{}); err == nil && e.o.Text != "" {
		err = e.w.Text(step, "configuration", e.o.Text)
	}
	return err
}

func (e *events) scalars(p Progress) error {
	if e == nil {
		return nil
	}
	if err := e.open(p.Step); err != nil {
		return err
	}
	return e.w.Scalars(p.Step, p.scalars())
}

func (e *events) close() error {
	if e == nil || e.w == nil {
		return nil
	}
	return e.w.Close()
}

func (t *Trainer) newEvents() *events {
	if t.o.Dir == "" || t.o.Events.Off {
		return nil
	}
	return &events{dir: filepath.Join(t.o.Dir, "events"), o: t.o.Events}
}

// histograms writes the weights' distributions.
func (e *events) histograms(sess *tfgraph.Session, vars []*tfgraph.Variable, step int64) error {
	if err := e.open(step); err != nil {
		return err
	}
	for _, v := range vars { // one by one: all at once may be as large as the network
		out, err := sess.Run(nil, []tfgraph.Tensor{v.Read})
		if err != nil {
			return err
		}
		data, err := tfgraph.Data[float32](out[0])
		if err != nil {
			return err
		}
		values := make([]float64, len(data))
		for i, x := range data {
			values[i] = float64(x)
		}
		if err := e.w.Histogram(step, v.Name, values); err != nil {
			return err
		}
	}
	return nil
}

// images writes pictures of the batch at a position, as the network gets them,
// each stretched to the range of what can be seen. The source is left at the
// batch behind it.
func (t *Trainer) images(position int64) error {
	e := t.events
	if err := e.open(t.state.Step); err != nil {
		return err
	}
	if err := t.src.Start(t.Session, position); err != nil {
		return err
	}
	out, err := t.Session.Run(nil, []tfgraph.Tensor{t.src.Images})
	if err != nil {
		return err
	}
	shape := out[0].Shape()
	data, err := tfgraph.Data[float32](out[0])
	if err != nil || len(shape) != 4 || shape[3] != 3 {
		return fmt.Errorf("train: pictures for TensorBoard: %v of shape %v, want float32 [N,H,W,3]", err, shape)
	}
	size := int(shape[1] * shape[2] * 3)
	for i := range min(e.o.Images, int(shape[0])) {
		if err := e.w.Image(t.state.Step, fmt.Sprintf("augmented/%d", i), contactsheet.Stretched(data[i*size:][:size], int(shape[2]))); err != nil {
			return err
		}
	}
	return nil
}
