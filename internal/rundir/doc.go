// Package rundir keeps a run's directory: one process at a time, a manifest of
// what made it, and a record of every stage that is done.
//
//	run.lock                      held while a process works on the run
//	config.yaml                   the configuration it was begun with
//	manifest.json                 versions, seed, data digests, commands, stages
//	search.json train.json …      a stage's result
//
// A stage is done when its result stands, the manifest has its digest, and what
// it was made from is what it would be made from now. So a stage that is done
// again makes those behind it stale. All files are replaced by rename: a crash
// leaves the old one or the new one.
//
// Caveat: a stage must be able to begin again from whatever it left; its record
// is written last.
package rundir
