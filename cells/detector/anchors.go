package detector

import "math"

// Boxes are the anchors of a map of h x w places that lie stride pixels apart,
// four numbers each, in the order of the region proposal network's channels:
// place by place, ratio by ratio, the scale last.
//
//	height = scale / sqrt(ratio) · base    width = scale · sqrt(ratio) · base    centre = (stride y, stride x)
func (a Anchors) Boxes(h, w, stride int) []float32 {
	boxes := make([]float32, 0, 4*h*w*len(a.Ratios)*len(a.Scales))
	for y := range h {
		for x := range w {
			cy, cx := float64(y*stride), float64(x*stride)
			for _, ratio := range a.Ratios {
				root := math.Sqrt(ratio)
				for _, scale := range a.Scales {
					h2, w2 := scale/root*a.Base/2, scale*root*a.Base/2
					boxes = append(boxes, float32(cy-h2), float32(cx-w2), float32(cy+h2), float32(cx+w2))
				}
			}
		}
	}
	return boxes
}

// AnchorBoxes are the plan's anchors.
func (p *Plan) AnchorBoxes() []float32 {
	return p.Options.Anchors.Boxes(p.Features[0], p.Features[1], p.Stride)
}

// AnchorCount is their number.
func (p *Plan) AnchorCount() int { return p.Features[0] * p.Features[1] * p.perPlace() }

// Inside marks the boxes that do not leave an image of h x w pixels: those that
// training uses.
func Inside(boxes []float32, h, w int) []bool {
	inside := make([]bool, len(boxes)/4)
	for i := range inside {
		b := boxes[4*i:]
		inside[i] = b[0] >= 0 && b[1] >= 0 && b[2] <= float32(h) && b[3] <= float32(w)
	}
	return inside
}
