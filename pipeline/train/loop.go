package train

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// endedByBudget is the state's word for a time budget that is used up.
const endedByBudget = "time budget used up"

// loop takes one step after the other.
func (t *Trainer) loop(ctx context.Context) error {
	t.begun = time.Now()
	t.pace.start(t.state.Step)
	for first := true; !t.over(); first = false {
		if ctx.Err() != nil {
			return t.interrupted()
		}
		n := t.state.Step
		m, err := t.step.run(t.Session, n, t.o)
		if err != nil {
			return err
		}
		if err := t.finite(n, m); err != nil {
			return err
		}
		t.advance(n + 1)
		if first { // it holds the graph's optimization, which no later step does
			t.result.FirstSeconds = t.result.Seconds
			t.pace.start(n + 1)
		}
		if err := t.after(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// advance moves the state on to so many steps done.
func (t *Trainer) advance(done int64) {
	spent := time.Since(t.begun)
	t.result.Seconds = spent.Seconds()
	t.state.Step, t.state.Images, t.state.Seconds = done, done*t.o.Batch, (t.before + spent).Seconds()
	if t.spent(t.state.Seconds) && done < t.o.Steps {
		t.state.Ended = endedByBudget
	}
}

func (t *Trainer) spent(seconds float64) bool {
	return t.o.Budget > 0 && seconds >= t.o.Budget.Seconds()
}

// interrupted saves what is not saved yet and says so.
func (t *Trainer) interrupted() error {
	if t.state.Step == 0 || t.result.Checkpoint == stepDir(t.checkpointDir(), t.state.Step) {
		return ErrInterrupted
	}
	return errors.Join(ErrInterrupted, t.checkpoint())
}

// after does what is due after a step: hooks, report, evaluation, checkpoint.
func (t *Trainer) after(ctx context.Context, m outcome) error {
	reporting := t.state.Step%t.o.ReportSteps == 0
	hooks := t.dueHooks()
	if reporting || t.over() || len(hooks) > 0 || t.o.Evaluation.due(t.state.Step, false) {
		p := t.progress(m)
		t.state.Report = &p
	}
	if err := t.call(ctx, hooks); err != nil {
		return err
	}
	if t.o.Evaluation.due(t.state.Step, t.over()) {
		return t.afterEvaluating(ctx)
	}
	if reporting || t.over() {
		if err := t.publish(); err != nil {
			return err
		}
	}
	every := t.o.CheckpointSteps
	if t.over() || every > 0 && t.state.Step%every == 0 {
		return t.checkpoint()
	}
	return nil
}

// afterEvaluating is after for a step with an evaluation. It saves first, so
// that an evaluation that is cut short costs no training.
func (t *Trainer) afterEvaluating(ctx context.Context) error {
	if err := t.checkpoint(); err != nil {
		return err
	}
	over := t.over()
	if err := t.measure(ctx); err != nil {
		return err
	}
	if over || !t.over() {
		return nil
	}
	return t.call(ctx, t.lastHooks()) // the evaluation made this step the last
}

// dueHooks are the caller's hooks that are due.
func (t *Trainer) dueHooks() []Hook {
	var due []Hook
	for _, h := range t.o.Hooks {
		if h.Every > 0 && t.state.Step%h.Every == 0 {
			due = append(due, h)
		}
	}
	if t.over() {
		due = append(due, t.lastHooks()...)
	}
	return due
}

func (t *Trainer) lastHooks() []Hook {
	return slices.DeleteFunc(slices.Clone(t.o.Hooks), func(h Hook) bool { return h.Every > 0 })
}

func (t *Trainer) call(ctx context.Context, hooks []Hook) error {
	for _, h := range hooks {
		err := h.Run(ctx, t, *t.state.Report)
		if errors.Is(err, ErrStop) {
			t.state.Ended = "ended by " + h.Name
		} else if err != nil {
			return fmt.Errorf("train: hook %s after step %d: %w", h.Name, t.state.Step, err)
		}
	}
	if len(hooks) > 0 {
		t.pace.start(t.state.Step)
	}
	return nil
}

// measure evaluates, reports, and writes what came out of it to the checkpoint
// that holds the step.
func (t *Trainer) measure(ctx context.Context) error {
	if err := t.evaluate(ctx, t.state.Report); err != nil {
		return err
	}
	if err := t.publish(); err != nil {
		return err
	}
	t.pace.start(t.state.Step)
	if t.o.Dir == "" {
		return nil
	}
	if err := t.saver().restate(t.state); err != nil {
		return err
	}
	if !t.over() {
		return nil
	}
	return t.saver().tidy(Checkpoint{t.result.Checkpoint, t.state})
}

// progress is the report of the step just taken.
func (t *Trainer) progress(m outcome) Progress {
	done := t.state.Step
	p := Progress{
		Step: done, Steps: t.o.Steps, Epoch: t.epochs(done), LearningRate: t.o.Rate(done - 1),
		Loss: m.loss(), GradientNorm: m.norm(), ImagesPerSecond: t.pace.rate(done) * float64(t.o.Batch), ResidentBytes: Resident(),
	}
	p.KeepFirst, p.KeepLast = t.o.DropPath.ends(done - 1)
	for i, name := range t.step.names[1:] {
		if v := m.scalars[i+1]; name == "accuracy" {
			p.Accuracy = v
		} else {
			p.add(name, v)
		}
	}
	t.pace.start(done)
	return p
}

// publish hands the state's report to everyone who listens.
func (t *Trainer) publish() error {
	p := *t.state.Report
	if t.o.OnProgress != nil {
		t.o.OnProgress(p)
	}
	if err := t.metrics.write(p); err != nil {
		return err
	}
	if err := t.events.scalars(p); err != nil {
		return err
	}
	if every := t.o.Events.Histograms; t.events != nil && every > 0 && p.Step%every == 0 {
		return t.events.histograms(t.Session, t.step.vars, p.Step)
	}
	return nil
}

// checkpoint publishes the state as of the last step.
func (t *Trainer) checkpoint() error {
	if t.o.Dir == "" {
		return nil
	}
	begun := time.Now()
	t.state.Saved = begun.UTC().Truncate(time.Second)
	cp, err := t.saver().save(t.Session, t.state)
	if err != nil {
		return err
	}
	t.result.Checkpoint = cp.Dir
	t.pace.at = t.pace.at.Add(time.Since(begun)) // saving is not training
	return nil
}

// pace measures steps a second since it was started.
type pace struct {
	at   time.Time
	step int64
}

func (p *pace) start(step int64) { p.at, p.step = time.Now(), step }

func (p *pace) rate(step int64) float64 {
	d := time.Since(p.at).Seconds()
	if d <= 0 || step <= p.step {
		return 0
	}
	return float64(step-p.step) / d
}
