// Package ledger keeps a search in one SQLite file: the only truth about it.
//
//	experiment ─ plan ─┬─ trials      one row a trial: pending ─► running ─► done | failed
//	                   ├─ rejections  samples that the static limits refused
//	                   ├─ updates     the policy's digest after each update, and the trials it learned from
//	                   ├─ snapshots   the policy's state: a cache, checked by digest
//	                   ├─ imports     outcomes of another run, a warm start
//	                   ├─ events      what happened on the way, for people
//	                   └─ control     requests of other processes: pause, extend
//
// Every change is one transaction in WAL mode with synchronous=FULL: it is on
// the disk when the call returns. A result is accepted only from the attempt
// that holds the trial (trial, attempt), and an ended trial never changes: a
// trigger in the file refuses it.
//
// Caveat: one process at a time may write trials; Lock says who. Others may
// read at any time, and leave requests in control.
package ledger
