// Package serving is the local server's front: TensorFlow Serving's REST
// interface for one model directory, without TensorFlow in the process.
//
//	HTTP ─► caps, routes, tensor parser, image gate ─► Predictor ─ gRPC on a socket ─► nasnet-engine serve-backend
//	                                                      ▲                               (one child a version)
//	                                                      └── supervised: restarted when it dies
//
// A request is checked against the model's signature before it reaches
// TensorFlow: sizes, nesting, types, shapes, image headers. An abort inside
// TensorFlow ends the child; requests under way get 503 and the front stays up.
//
// Caveat: it serves the newest version that is there when it starts, on the
// loopback address unless told otherwise. Production is TensorFlow Serving's
// own container on the same directory.
package serving
