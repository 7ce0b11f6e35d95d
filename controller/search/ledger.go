package search

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"

	_ "modernc.org/sqlite" // driver
)

const schema = `
CREATE TABLE IF NOT EXISTS experiment (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, spec TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
	id INTEGER PRIMARY KEY, arm TEXT NOT NULL, idx INTEGER NOT NULL, choices TEXT NOT NULL, genotype TEXT NOT NULL, hash TEXT NOT NULL,
	state TEXT NOT NULL, attempt INTEGER NOT NULL DEFAULT 0, reward REAL, metrics TEXT NOT NULL DEFAULT '{}', cause TEXT NOT NULL DEFAULT '',
	log TEXT NOT NULL DEFAULT '', reused INTEGER NOT NULL DEFAULT -1, seconds REAL NOT NULL DEFAULT 0, UNIQUE (arm, idx));
CREATE TABLE IF NOT EXISTS updates (version INTEGER PRIMARY KEY, digest TEXT NOT NULL);
`

// schemaVersion changes with the tables.
const schemaVersion = 1

// ledger is the database of one search.
type ledger struct{ db *sql.DB }

func openLedger(path string, readOnly bool) (*ledger, error) {
	q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)"}}
	if readOnly {
		q = url.Values{"_pragma": {"busy_timeout(10000)", "query_only(1)"}}
	}
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(path)+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("ledger: open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	if !readOnly {
		if _, err := db.Exec(schema); err != nil {
			return nil, errors.Join(fmt.Errorf("ledger: prepare %s: %w", path, err), db.Close())
		}
	}
	return &ledger{db}, nil
}

func (l *ledger) close() error { return l.db.Close() }

// spec returns the recorded specification, "" before the first start.
func (l *ledger) spec() (string, error) {
	var version int
	var spec string
	err := l.db.QueryRow(`SELECT version, spec FROM experiment`).Scan(&version, &spec)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("ledger: read the specification: %w", err)
	}
	if version != schemaVersion {
		return "", fmt.Errorf("ledger: version %d of the tables; this program reads version %d", version, schemaVersion)
	}
	return spec, nil
}

func (l *ledger) setSpec(spec string) error {
	_, err := l.db.Exec(`INSERT INTO experiment (id, version, spec) VALUES (1, ?, ?)`, schemaVersion, spec)
	if err != nil {
		return fmt.Errorf("ledger: record the specification: %w", err)
	}
	return nil
}

