package eval

import (
	"fmt"
	"math"
)

// topClasses is how many of an image's best classes are kept.
const topClasses = 5

// Prediction is what a model said of one image, and what is right.
type Prediction struct {
	Image      string  `json:"image"`      // the image's name: file, or its number in its set
	Label      int     `json:"label"`      // the right class
	Predicted  int     `json:"prediction"` // the class with the largest logit; of equal ones the first
	Rank       int     `json:"rank"`       // classes before the right one; 0: it is the prediction
	Confidence float64 `json:"confidence"` // softmax of the prediction, 0..1
	Loss       float64 `json:"loss"`       // cross entropy, nats: -ln of the right class's softmax
	Top        []int   `json:"top5"`       // the best five classes (or all, if fewer), best first
}

// Right reports whether the prediction is the label.
func (p Prediction) Right() bool { return p.Rank == 0 }

// Judge turns an image's logits [K] into a prediction. Logarithms of
// probabilities are logits too. Not a number, or infinity, is an error: such a
// network has diverged, and no figure of it means anything.
func Judge(image string, logits []float32, label int) (Prediction, error) {
	if label < 0 || label >= len(logits) {
		return Prediction{}, fmt.Errorf("eval: image %s: label %d is not in 0..%d", image, label, len(logits)-1)
	}
	for class, x := range logits {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return Prediction{}, fmt.Errorf("eval: image %s: the logit of class %d is %g: the network has diverged, evaluate an earlier checkpoint", image, class, x)
		}
	}
	total := logSumExp(logits)
	p := Prediction{Image: image, Label: label, Rank: Rank(logits, label), Top: top(logits), Loss: total - float64(logits[label])}
	p.Predicted = p.Top[0]
	p.Confidence = math.Exp(float64(logits[p.Predicted]) - total)
	return p, nil
}

// JudgeBatch judges images one after the other: logits [N,K] row-major, labels
// and names [N].
func JudgeBatch(images []string, logits []float32, labels []int, each func(Prediction) error) error {
	if len(labels) == 0 || len(images) != len(labels) || len(logits)%len(labels) != 0 || len(logits) == 0 {
		return fmt.Errorf("eval: %d logits and %d labels for %d images", len(logits), len(labels), len(images))
	}
	k := len(logits) / len(labels)
	for i, label := range labels {
		p, err := Judge(images[i], logits[i*k:(i+1)*k], label)
		if err == nil {
			err = each(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// top returns the classes of the largest logits, best first; of equal ones the
// smaller index comes first.
func top(logits []float32) []int {
	best := make([]int, 0, topClasses+1)
	for class, x := range logits {
		at := len(best)
		for at > 0 && x > logits[best[at-1]] {
			at--
		}
		if at == topClasses {
			continue
		}
		best = append(best, 0)
		copy(best[at+1:], best[at:])
		best[at] = class
		best = best[:min(len(best), topClasses)]
	}
	return best
}

// WithoutBackground leaves out the first of 1001 classes, slim's "background",
// of logits [N,1001], and shifts labels 1..1000 to 0..999: the classes of Keras,
// of ReaL and of everybody else. It changes neither argument.
func WithoutBackground(logits []float32, labels []int) ([]float32, []int, error) {
	const width = 1001
	if len(logits) != width*len(labels) {
		return nil, nil, fmt.Errorf("eval: %d logits for %d images; want %d an image, the first of the background", len(logits), len(labels), width)
	}
	shifted := make([]int, len(labels))
	kept := make([]float32, 0, len(logits)-len(labels))
	for i, label := range labels {
		if label < 1 || label >= width {
			return nil, nil, fmt.Errorf("eval: label %d of an image is not in 1..%d", label, width-1)
		}
		shifted[i] = label - 1
		kept = append(kept, logits[i*width+1:(i+1)*width]...)
	}
	return kept, shifted, nil
}

// smallest is the probability that a zero counts as: the smallest float32. Its
// cross entropy is 103 nats.
const smallest = math.SmallestNonzeroFloat32

// Logits turns probabilities [N,K] into logits, their logarithms.
func Logits(probabilities []float32) ([]float32, error) {
	out := make([]float32, len(probabilities))
	for i, p := range probabilities {
		if !(p >= 0 && p <= 1.0001) { // not a number neither; sums of float32 overshoot a little
			return nil, fmt.Errorf("eval: element %d is %g, no probability", i, p)
		}
		out[i] = float32(math.Log(math.Max(smallest, float64(p))))
	}
	return out, nil
}

// MeanOfCrops averages the softmax of several crops of each image (Szegedy et
// al., arXiv 1512.00567): logits [N,crops,K] to the logarithms of the mean
// probabilities, [N,K].
func MeanOfCrops(logits []float32, crops, classes int) ([]float32, error) {
	if crops < 1 || classes < 1 || len(logits)%(crops*classes) != 0 {
		return nil, fmt.Errorf("eval: %d logits are not those of %d crops an image of %d classes", len(logits), crops, classes)
	}
	out := make([]float32, 0, len(logits)/crops)
	mean := make([]float64, classes)
	for at := 0; at < len(logits); at += crops * classes {
		clear(mean)
		for c := range crops {
			row := logits[at+c*classes:][:classes]
			total := logSumExp(row)
			for k, x := range row {
				mean[k] += math.Exp(float64(x)-total) / float64(crops)
			}
		}
		for _, p := range mean {
			out = append(out, float32(math.Log(math.Max(smallest, p))))
		}
	}
	return out, nil
}
