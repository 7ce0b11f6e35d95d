package ledger

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// Segment is a part of the plan: so many trials of an arm, with consecutive
// indices and numbers.
type Segment struct {
	Arm    string
	First  int // index in the arm
	Trials int
	ID     int // of the first trial
}

// Rejection is a sample that the static limits refused.
type Rejection struct {
	Arm     string
	Index   int
	Try     int // 0 for the first sample of this trial
	Choices []int
	Hash    string
	Costs   map[string]float64
	Reason  string
}

// Update is one update of an arm's policy.
type Update struct {
	Arm     string
	Version int    // after it
	Digest  string // of the policy after it
	Trials  []int  // it learned from, in the order it was told; none: from imports
	Stats   map[string]float64
}

// Import is an outcome of another run.
type Import struct {
	Run     string
	Trial   int
	Choices []int
	Reward  float64
}

// Event is something that happened, for people.
type Event struct {
	Kind    string
	Trial   int // -1: none
	Attempt int
	Worker  string
	Text    string
}

// Create records a new search and its plan.
func (l *Ledger) Create(run, spec string, plan []Segment) error {
	return l.transact("record the search", func(tx *sql.Tx) error {
		if _, err := tx.Exec(`INSERT INTO experiment (id, run, spec, created) VALUES (1, ?, ?, ?)`, run, spec, now()); err != nil {
			return err
		}
		return addPlan(tx, plan)
	})
}

// Extend adds to the plan.
func (l *Ledger) Extend(plan []Segment) error {
	return l.transact("extend the plan", func(tx *sql.Tx) error { return addPlan(tx, plan) })
}

func addPlan(tx *sql.Tx, plan []Segment) error {
	for _, s := range plan {
		if _, err := tx.Exec(`INSERT INTO plan (arm, first, trials, id) VALUES (?, ?, ?, ?)`, s.Arm, s.First, s.Trials, s.ID); err != nil {
			return err
		}
	}
	return nil
}

// Search returns the recorded search; ErrNone before Create.
func (l *Ledger) Search() (run, spec string, plan []Segment, err error) {
	err = l.db.QueryRow(`SELECT run, spec FROM experiment`).Scan(&run, &spec)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", nil, fmt.Errorf("ledger: %s: %w", l.path, ErrNone)
	}
	if err != nil {
		return "", "", nil, fmt.Errorf("ledger: read the search: %w", err)
	}
	plan, err = collect(l, "plan", func(scan func(...any) error) (s Segment, err error) {
		err = scan(&s.Arm, &s.First, &s.Trials, &s.ID)
		return s, err
	}, `SELECT arm, first, trials, id FROM plan ORDER BY seq`)
	return run, spec, plan, err
}

// AddUpdate records an update and, if state is not nil, the policy's state as
// the arm's snapshot.
func (l *Ledger) AddUpdate(u Update, state []byte) error {
	trials, err1 := text(append([]int{}, u.Trials...))
	stats, err2 := text(orEmpty(u.Stats))
	return l.transact(fmt.Sprintf("record update %d of %s", u.Version, u.Arm), func(tx *sql.Tx) error {
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO updates (arm, version, digest, trials, stats, at) VALUES (?, ?, ?, ?, ?, ?)`, u.Arm, u.Version, u.Digest, trials, stats, now()); err != nil {
			return err
		}
		if state == nil {
			return nil
		}
		_, err := tx.Exec(`INSERT OR REPLACE INTO snapshots (arm, version, state) VALUES (?, ?, ?)`, u.Arm, u.Version, state)
		return err
	})
}

// Updates are those of an arm in order.
func (l *Ledger) Updates(arm string) ([]Update, error) {
	return collect(l, "updates", func(scan func(...any) error) (Update, error) {
		u := Update{Arm: arm}
		var trials, stats string
		if err := scan(&u.Version, &u.Digest, &trials, &stats); err != nil {
			return u, err
		}
		return u, errors.Join(json.Unmarshal([]byte(trials), &u.Trials), json.Unmarshal([]byte(stats), &u.Stats))
	}, `SELECT version, digest, trials, stats FROM updates WHERE arm = ? ORDER BY version`, arm)
}

// LastUpdate is an arm's policy as last recorded; version 0 and no digest
// before the first record.
func (l *Ledger) LastUpdate(arm string) (version int, digest string, err error) {
	err = l.db.QueryRow(`SELECT version, digest FROM updates WHERE arm = ? ORDER BY version DESC LIMIT 1`, arm).Scan(&version, &digest)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, "", fmt.Errorf("ledger: read last update of %s: %w", arm, err)
	}
	return version, digest, nil
}

// Snapshot is an arm's last recorded policy state; version -1 if there is none.
func (l *Ledger) Snapshot(arm string) (version int, state []byte, err error) {
	err = l.db.QueryRow(`SELECT version, state FROM snapshots WHERE arm = ?`, arm).Scan(&version, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return -1, nil, nil
	}
	if err != nil {
		return -1, nil, fmt.Errorf("ledger: read snapshot of %s: %w", arm, err)
	}
	return version, state, nil
}

func addRejections(tx *sql.Tx, rejected []Rejection) error {
	for _, r := range rejected {
		choices, err1 := text(r.Choices)
		costs, err2 := text(orEmpty(r.Costs))
		_, err3 := tx.Exec(`INSERT INTO rejections (arm, idx, try, choices, hash, costs, reason) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			r.Arm, r.Index, r.Try, choices, r.Hash, costs, r.Reason)
		if err := errors.Join(err1, err2, err3); err != nil {
			return fmt.Errorf("rejection %d of trial %d of %s: %w", r.Try, r.Index, r.Arm, err)
		}
	}
	return nil
}