// add records freshly sampled trials, all or none.
func (l *ledger) add(trials []Trial) error {
	return l.transact("record samples", func(tx *sql.Tx) error {
		for _, t := range trials {
			choices, err := json.Marshal(t.Choices)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO trials (id, arm, idx, choices, genotype, hash, state) VALUES (?,?,?,?,?,?,?)`,
				t.ID, t.Arm, t.Index, string(choices), t.Genotype, t.Hash, Pending); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *ledger) transact(what string, f func(tx *sql.Tx) error) error {
	tx, err := l.db.Begin()
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", what, err)
	}
	if err := f(tx); err != nil {
		return errors.Join(fmt.Errorf("ledger: %s: %w", what, err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("ledger: %s: %w", what, err)
	}
	return nil
}

// lease hands a pending trial out: its attempt goes up by one.
func (l *ledger) lease(id int) (attempt int, err error) {
	err = l.db.QueryRow(`UPDATE trials SET state = ?, attempt = attempt + 1 WHERE id = ? AND state = ? RETURNING attempt`,
		Running, id, Pending).Scan(&attempt)
	if err != nil {
		return 0, fmt.Errorf("ledger: lease trial %d: %w", id, err)
	}
	return attempt, nil
}

// release puts a running trial back.
func (l *ledger) release(id, attempt int) error {
	return l.fenced("release", id, attempt, `UPDATE trials SET state = ? WHERE id = ? AND attempt = ? AND state = ?`, Pending, id, attempt, Running)
}

// finish records the end of an attempt. The result of an attempt that is no
// longer the current one is refused.
func (l *ledger) finish(t Trial) error {
	metrics, err := json.Marshal(t.Metrics)
	if err != nil {
		return fmt.Errorf("ledger: finish trial %d: %w", t.ID, err)
	}
	reward := sql.NullFloat64{Float64: t.Reward, Valid: t.State == Done}
	return l.fenced("finish", t.ID, t.Attempt,
		`UPDATE trials SET state = ?, reward = ?, metrics = ?, cause = ?, log = ?, reused = ?, seconds = ? WHERE id = ? AND attempt = ? AND state = ?`,
		t.State, reward, string(metrics), t.Cause, t.Log, t.Reused, t.Seconds, t.ID, t.Attempt, Running)
}

func (l *ledger) fenced(verb string, id, attempt int, query string, args ...any) error {
	res, err := l.db.Exec(query, args...)
	if err != nil {
		return fmt.Errorf("ledger: %s trial %d: %w", verb, id, err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("ledger: %s trial %d: attempt %d is not the current one", verb, id, attempt)
	}
	return nil
}

// reclaim puts trials back that were running when their process died.
func (l *ledger) reclaim() error {
	if _, err := l.db.Exec(`UPDATE trials SET state = ? WHERE state = ?`, Pending, Running); err != nil {
		return fmt.Errorf("ledger: reclaim trials: %w", err)
	}
	return nil
}

// update records the policy's digest after an update.
func (l *ledger) update(version int, digest string) error {
	if _, err := l.db.Exec(`INSERT INTO updates (version, digest) VALUES (?, ?)`, version, digest); err != nil {
		return fmt.Errorf("ledger: record update %d: %w", version, err)
	}
	return nil
}

// updates are the recorded digests by version.
func (l *ledger) updates() (map[int]string, error) {
	rows, err := l.db.Query(`SELECT version, digest FROM updates`)
	if err != nil {
		return nil, fmt.Errorf("ledger: read updates: %w", err)
	}
	defer rows.Close()
	out := map[int]string{}
	for rows.Next() {
		var v int
		var d string
		if err := rows.Scan(&v, &d); err != nil {
			return nil, fmt.Errorf("ledger: read updates: %w", err)
		}
		out[v] = d
	}
	return out, rows.Err()
}

// trials are all rows in the order of their numbers.
func (l *ledger) trials() ([]Trial, error) {
	rows, err := l.db.Query(`SELECT id, arm, idx, choices, genotype, hash, state, attempt, COALESCE(reward, 0), metrics, cause, log, reused, seconds FROM trials ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("ledger: read trials: %w", err)
	}
	defer rows.Close()
	var out []Trial
	for rows.Next() {
		var t Trial
		var choices, metrics string
		if err := rows.Scan(&t.ID, &t.Arm, &t.Index, &choices, &t.Genotype, &t.Hash, &t.State, &t.Attempt, &t.Reward, &metrics, &t.Cause, &t.Log, &t.Reused, &t.Seconds); err != nil {
			return nil, fmt.Errorf("ledger: read trials: %w", err)
		}
		if err := errors.Join(json.Unmarshal([]byte(choices), &t.Choices), json.Unmarshal([]byte(metrics), &t.Metrics)); err != nil {
			return nil, fmt.Errorf("ledger: trial %d is damaged: %w", t.ID, err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// ledgerDigest identifies what a search found: it covers what does not depend
// on time, workers, attempts or shared rewards.
func ledgerDigest(trials []Trial) string {
	h := sha256.New()
	for _, t := range trials {
		reward := uint64(0)
		if t.State == Done {
			reward = math.Float64bits(t.Reward)
		}
		fmt.Fprintf(h, "%d|%s|%d|%v|%s|%s|%016x|%s\n", t.ID, t.Arm, t.Index, t.Choices, t.Hash, t.State, reward, t.Cause)
	}
	return hex.EncodeToString(h.Sum(nil))
}
