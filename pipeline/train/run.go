package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// ErrInterrupted is returned when the context ended: the state is in the newest
// checkpoint and the same call goes on from there.
var ErrInterrupted = errors.New("training interrupted; it goes on from its last checkpoint")

// Trainer is a training in progress. Its graph and session stay usable after
// Run, for evaluating what was trained.
type Trainer struct {
	Graph   *tfgraph.Graph
	Store   *tfgraph.Store
	Session *tfgraph.Session

	o       Options
	src     Source
	step    *step
	savings *checkpoints // nil until the first is written or read
	metrics *metricsLog
	events  *events
	result  Result
	state   State         // as of the last step
	norms   []float32     // of the last step's gradients
	pace    pace          // of the steps since the last report
	begun   time.Time     // this process's training
	before  time.Duration // training of earlier processes
}

// New builds the graph of a training: makeSource adds the input's nodes, build
// the network's. Close the trainer after use.
func New(o Options, makeSource func(s *tfgraph.Scope) Source, build Build) (*Trainer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	t := &Trainer{Graph: tfgraph.New(), Store: tfgraph.NewStore(o.Seed), o: o}
	if o.remote() {
		t.Graph = tfgraph.NewAt(o.Session.Cluster.HostDevice())
	}
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
	t.events = t.newEvents()
	err := t.begin(ctx)
	if err == nil && !t.over() {
		err = t.loop(ctx)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) { // a hook or an evaluation gave up: its step is taken or measured again
		err = errors.Join(ErrInterrupted, err)
	}
	err = errors.Join(err, t.metrics.close(), t.events.close())
	t.result.Steps, t.result.Epochs, t.result.Ended = t.state.Step, t.epochs(t.state.Step), t.state.Ended
	if t.state.Report != nil {
		t.result.Loss = t.state.Report.Loss
	}
	if b := t.state.Best; b != nil {
		t.result.BestStep, t.result.BestMetric = b.Step, b.Metric
		if t.o.Dir != "" {
			t.result.Best = stepDir(t.checkpointDir(), b.Step)
		}
	}
	return t.result, err
}

func (t *Trainer) checkpointDir() string { return filepath.Join(t.o.Dir, "checkpoints") }

// saver makes the checkpoint operations when they are first needed: a search's
// child never does.
func (t *Trainer) saver() *checkpoints {
	if t.savings == nil {
		keep := retention{t.o.KeepCheckpoints, t.o.KeepEvery}
		t.savings = newCheckpoints(t.checkpointDir(), keep, t.Graph.Root().Sub("save"), t.Store.All())
	}
	return t.savings
}

// begin gives the variables their first or their saved values.
func (t *Trainer) begin(ctx context.Context) error {
	found, err := t.resume()
	if err != nil {
		return err
	}
	t.result.ResumedAt, t.before = t.state.Step, time.Duration(t.state.Seconds*float64(time.Second))
	if !found {
		t.state = State{Seed: t.o.Seed, Digest: t.o.Digest}
		if _, err := t.Session.Run(nil, nil, t.Store.Init(t.Graph.Root())); err != nil {
			return fmt.Errorf("train: first values: %w", err)
		}
		if err := t.takeInitial(); err != nil {
			return err
		}
	}
	if sums := t.step.sums.store; sums != nil {
		if _, err := t.Session.Run(nil, nil, sums.Init(t.Graph.Root().Sub("sums"))); err != nil {
			return fmt.Errorf("train: gradient sums: %w", err)
		}
	}
	if found {
		if err := t.catchUp(ctx); err != nil {
			return err
		}
	}
	if t.over() {
		return nil
	}
	if t.events != nil && t.o.Events.Images > 0 && !found {
		if err := t.images(t.state.Images); err != nil {
			return err
		}
	}
	return t.src.Start(t.Session, t.state.Images)
}

// resume restores the newest checkpoint and opens the logs behind it.
func (t *Trainer) resume() (found bool, err error) {
	if t.o.Dir == "" {
		return false, nil
	}
	list, err := Checkpoints(t.checkpointDir())
	if err != nil {
		return false, err
	}
	if len(list) > 0 {
		if t.state, found, err = t.saver().restore(t.Session, t.o.Digest, t.note); err != nil {
			return false, err
		}
	}
	upTo := t.state.Step
	if found {
		t.result.Checkpoint = stepDir(t.checkpointDir(), upTo)
		if t.pending() { // its line may be there or not; it is written again
			upTo--
		}
		if t.state.Ended == endedByBudget && !t.spent(t.state.Seconds) {
			t.state.Ended = "" // the budget has been raised since
		}
		if !t.over() {
			t.note(fmt.Sprintf("going on from step %d of %d", t.state.Step, t.o.Steps))
		}
	}
	t.metrics, err = openMetrics(t.o.Dir, upTo)
	return found, err
}

// pending reports whether the restored step's evaluation was cut short.
func (t *Trainer) pending() bool {
	st := t.state
	return st.Report != nil && st.Report.Step == st.Step && st.Evaluated < st.Step && t.o.Evaluation.due(st.Step, t.over())
}

// catchUp makes good an evaluation that was cut short.
func (t *Trainer) catchUp(ctx context.Context) error {
	if !t.pending() {
		return nil
	}
	return t.measure(ctx)
}

// over reports whether training is at its end.
func (t *Trainer) over() bool { return t.state.Step >= t.o.Steps || t.state.Ended != "" }

func (t *Trainer) epochs(step int64) float64 {
	return float64(step*t.o.Batch) / float64(max(1, t.o.Epoch))
}

func (t *Trainer) note(text string) {
	if t.o.OnNote != nil {
		t.o.OnNote(text)
	}
}
