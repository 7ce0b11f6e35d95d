package ledger

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // driver
)

// FileName is the ledger's name in a run directory.
const FileName = "ledger.db"

// Sentinels of this package.
var (
	ErrNone    = errors.New("there is no search")
	ErrVersion = errors.New("the ledger was written by another version of this program")
	ErrFenced  = errors.New("the attempt does not hold the trial")
)

// Ledger is the open file of one search. Its methods may be called from many
// goroutines.
type Ledger struct {
	db   *sql.DB
	hot  [3]*sql.Stmt // prepared: add, lease, finish
	path string
}

// Open opens the ledger in dir for writing, and makes it if there is none.
func Open(dir string) (*Ledger, error) {
	l, err := open(dir, "journal_mode(WAL)", "synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(l.prepare(), l.prepareStatements()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// OpenReader opens the ledger in dir for reading, also while another process
// writes it: what is read is its state at one moment.
func OpenReader(dir string) (*Ledger, error) {
	if err := exists(dir); err != nil {
		return nil, err
	}
	l, err := open(dir, "query_only(1)")
	if err != nil {
		return nil, err
	}
	if err = l.checkVersion(); err == nil {
		_, err = l.db.Exec(`BEGIN`) // of the one connection: a snapshot until Close
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// OpenControl opens the ledger in dir to leave requests for the process that
// runs the search.
func OpenControl(dir string) (*Ledger, error) {
	if err := exists(dir); err != nil {
		return nil, err
	}
	l, err := open(dir, "synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	if err := l.checkVersion(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func exists(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
		return fmt.Errorf("ledger: %s: %w (%v)", dir, ErrNone, err)
	}
	return nil
}

func open(dir string, pragmas ...string) (*Ledger, error) {
	path := filepath.Join(dir, FileName)
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(path)+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("ledger: open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return &Ledger{db: db, path: path}, nil
}

// prepare makes the tables of a new file.
func (l *Ledger) prepare() error {
	var tables int
	if err := l.db.QueryRow(`SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return fmt.Errorf("ledger: read %s: %w", l.path, err)
	}
	if tables > 0 {
		return l.checkVersion()
	}
	return l.transact("make the tables", func(tx *sql.Tx) error {
		_, err := tx.Exec(schema + fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion))
		return err
	})
}

func (l *Ledger) checkVersion() error {
	var v int
	if err := l.db.QueryRow(`PRAGMA user_version`).Scan(&v); err != nil {
		return fmt.Errorf("ledger: read %s: %w", l.path, err)
	}
	if v != schemaVersion {
		return fmt.Errorf("ledger: %s has tables of version %d, this program has %d: %w", l.path, v, schemaVersion, ErrVersion)
	}
	return nil
}

// Close ends the use of the file.
func (l *Ledger) Close() error {
	var errs []error
	for _, s := range l.hot {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, l.db.Close())...)
}

// transact runs f in a transaction: all of it happens or nothing.
func (l *Ledger) transact(what string, f func(tx *sql.Tx) error) error {
	tx, err := l.db.Begin()
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", what, err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // after a full disk SQLite has rolled back itself
		return fmt.Errorf("ledger: %s: %w", what, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("ledger: %s: %w", what, err)
	}
	return nil
}

// collect scans all rows of a query.
func collect[T any](l *Ledger, what string, scan func(row func(...any) error) (T, error), query string, args ...any) ([]T, error) {
	rows, err := l.db.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("ledger: read %s: %w", what, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		x, err := scan(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("ledger: read %s: row %d: %w", what, len(out)+1, err)
		}
		out = append(out, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ledger: read %s: %w", what, err)
	}
	return out, nil
}

// text is x as JSON. Numbers that JSON lacks (NaN) must not be in x.
func text(x any) (string, error) {
	b, err := json.Marshal(x)
	return string(b), err
}

func now() int64 { return time.Now().UnixMilli() }
