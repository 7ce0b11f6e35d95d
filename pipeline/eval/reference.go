package eval

import (
	"fmt"
	"math"
)

// Metrics that figures were published of.
const (
	MetricTop1   = "top1"
	MetricTop5   = "top5"
	MetricReal   = "real_top1"
	MetricRecall = "mean_recall"
)

// Published is a figure of a paper.
type Published struct {
	Model  string  `json:"model"`  // preset
	Set    string  `json:"set"`    // data set
	Metric string  `json:"metric"` // one of the constants
	Share  float64 `json:"share"`  // 0..1
	Step   float64 `json:"step"`   // of its last digit
	Note   string  `json:"note,omitempty"`
	Source string  `json:"source"`
}

const (
	paper     = "Zoph et al., arXiv 1707.07012"
	realPaper = "Beyer et al., arXiv 2006.07159"
	indlPaper = "Yang et al., arXiv 2305.17716"
)

var published = []Published{
	{"nasnet-a-cifar", "cifar10", MetricTop1, 0.9735, 1e-4, "6@768 with cutout, 2.65 % error, mean of 5 trainings", paper},
	{"nasnet-a-cifar-large", "cifar10", MetricTop1, 0.9760, 1e-4, "7@2304 with cutout, 2.40 % error, mean of 5 trainings", paper},
	{"nasnet-a-large", "imagenet", MetricTop1, 0.827, 1e-3, "6@4032, 331 pixels, one crop", paper},
	{"nasnet-a-large", "imagenet", MetricTop5, 0.962, 1e-3, "6@4032, 331 pixels, one crop", paper},
	{"nasnet-a-mobile", "imagenet", MetricTop1, 0.740, 1e-3, "4@1056, 224 pixels, one crop", paper},
	{"nasnet-a-mobile", "imagenet", MetricTop5, 0.916, 1e-3, "4@1056, 224 pixels, one crop", paper},
	{"nasnet-a-large", "imagenet", MetricReal, 0.8756, 1e-4, "46,837 images", realPaper},
	{"nasnet-a-mobile", "imagenet", MetricReal, 0.8115, 1e-4, "46,837 images", realPaper},
	{"nasnet-a-large", "indl", MetricRecall, 0.8952, 1e-4, "average recall over the five sets; the paper's formula is not stated, ours is the mean over both classes", indlPaper},
}

// References returns the published figures of a model on a data set (cifar10,
// imagenet, indl); "" stands for any.
func References(model, set string) []Published {
	var list []Published
	for _, p := range published {
		if (model == "" || p.Model == model) && (set == "" || p.Set == set) {
			list = append(list, p)
		}
	}
	return list
}

// Reference sets a published figure beside a measured one.
type Reference struct {
	Published
	Measured float64    `json:"measured"`
	CI95     [2]float64 `json:"measured_ci95"`
	Missing  bool       `json:"not_measured,omitempty"`
	Agrees   bool       `json:"agrees"`
	Verdict  string     `json:"verdict"`
}

// Measured returns a measurement's figure for a metric with its interval; false
// where it was not measured.
func (m Measurement) Measured(metric string) (float64, [2]float64, bool) {
	switch metric {
	case MetricTop1:
		return m.Top1, m.Top1CI, m.Images > 0
	case MetricTop5:
		return m.Top5, m.Top5CI, m.Images > 0
	case MetricRecall:
		return m.MeanRecall, m.MeanRecallCI, len(m.Recall) > 0
	case MetricReal:
		if m.RealScore != nil {
			return m.RealTop1, m.RealTop1CI, true
		}
	}
	return 0, [2]float64{}, false
}

// Against compares a measurement with what was published of the model on the
// set, "" being any; what was not measured is said to be so.
func (m Measurement) Against(model, set string) []Reference {
	var list []Reference
	for _, p := range References(model, set) {
		share, interval, ok := m.Measured(p.Metric)
		if !ok {
			list = append(list, Reference{Published: p, Missing: true, Verdict: "was not measured; published are " + p.percent()})
			continue
		}
		list = append(list, p.Beside(share, interval))
	}
	return list
}

// percent is the figure with the digits that were published.
func (p Published) percent() string {
	return fmt.Sprintf("%.*f %%", int(math.Round(-math.Log10(p.Step)))-2, 100*p.Share)
}

// Beside compares a measured share and its 95 % interval with the figure. They
// agree if the interval, wider by half of the figure's last digit, contains it.
func (p Published) Beside(measured float64, interval [2]float64) Reference {
	r := Reference{Published: p, Measured: measured, CI95: interval}
	half := p.Step/2 + 1e-12 // the figure is a rounded one; the rest is for binary fractions
	r.Agrees = p.Share >= interval[0]-half && p.Share <= interval[1]+half
	r.Verdict = "agrees with the published " + p.percent()
	if !r.Agrees {
		side := "below"
		if measured > p.Share {
			side = "above"
		}
		r.Verdict = "is " + side + " the published " + p.percent()
	}
	return r
}
