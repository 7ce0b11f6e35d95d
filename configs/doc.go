// Package configs reads the configuration of every command: embedded presets,
// files, the environment, and settings on the command line.
//
//	defaults.yaml ─► preset ─► FILE ─► NASNET_KEY_PATH ─► --set key.path=value ─► Config ─► Validate
//	                (each layer overrides those to its left)                        │
//	                                                        config.yaml of a run ◄──┘ reads back to the same value
//
// A key that does not exist is an error with its path and line, never ignored:
// a mistyped learning rate would otherwise cost a night's training.
//
// Caveat: this package knows which values make sense, not which of them a data
// set or a machine can serve; commands check that before they start.
package configs
