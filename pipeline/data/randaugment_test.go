package data

import (
	"fmt"
	"math"
	"testing"

	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// Every operation gives torchvision's picture (testdata/randaugment.py). Pixels
// that lie between two of the source, and values at a rounding edge, may fall on
// the other side.
func TestRandAugmentIsTorchvisions(t *testing.T) {
	a, err := npy.OpenArchive("testdata/randaugment.npz")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	read := func(name string) ([]float32, []int64) {
		values, shape, err := a.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		return values, shape
	}
	picture, shape := read("picture")
	g := tfgraph.New()
	s := g.Root()
	x, sign := tfgraph.Const(s, picture, shape...), tfgraph.Placeholder(s, "sign", tfgraph.Float32, tfgraph.Shape{})
	var outs []tfgraph.Tensor
	for _, operation := range randOperations {
		outs = append(outs, operation(s, x, sign, 0.9))
	}
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	for name, value := range map[string]float32{"plus": 1, "minus": -1} {
		got, err := sess.Run(tfgraph.Feeds{sign: tfgraph.Scalar(value)}, outs)
		if err != nil {
			t.Fatal(err)
		}
		for i, values := range tftest.Floats(t, got) {
			if name == "minus" && (i == 0 || i > 9) {
				continue
			}
			want, _ := read(fmt.Sprintf("%d_%s", i, name))
			off, far := 0, 0
			for k := range want {
				if d := math.Abs(float64(values[k] - want[k])); d > 1 {
					far++
				} else if d > 0 {
					off++
				}
			}
			geometric := i >= 1 && i <= 5
			if n := len(want); (far > 0 && !geometric) || far > n/50 || off > n/50 {
				t.Errorf("operation %d %s: %d of %d values are off by 1, %d by more", i, name, off, n, far)
			}
		}
	}
}

// The draws choose operation and sign: the same ones give the same picture, and
// over many images every operation occurs.
func TestRandAugmentDraws(t *testing.T) {
	g := tfgraph.New()
	s := g.Root()
	draws := tfgraph.Placeholder(s, "draws", tfgraph.Float32, tfgraph.Shape{4})
	pixels := make([]float32, 8*8*3)
	for i := range pixels {
		pixels[i] = float32((i * 37) % 256)
	}
	y := RandAugment{Layers: 2, Magnitude: 9}.apply(s, tfgraph.Const(s, pixels, 8, 8, 3), func(i int) tfgraph.Tensor {
		return tfgraph.Reshape(s, tfgraph.Slice(s, draws, []int32{int32(i)}, []int32{1}))
	})
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	different := map[string]bool{}
	for i := range 14 {
		v, err := tfgraph.NewValue([]float32{(float32(i) + 0.5) / 14, 0.2, 0.01, 0.2}, 4)
		if err != nil {
			t.Fatal(err)
		}
		out, err := sess.Run(tfgraph.Feeds{draws: v}, []tfgraph.Tensor{y})
		if err != nil {
			t.Fatal(err)
		}
		different[fmt.Sprint(tftest.Floats(t, out)[0])] = true
	}
	if len(different) < 13 { // equalize and auto contrast of full range may be the identity
		t.Errorf("14 operations gave %d pictures", len(different))
	}
}
