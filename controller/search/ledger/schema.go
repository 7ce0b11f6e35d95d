package ledger

// schemaVersion changes with the tables; it stands in PRAGMA user_version.
const schemaVersion = 2

// Times are milliseconds since 1970 by the wall clock, for people: nothing is
// decided by them but the order of outcomes in asynchronous mode.
const schema = `
CREATE TABLE experiment (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	run     TEXT NOT NULL,               -- random name of this search, on a shared queue
	spec    TEXT NOT NULL,               -- JSON
	created INTEGER NOT NULL) STRICT;
CREATE TABLE plan (
	seq     INTEGER PRIMARY KEY,
	arm     TEXT NOT NULL,
	first   INTEGER NOT NULL,            -- index in the arm
	trials  INTEGER NOT NULL,
	id      INTEGER NOT NULL) STRICT;    -- of the first of these trials
CREATE TABLE trials (
	id      INTEGER PRIMARY KEY,
	arm     TEXT NOT NULL,
	idx     INTEGER NOT NULL,
	version INTEGER NOT NULL,            -- updates of the policy when it was sampled
	choices TEXT NOT NULL,               -- JSON
	hash    TEXT NOT NULL,               -- of the canonical cell
	genotype TEXT NOT NULL,
	state   TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed')),
	attempt INTEGER NOT NULL DEFAULT 0,  -- leases so far: the fence
	losses  INTEGER NOT NULL DEFAULT 0,  -- leases that ended without a word
	worker  TEXT NOT NULL DEFAULT '',
	reward  REAL,                        -- the objective; done only
	value   REAL,                        -- as measured; done only
	metrics TEXT NOT NULL DEFAULT '{}',  -- JSON
	curve   TEXT NOT NULL DEFAULT '[]',  -- JSON: reports on the way
	stopped INTEGER NOT NULL DEFAULT 0,  -- early
	cause   TEXT NOT NULL DEFAULT '',    -- class of the failure
	log     TEXT NOT NULL DEFAULT '',    -- last words of a failed child
	reused_from INTEGER,                 -- trial of an equal cell whose result this is
	seconds REAL NOT NULL DEFAULT 0,     -- of evaluation
	sampled INTEGER NOT NULL, leased INTEGER, ended INTEGER,
	UNIQUE (arm, idx)) STRICT;
CREATE TRIGGER ended_trials_stay BEFORE UPDATE ON trials WHEN OLD.state IN ('done', 'failed')
	BEGIN SELECT RAISE(ABORT, 'a trial that has ended does not change'); END;
CREATE TABLE rejections (
	arm TEXT NOT NULL, idx INTEGER NOT NULL, try INTEGER NOT NULL, choices TEXT NOT NULL, hash TEXT NOT NULL,
	costs TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (arm, idx, try)) STRICT;
CREATE TABLE updates (
	arm TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL, trials TEXT NOT NULL, stats TEXT NOT NULL,
	at INTEGER NOT NULL, PRIMARY KEY (arm, version)) STRICT;
CREATE TABLE snapshots (arm TEXT PRIMARY KEY, version INTEGER NOT NULL, state BLOB NOT NULL) STRICT;
CREATE TABLE imports (
	seq INTEGER PRIMARY KEY, run TEXT NOT NULL, trial INTEGER NOT NULL, choices TEXT NOT NULL, reward REAL NOT NULL) STRICT;
CREATE TABLE events (
	seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, trial INTEGER, attempt INTEGER, worker TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE control (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, value INTEGER NOT NULL) STRICT;
`
