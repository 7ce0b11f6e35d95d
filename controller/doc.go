// Package controller holds search policies: what proposes sequences of
// decisions and learns from their rewards.
//
//	sizes of the decisions ─► Policy.Sample(trial) ─► choices ─► (somebody trains) ─► reward
//	                            ▲                                                     │
//	                            └───────────── Policy.Update(batch of outcomes) ◄─────┘
//
// A policy knows nothing of cells: a decision is a number of choices. What a
// policy proposes for a trial is a pure function of seed, number of updates and
// trial, and an update one of the outcomes in trial order; so a search can be
// replayed bit for bit from its ledger.
//
// All arithmetic is float64, with a generator of its own. Products are rounded
// before they are added (float64(a*b)), which forbids fused multiply-add: the
// result is the same on every architecture.
package controller
