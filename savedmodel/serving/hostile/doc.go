// Package hostile is a corpus of requests that a server must refuse with 400,
// 404 or 413 and survive: for tests and for loads of long duration.
//
//	Target ─► REST: bodies ─┐
//	       └► GRPC: tensors ┴─► the server ─► Codes
//
// Caveat: it holds what is sent, not how slowly: clients that trickle their
// bodies are the caller's to play.
package hostile
