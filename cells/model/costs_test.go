package model_test

import (
	"math"
	"testing"

	"github.com/nasnet-go/nasnet/cells/model"
)

// Multiply-adds of reference nasnet.md section 7.
func TestMultiplyAdds(t *testing.T) {
	for name, want := range map[string]float64{"nasnet-a-cifar": 544.3e6, "nasnet-a-mobile": 563.6e6, "nasnet-a-large": 23783e6} {
		m, err := model.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := model.Build(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := float64(p.Costs().MACs); math.Abs(got-want) > 1e-4*want {
			t.Errorf("%s: %g multiply-adds, want %g", name, got, want)
		}
	}
}
