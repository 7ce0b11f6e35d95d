// Package detect builds Faster-RCNN detectors as graphs, from the plans of
// package cells/detector: for training, with sampled minibatches, and for
// inference.
//
//	images ─ First ─► features ─ region proposal network ─► codes, objectness ─ proposals ─► boxes [B,P,4]
//	                     └── crop at the boxes ─ Second ─► codes, classes ─ detections ─► boxes, scores, classes
//	                                              └─ match, sample, losses ◄─ objects
//
// Formulas, order of steps and traps are those of reference detection.md, whose
// sections are named. Boxes are float32 [ymin, xmin, ymax, xmax] along the last
// axis, in pixels of the network's input unless said; rows beyond an image's
// count are zero.
//
// Caveat: boxes are constants for everything behind them: no gradient goes
// through proposals, targets or samples.
package detect
