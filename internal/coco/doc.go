// Package coco reads COCO's annotation and result files and computes its box
// metrics, as pycocotools 2.0.11 does (cocoeval.py, maskApi.c).
//
//	gt.json ─► ReadAnnotations ─► Dataset ──────────────┐
//	                                 │                  ├─► Evaluate ─► Score: twelve numbers, APs of
//	dt.json ─► ReadResults ─► Results (100 best of each ┘               categories, precision-recall curves
//	                          image and category)
//
// Both files are read as a stream, one entry at a time. What an annotation file
// holds beside boxes (masks, captions) is passed over; of a result file only the
// detections that the metrics look at are kept, so memory follows the number of
// images and categories, not the length of the file. Every faulty entry is named
// and counted, and either ends the reading or is left out (Policy).
//
// Caveat: pycocotools marks a match by the object's id, so that an object with id
// 0 never counts there. Here it counts; ids of real sets begin at 1.
package coco
