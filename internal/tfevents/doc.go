// Package tfevents writes TensorBoard's event files: scalars, images,
// histograms and texts, each under a tag and at a step.
//
//	DIR/events.out.tfevents.<unix seconds>.<host>.<pid>.<n>
//	  record 0   Event{wall_time, file_version: "brain.Event:2"}
//	  record k   Event{wall_time, step, summary: [tag = value, …]}
//
// Every event is handed to the operating system at once, so a crash of the
// process loses none; the disk is made to follow at the latest every two
// minutes. A process never appends to the file of another: a resumed training
// begins a new file beside the old one, and TensorBoard joins them.
//
// Caveat: TensorBoard keeps scalars as float32.
package tfevents
