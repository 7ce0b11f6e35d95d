// Package api holds the requests and results of the engine's commands: what the
// front (nasnet) writes on an engine's stdin and reads back. Both sides import
// it; it needs no TensorFlow.
//
// Caveat: a request carries the whole configuration of its work. The engine
// reads no configuration file and, but for DeviceLibraries, no environment.
package api
