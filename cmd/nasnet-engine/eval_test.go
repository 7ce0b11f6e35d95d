package main

import (
	"slices"
	"testing"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// Of 1001 logits the first is left out; of 1000 nothing is.
func TestTheBackgroundIsLeftOut(t *testing.T) {
	for _, width := range []int{imageNetClasses, imageNetClasses + 1} {
		batch := func(*tfgraph.Session) ([]float32, []int64, error) {
			logits := make([]float32, 2*width)
			for i := range logits {
				logits[i] = float32(i % width)
			}
			return logits, []int64{3, 4}, nil
		}
		got, classes, err := withoutBackground(batch)(nil)
		first := float32(width - imageNetClasses)
		if err != nil || !slices.Equal(classes, []int64{3, 4}) || len(got) != 2*imageNetClasses || got[0] != first || got[imageNetClasses] != first {
			t.Errorf("%d classes: %d logits that begin with %v, %v", width, len(got), got[:1], err)
		}
	}
}
