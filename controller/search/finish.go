package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nasnet-go/nasnet/controller/search/ledger"
)

// Finish implements Source. A result counts when its row has been committed;
// handing in the same one twice is no error and has no effect.
func (e *Experiment) Finish(_ context.Context, r Ref, report Report) error {
	e.crash.point("before-commit")
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		return e.broken
	}
	t, err := e.holds(r)
	if err != nil {
		return e.refuse(r, err)
	}
	if err := e.end(t, report); err != nil {
		e.fail(err)
		e.dispatch()
		return err
	}
	return nil
}

// refuse turns a late result away. One that is recorded already is no news.
func (e *Experiment) refuse(r Ref, reason error) error {
	t := e.byID[r.Trial]
	if t != nil && t.Ended() && t.Attempt == r.Attempt && t.Reused < 0 && t.Cause != CausePoisoned {
		return nil
	}
	if err := e.ledger.Note(ledger.Event{Kind: "refused", Trial: r.Trial, Attempt: r.Attempt, Worker: r.Worker, Text: "a result came after the trial had been taken away"}); err != nil {
		e.fail(err)
		e.dispatch()
		return err
	}
	e.emit(Event{Kind: "refused", Trial: r.Trial, Attempt: r.Attempt, Worker: r.Worker})
	return reason
}

// end records the result of t's attempt and of the trials of equal cells that
// wait for it, in one transaction, and goes on from there.
func (e *Experiment) end(t *Trial, report Report) error {
	key := e.shareKey(t)
	row := e.rowOf(t, report)
	waiting := e.twins[key]
	rows := make([]*Trial, len(waiting))
	for i, twin := range waiting {
		rows[i] = copyResult(twin, row)
	}
	if err := e.ledger.End(row, rows...); err != nil {
		return err
	}
	e.crash.point("after-commit")
	delete(e.leases, t.ID)
	delete(e.owners, key)
	delete(e.twins, key)
	e.donors[key] = t
	if err := e.close(e.armOf(t), t, row); err != nil {
		return err
	}
	for i, twin := range waiting {
		if err := e.close(e.armOf(twin), twin, rows[i]); err != nil {
			return err
		}
	}
	e.countFailure(row)
	e.dispatch()
	return nil
}

// rowOf is t as report says that it ended.
func (e *Experiment) rowOf(t *Trial, report Report) *Trial {
	row := *t
	row.Reused, row.Seconds, row.Stopped, row.Curve, row.EndedAt = -1, report.Seconds, report.Stopped, report.Curve, time.Now().UnixMilli()
	row.Metrics = finite(row.Metrics)
	for name, v := range finite(report.Result.Metrics) {
		if row.Metrics == nil {
			row.Metrics = map[string]float64{}
		}
		row.Metrics[name] = v
	}
	row.State, row.Cause, row.Log = Done, report.Cause, lastLines(report.Log)
	row.Value = report.Result.Reward + 0 // no -0, which SQLite would not keep
	reward, err := e.spec.Objective.reward(row.Value, row.Metrics)
	if err == nil && (math.IsNaN(reward) || math.IsInf(reward, 0)) {
		row.Cause, row.Log = CauseNotFinite, fmt.Sprintf("the reward is %g", reward)
	}
	if err != nil && row.Cause == "" {
		row.Cause, row.Log = CauseError, err.Error()
	}
	if row.Reward = reward; row.Cause != "" {
		row.State, row.Reward, row.Value, row.Stopped = Failed, 0, 0, false
	}
	return &row
}

// Bounds of what is kept of a child's last words.
const (
	maxLogLines = 100
	maxLogBytes = 64 << 10
)

func lastLines(log string) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	log = strings.Join(lines[max(0, len(lines)-maxLogLines):], "\n")
	return strings.ToValidUTF8(log[max(0, len(log)-maxLogBytes):], "?")
}

// close takes an ended trial over from its row, and updates the policy if that
// completes a batch.
func (e *Experiment) close(a *arm, t, row *Trial) error {
	*t = *row
	t.Log = "" // stays in the ledger
	a.open--
	e.ended++
	if !a.barrier && a.learns {
		a.fresh = append(a.fresh, t)
	}
	ev := Event{Kind: t.State, Trial: t.ID, Arm: t.Arm, Attempt: t.Attempt, Worker: t.Worker, Reward: t.Reward, Cause: t.Cause}
	if t.Reused >= 0 && t.State == Done {
		ev.Kind = "reused"
	}
	e.emit(ev)
	return e.advance(a)
}

// countFailure ends a run in which everything fails: then it is the machine or
// the configuration, and further trials would be wasted.
func (e *Experiment) countFailure(row *Trial) {
	if row.State == Done {
		e.fails = 0
		return
	}
	e.fails++
	if e.o.MaxFailures > 0 && e.fails >= e.o.MaxFailures && e.ended < e.planned {
		first, _, _ := strings.Cut(row.Log, "\n")
		e.stop(fmt.Errorf("search: %d trials in a row have failed, trial %d of %s: %s: %w; mend the cause and run again: it goes on", e.fails, row.ID, row.Cause, first, ErrFailing))
	}
}

// poll looks for requests of other processes.
func (e *Experiment) poll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	changes, err := e.ledger.Changes()
	if err == nil && changes != e.changes {
		e.changes = changes
		err = e.obey()
	}
	if err != nil {
		e.fail(err)
	}
	e.dispatch()
}

func (e *Experiment) obey() error {
	requests, err := e.ledger.Requests()
	if err != nil {
		return err
	}
	for _, r := range requests {
		switch r.Kind {
		case requestPause:
			e.paused = true
			e.emit(Event{Kind: "paused"})
		case requestExtend:
			if err := e.extend(r.Value); err != nil && !errors.Is(err, errExtension) {
				return err
			}
		}
	}
	return nil
}

// extend plans more trials of every arm.
func (e *Experiment) extend(trials int) error {
	more, err := e.spec.extension(e.plan(), trials)
	if err != nil {
		e.o.Log.Warn().Err(err).Msg("a request to extend the search was dropped")
		return err
	}
	if err := e.ledger.Extend(more); err != nil {
		return err
	}
	for _, s := range more {
		e.extendArm(s)
	}
	e.emit(Event{Kind: "extended"})
	return nil
}

// plan is all that is planned, in the order in which it was.
func (e *Experiment) plan() []ledger.Segment {
	var plan []ledger.Segment
	for _, a := range e.arms {
		plan = append(plan, a.ids...)
	}
	return plan
}
