// Package term shows people how long work goes: a bar with rate and time left on
// a terminal, a plain line now and then elsewhere, and tables and boxes of
// results.
//
//	search       16/32 trials  ███████████░░░░░░░░░░░  4.1 trials/min, 3m54s left, best 0.412
//
// Bars and notes go to one writer (stderr), results to another, so that a pipe
// gets results alone. Colours appear on a terminal only, and never with NO_COLOR.
//
// Caveat: one bar at a time. What several processes do at once is one bar with
// their sum.
package term
