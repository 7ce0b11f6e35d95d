package model_test

import (
	"math"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells/model"
)

// filled gives every variable of a plan the same value.
func filled(p *model.Plan, x float32) model.Values {
	values := model.Values{}
	for _, v := range p.Variables() {
		data := make([]float32, v.Size())
		for i := range data {
			data[i] = x
		}
		values[v.Name] = data
	}
	return values
}

func mobile(t *testing.T) *model.Plan {
	t.Helper()
	m, err := model.Preset("nasnet-a-mobile")
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestInferenceOfMobile(t *testing.T) {
	p := mobile(t)
	q, values, err := p.Inference(filled(p, 1), "Cell_11")
	if err != nil {
		t.Fatal(err)
	}
	count := map[model.Kind]int{}
	for i, l := range q.Layers {
		count[l.Kind]++
		if l.Aux {
			t.Errorf("%s belongs to the auxiliary head", l.Name)
		}
		for _, x := range l.Inputs {
			if x >= i {
				t.Fatalf("layer %d, %s, reads layer %d, which comes later", i, l.Name, x)
			}
			if k := q.Layers[x].Kind; k == model.ConcatChannels && l.Kind == model.ReLU {
				t.Errorf("%s is the ReLU of a concat", l.Name)
			}
		}
	}
	for _, k := range []model.Kind{model.BatchNorm, model.DropPath, model.Dropout, model.Subsample, model.ShiftSubsample} {
		if count[k] != 0 {
			t.Errorf("%d layers of kind %s are left", count[k], k)
		}
	}
	// 16 cells' concats, and the raw one of the end point; of the halves of four factorised reductions, three with
	// and without their ReLU. Two averages a cell, for the third reads its input twice.
	if count[model.ConcatChannels] != 24 || count[model.AvgPool] != 32 {
		t.Errorf("%d concats and %d averages, want 24 and 32", count[model.ConcatChannels], count[model.AvgPool])
	}
	if q.Layers[q.Logits].Shape != [3]int{1, 1, 1000} || q.Layers[q.EndPoints[0].Layer].Shape != [3]int{7, 7, 1056} {
		t.Errorf("logits %v, end point %v", q.Layers[q.Logits].Shape, q.Layers[q.EndPoints[0].Layer].Shape)
	}
	for _, v := range q.Variables() {
		if int64(len(values[v.Name])) != v.Size() {
			t.Errorf("%s has %d values, want %d", v.Name, len(values[v.Name]), v.Size())
		}
	}
	// All weights 1, so a norm has scale 1/sqrt(1+epsilon), and shift 1 - that.
	scale := 1 / math.Sqrt(1+p.Model.BatchNorm.Epsilon)
	if w, b := values["conv0/weights"][0], values["conv0/biases"][0]; math.Abs(float64(w)-scale) > 1e-7 || math.Abs(float64(b)-1+scale) > 1e-7 {
		t.Errorf("folded weight %g and bias %g, want %g and %g", w, b, scale, 1-scale)
	}
}

func TestInferenceNamesWhatIsMissing(t *testing.T) {
	p := mobile(t)
	values := filled(p, 1)
	delete(values, "cell_3/1x1/weights")
	if _, _, err := p.Inference(values); err == nil || !strings.Contains(err.Error(), "cell_3/1x1/weights") {
		t.Errorf("a missing value: %v", err)
	}
	values["cell_3/1x1/weights"] = []float32{1}
	if _, _, err := p.Inference(values); err == nil || !strings.Contains(err.Error(), "has 1 values") {
		t.Errorf("a value of another size: %v", err)
	}
	if _, _, err := p.Inference(filled(p, 1), "nosuch"); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("an unknown end point: %v", err)
	}
}
