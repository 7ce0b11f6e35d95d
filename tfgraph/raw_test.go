package tfgraph_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// Numbers of each type go through TensorFlow and come back bit for bit.
func TestBytesOfEveryType(t *testing.T) {
	const boolean, int8s, int16s, uint16s, uint32s, uint64s = 10, 6, 5, 17, 22, 23
	for dtype, size := range map[tfgraph.DataType]int{
		boolean: 1, int8s: 1, tfgraph.Uint8: 1, int16s: 2, uint16s: 2, tfgraph.Half: 2, tfgraph.Bfloat16: 2, tfgraph.Int32: 4, uint32s: 4,
		tfgraph.Float32: 4, tfgraph.Int64: 8, uint64s: 8, tfgraph.Float64: 8,
	} {
		for _, shape := range [][]int64{{}, {1}, {6}, {2, 3}, {1, 3, 2}} {
			n := 1
			for _, d := range shape {
				n *= int(d)
			}
			raw := make([]byte, n*size)
			for i := range n {
				raw[i*size] = byte(i % 2)
			}
			v, err := tfgraph.FromBytes(dtype, raw, shape...)
			if err != nil {
				t.Errorf("type %d, shape %v: %v", dtype, shape, err)
				continue
			}
			g := tfgraph.New()
			x := tfgraph.Placeholder(g.Root(), "x", dtype, nil)
			sess, err := tfgraph.NewSession(g, tfgraph.SessionOptions{Grappler: tfgraph.GrapplerOff})
			if err != nil {
				t.Fatal(err)
			}
			out, err := sess.Run(tfgraph.Feeds{x: v}, []tfgraph.Tensor{tfgraph.Identity(g.Root(), "y", x)})
			if err != nil {
				t.Fatalf("type %d: %v", dtype, err)
			}
			back, err := tfgraph.ToBytes(out[0])
			if err != nil || !bytes.Equal(back, raw) || out[0].DataType() != dtype || len(shape) > 0 && !slices.Equal(out[0].Shape(), shape) {
				t.Errorf("type %d, shape %v: % x came back as % x of type %d, shape %v (%v)", dtype, shape, raw, back, out[0].DataType(), out[0].Shape(), err)
			}
			if err := sess.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := tfgraph.FromBytes(dtype, make([]byte, size+1), 1); err == nil {
			t.Errorf("type %d takes a byte too many", dtype)
		}
	}
	if _, err := tfgraph.FromBytes(tfgraph.String, nil); err == nil {
		t.Error("strings are taken for numbers")
	}
}

func TestStringsOfEveryShape(t *testing.T) {
	for _, shape := range [][]int64{{}, {1}, {6}, {2, 3}, {3, 1, 2}} {
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		list := []string{"a", "", "cc", "d\x00d", "é", "f"}[:n]
		v, err := tfgraph.StringsOf(list, shape...)
		if err != nil {
			t.Errorf("%v: %v", shape, err)
			continue
		}
		back, err := tfgraph.StringList(v)
		if err != nil || !slices.Equal(back, list) || len(shape) > 0 && !slices.Equal(v.Shape(), shape) {
			t.Errorf("%v: %q came back as %q of shape %v (%v)", shape, list, back, v.Shape(), err)
		}
	}
	if _, err := tfgraph.StringsOf([]string{"a"}, 2); err == nil {
		t.Error("one string fills two")
	}
}
