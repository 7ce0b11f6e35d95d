package tfgraph_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tfdata"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

func TestFirstErrorSaysWhereAndTheRestIsInert(t *testing.T) {
	g := tfgraph.New()
	s := g.Root().Sub("cell_%d", 3).Sub("left")
	a := tfgraph.Const(s, []float32{1, 2, 3}, 3)
	b := tfgraph.Const(s, []float32{1, 2}, 2)
	bad := tfgraph.Add(s, a, b)
	after := tfgraph.MatMul(s, bad, bad)
	if bad.Valid() || after.Valid() || after.Shape() != nil || after.DType() != 0 || after.Dim(1) != -1 {
		t.Error("tensors after an error are not inert")
	}
	if got := tfgraph.Gradients(s, []tfgraph.Tensor{after}, []tfgraph.Tensor{a}); len(got) != 1 || got[0].Valid() {
		t.Error("gradients after an error are not inert")
	}
	err := g.Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"/cell_3/left", "AddV2", "graph_test.go:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "goroutine") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is not one line: %q", err)
	}
	if _, err2 := tfgraph.NewSession(g, tfgraph.SessionOptions{}); err2 == nil {
		t.Error("a session opened on a broken graph")
	}
}

func TestNamesAreUniqueAndReadable(t *testing.T) {
	g := tfgraph.New()
	s := g.Root().Sub("a")
	x := tfgraph.Zeros(s, 2, 3)
	first, second := s.One("Relu", nil, x), s.One("Relu", nil, x)
	if first.Name() != "a/Relu:0" || second.Name() != "a/Relu_1:0" {
		t.Errorf("names %s, %s", first.Name(), second.Name())
	}
	if got := first.Shape(); len(got) != 2 || got[0] != 2 || got[1] != 3 {
		t.Errorf("shape %v", got)
	}
}

func TestStoreSharesOnlyWhenAsked(t *testing.T) {
	g := tfgraph.New()
	st := tfgraph.NewStore(1)
	v := st.Get(g.Root(), "w", []int64{2}, true, tfgraph.OnesInit)
	if st.Shared().Get(g.Root(), "w", []int64{2}, true, tfgraph.OnesInit) != v {
		t.Error("the shared view made another variable")
	}
	if g.Err() != nil {
		t.Fatal(g.Err())
	}
	st.Get(g.Root(), "w", []int64{2}, true, tfgraph.OnesInit)
	if g.Err() == nil {
		t.Error("a name was used twice without an error")
	}
}

func TestRandomInitDependsOnSeedAndNameOnly(t *testing.T) {
	draw := func(seed int64, before int, name string) []float32 {
		return tftest.Run(t, func(s *tfgraph.Scope) ([]tfgraph.Tensor, tfgraph.Feeds, tfgraph.Operation) {
			st := tfgraph.NewStore(seed)
			for i := range before {
				st.Get(s, "other"+strconv.Itoa(i), []int64{1}, true, tfgraph.ZerosInit)
			}
			v := st.Get(s, name, []int64{3, 3, 4, 8}, true, tfgraph.FanOutInit)
			return []tfgraph.Tensor{v.Read}, nil, st.Init(s)
		})[0]
	}
	base := draw(7, 0, "w")
	tftest.Near(t, "same seed, other neighbours", draw(7, 3, "w"), base, 0)
	if tftest.MaxAbsDiff(draw(8, 0, "w"), base) == 0 || tftest.MaxAbsDiff(draw(7, 0, "x"), base) == 0 {
		t.Error("another seed or name gives the same values")
	}
	var sum2 float64
	for _, x := range base {
		sum2 += float64(x) * float64(x)
	}
	// A normal cut at two deviations has 0.774 of the variance.
	if v := sum2 / float64(len(base)); v < 0.7*0.774*2.6/72 || v > 1.3*0.774*2.6/72 {
		t.Errorf("variance %g, want about %g", v, 0.774*2.6/72)
	}
}

func TestSaverRoundTripAndMissingKey(t *testing.T) {
	g := tfgraph.New()
	s := g.Root()
	st := tfgraph.NewStore(1)
	v := st.Get(s, "w", []int64{2}, true, tfgraph.FilledInit(3))
	sv := tfgraph.NewSaver(s.Sub("save"), []string{"w"}, []*tfgraph.Variable{v})
	wrong := tfgraph.NewSaver(s.Sub("wrong"), []string{"absent"}, []*tfgraph.Variable{v})
	double := v.AssignAdd(s, v.Read)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	if _, err := sess.Run(nil, nil, st.Init(s)); err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "ckpt")
	if err := sv.SaveTo(sess, prefix); err != nil {
		t.Fatal(err)
	}
	if _, err := sess.Run(nil, nil, double); err != nil {
		t.Fatal(err)
	}
	if err := sv.RestoreFrom(sess, prefix); err != nil {
		t.Fatal(err)
	}
	out, err := sess.Run(nil, []tfgraph.Tensor{v.Read})
	if err != nil {
		t.Fatal(err)
	}
	tftest.Near(t, "restored", tftest.Floats(t, out)[0], []float32{3, 3}, 0)
	if err := wrong.RestoreFrom(sess, prefix); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("restoring a missing key: %v", err)
	}
}

func TestDatasetMapWithCaptures(t *testing.T) {
	g := tfgraph.New()
	s := g.Root()
	start := tfgraph.Placeholder(s, "start", tfgraph.Int64, tfgraph.Shape{})
	table := tfgraph.Const(s, []float32{10, 11, 12, 13, 14, 15}, 6)
	d := tfdata.Range(s, start, tfgraph.Scalarc(s, int64(6))).Batch(s, 2, false).
		Map(s, 2, []tfgraph.Tensor{table}, func(s *tfgraph.Scope, e, c []tfgraph.Tensor) []tfgraph.Tensor {
			return []tfgraph.Tensor{tfgraph.Gather(s, c[0], e[0])}
		}).Prefetch(s, 1)
	it := d.Iterate(s, "it")
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	if _, err := sess.Run(tfgraph.Feeds{start: tfgraph.Scalar(int64(3))}, nil, it.Start); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]float32{{13, 14}, {15}} {
		out, err := sess.Run(nil, it.Next)
		if err != nil {
			t.Fatal(err)
		}
		tftest.Near(t, "element", tftest.Floats(t, out)[0], want, 0)
	}
	if _, err := sess.Run(nil, it.Next); !tfgraph.IsEndOfSequence(err) {
		t.Errorf("after the last element: %v", err)
	}
}

// Without the budget on live values 4,000 runs like these take gigabytes.
func TestResidentMemoryStaysFlat(t *testing.T) {
	g := tfgraph.New()
	s := g.Root()
	x := tfgraph.Placeholder(s, "x", tfgraph.Float32, tfgraph.Shape{64, 1024})
	y := tfgraph.Scale(s, x, 2)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	data := make([]float32, 64*1024)
	step := func(n int) {
		for range n {
			v, err := tfgraph.NewValue(data, 64, 1024)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sess.Run(tfgraph.Feeds{x: v}, []tfgraph.Tensor{y}); err != nil {
				t.Fatal(err)
			}
		}
	}
	step(1000)
	before := residentKB(t)
	step(9000)
	if grown := residentKB(t) - before; grown > 64<<10 {
		t.Errorf("resident memory grew by %d KB over 9,000 runs", grown)
	}
}

func residentKB(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc/self/status on this system")
	}
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, _ := strconv.Atoi(f[1])
			return kb
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
