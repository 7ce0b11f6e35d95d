// Package serving is the local server's front: TensorFlow Serving's REST and gRPC
// interfaces for any number of models, without TensorFlow in the process.
//
//	REST ─┐   ┌─ caps, parsers, image gate ─► Models (manager) ─► Held ─► batcher ─► child ─ gRPC on a socket ─► nasnet-engine serve-backend
//	gRPC ─┴─► tokens, TLS, metrics              ▲                                      ▲                          (one process a version)
//	            base paths, ModelServerConfig ──┘                                      └── supervised: started again when it dies
//
// A request is checked against the model's signature before it reaches
// TensorFlow: sizes, nesting, types, shapes, image headers. An abort inside
// TensorFlow ends the child; requests under way get 503 and the front stays up.
//
// Caveat: while a new version is loaded beside the old one, both need memory.
package serving
