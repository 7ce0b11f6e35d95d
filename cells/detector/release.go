package detector

// Release are the options of the released detector
// (samples/configs/faster_rcnn_nas_coco.config and the defaults of its protos;
// section 0). It ran 500 proposals from 2018-01-31 on, 50 before, with a
// second-stage minibatch of 49; the paper tells of 300 to 500 (section 12).
func Release() Options {
	return Options{
		Classes: 90, Objects: 100,
		Anchors:     Anchors{Scales: []float64{0.25, 0.5, 1, 2}, Ratios: []float64{0.5, 1, 2}, Base: 256},
		RPNChannels: 512,
		RPN:         Sampling{Batch: 256, Positive: 0.5, Matched: 0.7, Unmatched: 0.3, BoxWeight: 2, ClassWeight: 1},
		Proposals:   Suppression{Count: 500, IoU: 0.7},
		Crop:        17,
		Second:      Sampling{Batch: 64, Positive: 0.25, Matched: 0.5, Unmatched: 0.5, BoxWeight: 2, ClassWeight: 1},
		Detections:  Suppression{Count: 100, IoU: 0.6},
		PerClass:    100, ClipOrder: ClipFirst, FirstNorm: NormFrozen, SecondNorm: NormFrozen,
		DropSteps: 250_000, Chunk: 50, ClipEach: true,
	}
}
