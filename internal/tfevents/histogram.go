package tfevents

import (
	"math"
	"sort"

	histopb "github.com/wamuir/graft/tensorflow/tsl/protobuf/for_core_protos_go_proto"
)

const buckets = 30 // TensorBoard's own number

// histogram counts the finite values in equal buckets from the smallest to the
// largest, each open below and closed above; nil if there are none.
func histogram(values []float64) *histopb.HistogramProto {
	h := &histopb.HistogramProto{Min: math.Inf(1), Max: math.Inf(-1)}
	for _, v := range values {
		if finite(v) {
			h.Min, h.Max = min(h.Min, v), max(h.Max, v)
			h.Num++
			h.Sum += v
			h.SumSquares += v * v
		}
	}
	if h.Num == 0 {
		return nil
	}
	width := h.Max/buckets - h.Min/buckets // divided first: the difference may overflow
	h.Bucket = make([]float64, buckets)
	for i := range buckets {
		h.BucketLimit = append(h.BucketLimit, h.Min+float64(i+1)*width)
	}
	h.BucketLimit[buckets-1] = h.Max // whatever the rounding
	for _, v := range values {
		if finite(v) {
			h.Bucket[bucketOf(h.BucketLimit, v)]++
		}
	}
	return h
}

// bucketOf finds the first bucket whose limit is not below v; the last one takes
// the rest. By search, not by division, which rounding or overflow can mislead.
func bucketOf(limits []float64, v float64) int { return sort.SearchFloat64s(limits[:buckets-1], v) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
