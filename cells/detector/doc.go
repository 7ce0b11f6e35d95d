// Package detector plans Faster-RCNN detectors whose features are a network of
// cells, as the NASNet paper's, without TensorFlow: anchors, layers, variables
// and costs.
//
//	image ─ first stage ─► features ─┬─ region proposal network ─► codes, objectness ─► proposals
//	                                 └─ crops at proposals ─ second stage ─► heads: classes, codes ─► detections
//
// The stages are the halves of a classifier's network (model.Split); names and
// shapes of variables are those of the checkpoints that TensorFlow's Object
// Detection API writes. Formulas and defaults: reference detection.md, sections
// of which are named where they are used; the defaults follow the release.
//
// Boxes are [ymin, xmin, ymax, xmax] throughout, in pixels of the network's
// input unless said.
package detector
