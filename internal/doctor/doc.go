// Package doctor says what this machine can do, and what is missing.
//
//	/proc, cgroup, disk ─┐
//	libtf, engine.Locate ─┼─► Report: facts + problems, each with its remedy
//	engine "doctor" ─────┘    (TensorFlow's own list of devices; only where both were found)
//
// Caveat: without the engine the devices are unknown and the list is empty; the
// GPU section then says only what the kernel's driver and the loader show.
package doctor
