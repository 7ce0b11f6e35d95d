package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// Trainer is a training in progress. Its graph and session stay usable after
// Run, for evaluating what was trained.
type Trainer struct {
	Graph   *tfgraph.Graph
	Store   *tfgraph.Store
	Session *tfgraph.Session

	o       Options
	src     Source
	step    step
	savings saver
	metrics *metricsLog
	result  Result
	last    time.Time // of the last report
	lastAt  int64     // its step
}

// New builds the graph of a training: makeSource adds the input's nodes, build
// the network's. Close the trainer after use.
func New(o Options, makeSource func(s *tfgraph.Scope) Source, build Build) (*Trainer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.ReportSteps <= 0 {
		o.ReportSteps = 50
	}
	if o.KeepCheckpoints <= 0 {
		o.KeepCheckpoints = 3
	}
	t := &Trainer{Graph: tfgraph.New(), Store: tfgraph.NewStore(o.Seed), o: o}
	s := t.Graph.Root()
	t.src = makeSource(s)
	t.step = newStep(s, t.Store, t.src, build, o)
	var err error
	if t.Session, err = tfgraph.NewSession(t.Graph, o.Session); err != nil {
		return nil, err
	}
	return t, nil
}

// Close frees the session.
func (t *Trainer) Close() error { return t.Session.Close() }

// Run trains from the newest checkpoint, or from the start, to the last step.
// When ctx ends it saves a checkpoint and returns ErrInterrupted.
func (t *Trainer) Run(ctx context.Context) (Result, error) {
	from, err := t.begin()
	if err != nil {
		return t.result, err
	}
	err = t.loop(ctx, from)
	if err2 := t.metrics.close(); err == nil {
		err = err2
	}
	return t.result, err
}

// begin gives the variables their first or their saved values.
func (t *Trainer) begin() (int64, error) {
	var st State
	found := false
	if t.o.Dir != "" {
		t.savings = saver{dir: filepath.Join(t.o.Dir, "checkpoints"), keep: t.o.KeepCheckpoints, saver: t.newSaver()}
		var err error
		if st, found, err = t.savings.restore(t.Session, t.o.Digest, t.note); err != nil {
			return 0, err
		}
		if t.metrics, err = openMetrics(t.o.Dir, st.Step); err != nil {
			return 0, err
		}
	}
	if !found {
		if _, err := t.Session.Run(nil, nil, t.Store.Init(t.Graph.Root())); err != nil {
			return 0, fmt.Errorf("train: first values: %w", err)
		}
	} else if st.Step < t.o.Steps {
		t.note(fmt.Sprintf("going on from step %d of %d", st.Step, t.o.Steps))
	}
	t.result.ResumedAt, t.result.Steps = st.Step, st.Step
	if found && st.Step >= t.o.Steps { // already done: report the last line again
		t.result.Checkpoint = filepath.Join(t.savings.dir, fmt.Sprintf("step-%08d", st.Step))
		t.result.Epochs = t.epochs(st.Step)
		t.result.Loss = lastLoss(t.o.Dir)
		return st.Step, nil
	}
	return st.Step, t.src.Start(t.Session, st.Images)
}

func (t *Trainer) newSaver() *tfgraph.Saver {
	var keys []string
	for _, v := range t.Store.All() {
		keys = append(keys, v.Name)
	}
	return tfgraph.NewSaver(t.Graph.Root().Sub("save"), keys, t.Store.All())
}

func (t *Trainer) loop(ctx context.Context, from int64) error {
	begin := time.Now()
	t.last, t.lastAt = begin, from
	fetches := []tfgraph.Tensor{t.step.loss, t.step.accuracy, t.step.norm}
	for n := from; n < t.o.Steps; n++ {
		if ctx.Err() != nil {
			return errors.Join(ErrInterrupted, t.checkpoint(n))
		}
		out, err := t.Session.Scalars(t.feeds(n), fetches, t.step.train)
		if err != nil {
			return fmt.Errorf("train: step %d: %w", n, err)
		}
		if n == from {
			t.result.FirstSeconds = time.Since(begin).Seconds()
			t.last, t.lastAt = time.Now(), n+1
		}
		t.result.Steps, t.result.Epochs, t.result.Seconds = n+1, t.epochs(n+1), time.Since(begin).Seconds()
		if err := t.after(n, out); err != nil {
			return err
		}
	}
	return nil
}

// feeds computes what changes from step to step.
func (t *Trainer) feeds(n int64) tfgraph.Feeds {
	f := tfgraph.Feeds{t.step.rate: tfgraph.Scalar(float32(t.o.Rate(n))), t.step.number: tfgraph.Scalar(n)}
	keep := t.o.DropPath.At(n)
	v, err := tfgraph.NewValue(keep, int64(len(keep)))
	if err == nil {
		f[t.step.keep] = v
	}
	return f
}

// after checks, reports and saves what is due after step n.
func (t *Trainer) after(n int64, out []float32) error {
	loss := float64(out[0])
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("train: step %d: %w (%g) at learning rate %g; a smaller rate or a gradient clip may help, the last checkpoint is finite",
			n, ErrDiverged, loss, t.o.Rate(n))
	}
	done := n + 1
	if done%t.o.ReportSteps == 0 || done == t.o.Steps {
		t.result.Loss = loss
		if err := t.report(done, out); err != nil {
			return err
		}
	}
	if done == t.o.Steps || t.o.CheckpointSteps > 0 && done%t.o.CheckpointSteps == 0 {
		return t.checkpoint(done)
	}
	return nil
}

func (t *Trainer) report(done int64, out []float32) error {
	now := time.Now()
	p := Progress{
		Step: done, Steps: t.o.Steps, Epoch: t.epochs(done), Loss: float64(out[0]), Accuracy: float64(out[1]),
		GradientNorm: float64(out[2]), LearningRate: t.o.Rate(done - 1), KeepFirst: 1, KeepLast: 1, ResidentBytes: resident(),
	}
	if keep := t.o.DropPath.At(done - 1); len(keep) > 0 {
		p.KeepFirst, p.KeepLast = float64(keep[0]), float64(keep[len(keep)-1])
	}
	if d := now.Sub(t.last).Seconds(); d > 0 && done > t.lastAt {
		p.ImagesPerSecond = float64((done-t.lastAt)*t.o.Batch) / d
	}
	t.last, t.lastAt = now, done
	if t.o.OnProgress != nil {
		t.o.OnProgress(p)
	}
	return t.metrics.write(p)
}

func (t *Trainer) checkpoint(done int64) error {
	if t.o.Dir == "" {
		return nil
	}
	cp, err := t.savings.save(t.Session, State{Step: done, Images: done * t.o.Batch, Seed: t.o.Seed, Digest: t.o.Digest})
	if err == nil {
		t.result.Checkpoint = cp.Dir
	}
	return err
}

func (t *Trainer) epochs(step int64) float64 {
	return float64(step*t.o.Batch) / float64(max(1, t.o.Epoch))
}

func (t *Trainer) note(text string) {
	if t.o.OnNote != nil {
		t.o.OnNote(text)
	}
}

// resident is the process's memory in bytes, 0 where the system does not say.
func resident() int64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(raw))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
