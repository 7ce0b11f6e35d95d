// Package eval measures trained networks from what they said of images. It
// needs no TensorFlow: logits or probabilities come from wherever they were
// computed.
//
//	logits [N,K] ─ Judge ─► Prediction ─┬─► Tally     top-1, top-5, loss
//	                            ▲       ├─► Scores    recall, confusion, calibration, ReaL, worst mistakes
//	        predictions.csv ────┘◄──────┴─► Compare   two models on the same images (McNemar)
//
// A Prediction is all that is kept of an image, so images are added one by one
// and memory does not grow with them; and a file of predictions gives the same
// figures as the network did.
//
// Caveat: an interval says what another draw of as many images from the same
// source would give, nothing of another training or another source.
package eval
