// Package search runs architecture searches: it samples trials from policies,
// has them evaluated, and keeps everything in a ledger.
//
//	Spec ─► Experiment ── lease ─► worker ─► Evaluator (trains a child) ─► reward
//	           │  ▲                                                         │
//	           ▼  └───────────────────── row commits ◄──────────────────────┘
//	        ledger.db (SQLite, WAL, synchronous=FULL): trials, updates of the policy
//
// The ledger is the only truth: a reward counts when its row commits, and the
// policy is a pure function of the rows, rebuilt and checked when an experiment
// is opened. Trial i of a policy is sampled from (seed, number of updates, i)
// and updates happen at batch barriers in trial order, so the same search comes
// out of one worker or eight, of an undisturbed run or one killed at any moment.
//
// Caveat: this holds as far as the Evaluator returns the same reward for the
// same task; an evaluator of children should train with fixed threads.
package search
