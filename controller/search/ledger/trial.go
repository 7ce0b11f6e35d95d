package ledger

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// States of a trial.
const (
	Pending = "pending"
	Running = "running"
	Done    = "done"
	Failed  = "failed"
)

// Point is a value that a child reported on its way.
type Point struct {
	Step  int     `json:"step"`
	Value float64 `json:"value"`
}

// Trial is a row of the ledger.
type Trial struct {
	ID       int // over all arms
	Arm      string
	Index    int // in the arm
	Version  int // updates of the policy when it was sampled
	Choices  []int
	Genotype string // the cell's text
	Hash     string // of the canonical cell
	State    string
	Attempt  int // leases so far
	Losses   int // leases that ended without a word
	Worker   string
	Reward   float64 // the objective's value; 0 unless done
	Value    float64 // as the evaluator measured it
	Metrics  map[string]float64
	Curve    []Point
	Stopped  bool    // early
	Cause    string  // class of a failure
	Log      string  // last words of a failed child; "" unless asked for
	Reused   int     // trial of an equal cell whose result this is; -1: none
	Seconds  float64 // of evaluation
	EndedAt  int64   // ms since 1970; 0: not yet
}

// Ended reports whether the trial is done or failed.
func (t *Trial) Ended() bool { return t.State == Done || t.State == Failed }

const (
	addRow   = `INSERT INTO trials (id, arm, idx, version, choices, hash, genotype, state, metrics, sampled) VALUES (?,?,?,?,?,?,?,'pending',?,?)`
	leaseRow = `UPDATE trials SET state = 'running', attempt = attempt + 1, worker = ?, leased = ? WHERE id = ? AND state = 'pending' RETURNING attempt`
	endRow   = `UPDATE trials SET state = ?, reward = ?, value = ?, metrics = ?, curve = ?, stopped = ?, cause = ?, log = ?, reused_from = ?, seconds = ?, ended = ?
		WHERE id = ? AND attempt = ? AND state = ?`
)

// Statements in Ledger.hot.
const (
	add = iota
	lease
	end
)

func (l *Ledger) prepareStatements() error {
	for i, query := range []string{addRow, leaseRow, endRow} {
		var err error
		if l.hot[i], err = l.db.Prepare(query); err != nil {
			return fmt.Errorf("ledger: prepare: %w", err)
		}
	}
	return nil
}

// Add records samples and the rejected ones before them, all or none.
func (l *Ledger) Add(trials []*Trial, rejected []Rejection) error {
	return l.transact("record samples", func(tx *sql.Tx) error {
		at := now()
		for _, t := range trials {
			choices, err1 := text(t.Choices)
			metrics, err2 := text(orEmpty(t.Metrics))
			_, err3 := tx.Stmt(l.hot[add]).Exec(t.ID, t.Arm, t.Index, t.Version, choices, t.Hash, t.Genotype, metrics, at)
			if err := errors.Join(err1, err2, err3); err != nil {
				return fmt.Errorf("trial %d: %w", t.ID, err)
			}
		}
		return addRejections(tx, rejected)
	})
}

func orEmpty(m map[string]float64) map[string]float64 {
	if m == nil {
		return map[string]float64{}
	}
	return m
}

// Lease hands a pending trial to a worker. The attempt that it returns, one
// more than the last, is what the worker's result must carry.
func (l *Ledger) Lease(id int, worker string) (attempt int, err error) {
	err = l.hot[lease].QueryRow(worker, now(), id).Scan(&attempt)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("ledger: lease trial %d, which is not pending: %w", id, ErrFenced)
	}
	if err != nil {
		return 0, fmt.Errorf("ledger: lease trial %d: %w", id, err)
	}
	return attempt, nil
}

// End records how the running attempt of t ended, and the same for pending
// trials of equal cells, in one transaction. ErrFenced if the attempt of any of
// them is not the current one: then nothing is recorded.
func (l *Ledger) End(t *Trial, twins ...*Trial) error {
	return l.transact(fmt.Sprintf("end trial %d", t.ID), func(tx *sql.Tx) error {
		from := Running
		if t.Reused >= 0 {
			from = Pending
		}
		if err := l.end(tx, t, from); err != nil {
			return err
		}
		for _, twin := range twins {
			if err := l.end(tx, twin, Pending); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *Ledger) end(tx *sql.Tx, t *Trial, from string) error {
	metrics, err1 := text(orEmpty(t.Metrics))
	curve, err2 := text(append([]Point{}, t.Curve...))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	done := t.State == Done
	res, err := tx.Stmt(l.hot[end]).Exec(t.State, sql.NullFloat64{Float64: t.Reward, Valid: done}, sql.NullFloat64{Float64: t.Value, Valid: done},
		metrics, curve, t.Stopped, t.Cause, t.Log, sql.NullInt64{Int64: int64(t.Reused), Valid: t.Reused >= 0}, t.Seconds, t.EndedAt,
		t.ID, t.Attempt, from)
	return fenced(res, err, t.ID, t.Attempt)
}

// Release puts a running trial back: nothing is held against it.
func (l *Ledger) Release(id, attempt int) error { return l.putBack(id, attempt, 0) }

// Lose puts a running trial back whose worker went silent, and counts that.
func (l *Ledger) Lose(id, attempt int) error { return l.putBack(id, attempt, 1) }

func (l *Ledger) putBack(id, attempt, losses int) error {
	res, err := l.db.Exec(`UPDATE trials SET state = 'pending', worker = '', losses = losses + ? WHERE id = ? AND attempt = ? AND state = 'running'`,
		losses, id, attempt)
	if err := fenced(res, err, id, attempt); err != nil {
		return fmt.Errorf("ledger: put trial %d back: %w", id, err)
	}
	return nil
}

func fenced(res sql.Result, err error, id, attempt int) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("trial %d, attempt %d: %w", id, attempt, ErrFenced), err)
	}
	return nil
}

const selectTrials = `SELECT id, arm, idx, version, choices, genotype, hash, state, attempt, losses, worker, COALESCE(reward, 0), COALESCE(value, 0),
	metrics, curve, stopped, cause, COALESCE(reused_from, -1), seconds, COALESCE(ended, 0) FROM trials ORDER BY id`

// Trials are all rows in the order of their numbers, without the logs.
func (l *Ledger) Trials() ([]*Trial, error) {
	return collect(l, "trials", func(scan func(...any) error) (*Trial, error) {
		t := &Trial{}
		var choices, metrics, curve string
		if err := scan(&t.ID, &t.Arm, &t.Index, &t.Version, &choices, &t.Genotype, &t.Hash, &t.State, &t.Attempt, &t.Losses, &t.Worker, &t.Reward, &t.Value,
			&metrics, &curve, &t.Stopped, &t.Cause, &t.Reused, &t.Seconds, &t.EndedAt); err != nil {
			return nil, err
		}
		return t, errors.Join(json.Unmarshal([]byte(choices), &t.Choices), json.Unmarshal([]byte(metrics), &t.Metrics), json.Unmarshal([]byte(curve), &t.Curve))
	}, selectTrials)
}

// Log returns the last words of a trial's child.
func (l *Ledger) Log(id int) (string, error) {
	var log string
	if err := l.db.QueryRow(`SELECT log FROM trials WHERE id = ?`, id).Scan(&log); err != nil {
		return "", fmt.Errorf("ledger: log of trial %d: %w", id, err)
	}
	return log, nil
}