// Rejections are those of an arm, by index and try.
func (l *Ledger) Rejections(arm string) ([]Rejection, error) {
	return collect(l, "rejections", func(scan func(...any) error) (Rejection, error) {
		r := Rejection{Arm: arm}
		var choices, costs string
		if err := scan(&r.Index, &r.Try, &choices, &r.Hash, &costs, &r.Reason); err != nil {
			return r, err
		}
		return r, errors.Join(json.Unmarshal([]byte(choices), &r.Choices), json.Unmarshal([]byte(costs), &r.Costs))
	}, `SELECT idx, try, choices, hash, costs, reason FROM rejections WHERE arm = ? ORDER BY idx, try`, arm)
}

// Rejected counts the rejections of an arm.
func (l *Ledger) Rejected(arm string) (int, error) {
	var n int
	if err := l.db.QueryRow(`SELECT count(*) FROM rejections WHERE arm = ?`, arm).Scan(&n); err != nil {
		return 0, fmt.Errorf("ledger: count rejections: %w", err)
	}
	return n, nil
}

// AddImports records outcomes of another run, all or none.
func (l *Ledger) AddImports(list []Import) error {
	return l.transact("record imports", func(tx *sql.Tx) error {
		for _, m := range list {
			choices, err1 := text(m.Choices)
			_, err2 := tx.Exec(`INSERT INTO imports (run, trial, choices, reward) VALUES (?, ?, ?, ?)`, m.Run, m.Trial, choices, m.Reward)
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
		}
		return nil
	})
}

// Imports are all imported outcomes in order.
func (l *Ledger) Imports() ([]Import, error) {
	return collect(l, "imports", func(scan func(...any) error) (Import, error) {
		var m Import
		var choices string
		if err := scan(&m.Run, &m.Trial, &choices, &m.Reward); err != nil {
			return m, err
		}
		return m, json.Unmarshal([]byte(choices), &m.Choices)
	}, `SELECT run, trial, choices, reward FROM imports ORDER BY seq`)
}

// Note records an event.
func (l *Ledger) Note(e Event) error {
	_, err := l.db.Exec(`INSERT INTO events (at, kind, trial, attempt, worker, text) VALUES (?, ?, ?, ?, ?, ?)`,
		now(), e.Kind, sql.NullInt64{Int64: int64(e.Trial), Valid: e.Trial >= 0}, e.Attempt, e.Worker, e.Text)
	if err != nil {
		return fmt.Errorf("ledger: record event: %w", err)
	}
	return nil
}

// Events are all events in order.
func (l *Ledger) Events() ([]Event, error) {
	return collect(l, "events", func(scan func(...any) error) (e Event, err error) {
		err = scan(&e.Kind, &e.Trial, &e.Attempt, &e.Worker, &e.Text)
		return e, err
	}, `SELECT kind, COALESCE(trial, -1), COALESCE(attempt, 0), worker, text FROM events ORDER BY seq`)
}

// Request is what another process asks of the one that runs the search.
type Request struct {
	Kind  string // pause | extend
	Value int    // extend: trials of the policy in all
}

// Ask leaves a request.
func (l *Ledger) Ask(r Request) error {
	if _, err := l.db.Exec(`INSERT INTO control (kind, value) VALUES (?, ?)`, r.Kind, r.Value); err != nil {
		return fmt.Errorf("ledger: leave a request: %w", err)
	}
	return nil
}

// Requests takes the requests that wait.
func (l *Ledger) Requests() ([]Request, error) {
	return collect(l, "requests", func(scan func(...any) error) (r Request, err error) {
		err = scan(&r.Kind, &r.Value)
		return r, err
	}, `DELETE FROM control RETURNING kind, value`)
}

// Changes is a number that another one follows once another process has
// changed the file: cheap to poll.
func (l *Ledger) Changes() (int, error) {
	var v int
	if err := l.db.QueryRow(`PRAGMA data_version`).Scan(&v); err != nil {
		return 0, fmt.Errorf("ledger: read data_version: %w", err)
	}
	return v, nil
}
