package eval

import "math"

// Calibration compares how sure a model was with how often it was right.
type Calibration struct {
	// ECE is the expected calibration error (Naeini et al. 2015, Guo et al., arXiv
	// 1706.04599): over bins of equal width of the prediction's softmax, the mean
	// of |share right - mean confidence|, weighted by images.
	ECE  float64          `json:"ece"`
	MCE  float64          `json:"mce"` // the largest of these differences
	Bins []ReliabilityBin `json:"bins"`
}

// ReliabilityBin is a point of the reliability plot: the images whose
// confidence lies in (Low, High], the first bin with 0 too.
type ReliabilityBin struct {
	Low        float64    `json:"low"`
	High       float64    `json:"high"`
	Images     int64      `json:"images"`
	Confidence float64    `json:"confidence"` // mean; 0 where there are no images
	Right      float64    `json:"right"`      // share; 0 where there are no images
	RightCI    [2]float64 `json:"right_ci95"` // Wilson
}

// bin counts the images of one bin.
type bin struct {
	images, right int64
	confidence    float64 // sum
}

func (b *bin) count(p Prediction) {
	b.images++
	b.confidence += p.Confidence
	if p.Right() {
		b.right++
	}
}

// binOf returns the bin of a confidence among n: upper limits belong to a bin,
// lower ones to the bin below.
func binOf(confidence float64, n int) int {
	return min(max(int(math.Ceil(confidence*float64(n)))-1, 0), n-1)
}

func calibration(bins []bin, images int64) Calibration {
	c := Calibration{}
	width := 1 / float64(len(bins))
	for i, b := range bins {
		r := ReliabilityBin{
			Low: float64(i) * width, High: float64(i+1) * width, Images: b.images, Confidence: b.confidence / float64(max(1, b.images)),
			Right: share(b.right, b.images), RightCI: Wilson(b.right, b.images, z95),
		}
		gap := math.Abs(r.Right - r.Confidence)
		c.ECE += gap * share(b.images, images)
		c.MCE = math.Max(c.MCE, gap)
		c.Bins = append(c.Bins, r)
	}
	return c
}
