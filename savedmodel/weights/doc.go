// Package weights maps the variables of other programs' NASNets onto a planned
// network: slim's checkpoints and Keras' layers. It is arithmetic on names and
// shapes; the engine reads and writes the values.
//
//	entries (name, shape) of a source ─► Slim | Keras | Own ─► Mapping: variable ─► source name, slice
//
// Nothing is guessed: a variable without a source, a source that fits nowhere
// and a shape that differs are errors, and all of them are listed at once.
package weights
