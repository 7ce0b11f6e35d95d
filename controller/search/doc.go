// Package search runs architecture searches: it samples trials from policies,
// has them evaluated, and keeps everything in a ledger.
//
//	Spec ─► Experiment ── lease ──► Work ─► Evaluator (trains a child) ─► Result
//	          │  ▲  ▲ ◄─ heartbeat ─┘ │                                    │
//	          │  │  └──── finish ─────┴────────────────────────────────────┘
//	          ▼  │        (a Work loop runs in this process, or elsewhere by package queue)
//	       package ledger: trials, updates of the policies, in one SQLite file
//
// Arms run side by side: the chosen policy, and random search of the same size,
// whose trials depend on nothing and fill the wait at the policy's barriers.
//
// The ledger is the only truth: a reward counts when its row commits, and a
// policy is a pure function of the rows, rebuilt and checked when a search is
// opened. In synchronous mode sample i of a batch is drawn from (seed, updates
// so far, i) and updates happen at batch barriers in trial order, so the same
// search comes out of one worker or eight, of an undisturbed run or one killed
// at any moment. Asynchronous mode has no barriers: it can be replayed from its
// ledger, but not be repeated.
//
// Caveat: this holds as far as the Evaluator returns the same result for the
// same cell and seed; an evaluator of children should train with fixed threads,
// and an objective with measured latency is not reproducible.
package search
