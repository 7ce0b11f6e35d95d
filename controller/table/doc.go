// Package table replays search policies on tables of published benchmarks: every
// network of a space is trained already, so that hundreds of searches take
// seconds.
//
//	CSV: arch, accuracies ─► Read ─► Table (decisions, rewards, truths)
//	                                   │
//	           Policy.Sample ─► choices ┴► reward ─► Policy.Update      one Run a seed
//	                                          ▼
//	                        best, top 25, last 100: judged by the truth
//
// What a policy is rewarded with and what it is judged by are different columns
// where the table has such: validation and test accuracy, or one training of a
// network and the mean of several.
package table
