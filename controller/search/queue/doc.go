// Package queue lets workers elsewhere take part in a search, over NATS.
//
//	search process                                     worker process
//	Experiment ◄─ Server ◄─ nasnet.search.RUN.lease ◄── Worker ─► search.Work ─► Evaluator
//	 (ledger)              ◄─ ….beat, .finish, .release ◄─┘
//
// A Worker is search.Work over a search.Source that asks by request and reply:
// the same code as a worker inside the search process. The NATS server is part
// of the search process, on loopback unless told otherwise, or an outside one by
// its URL.
//
// Messages only hand out work: each may be lost, doubled or late. A request that
// stays without an answer is repeated; a repeated lease gets the trial that the
// worker has already; a repeated or late result is settled by the ledger. So
// plain NATS is enough: a stream (JetStream) would be a second record of what
// the ledger says better, and acknowledges before it is on the disk.
//
// Caveat: the token lets whoever has it hand in results; without TLS it crosses
// the network in clear.
package queue
