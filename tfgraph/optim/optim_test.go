package optim_test

import (
	"fmt"
	"math"
	"path"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

func goldenOptim(t *testing.T) map[string]tftest.Array {
	t.Helper()
	return tftest.Npz(t, reftest.Shared(t, "golden", "slim", "optim", "optim.npz"))
}

// trace runs a rule five steps on fixed gradients or on 0.5*sum(a*(w-c)²) and
// compares weights and slots after each step.
func trace(t *testing.T, a map[string]tftest.Array, name, kind string, rule optim.Rule, slots map[string]string) {
	g := tfgraph.New()
	s, st := g.Root(), tfgraph.NewStore(1)
	w := st.Get(s, "w", []int64{6}, true, func(s *tfgraph.Scope, _ []int64) tfgraph.Tensor {
		return tfgraph.Vector(s, a["common/w0"].Float32()...)
	})
	in := tfgraph.Placeholder(s, "grad", tfgraph.Float32, tfgraph.Shape{6})
	grad := in
	if kind == "quad" {
		qa, qc := tfgraph.Vector(s, a["common/quad_a"].Float32()...), tfgraph.Vector(s, a["common/quad_c"].Float32()...)
		grad = tfgraph.Mul(s, qa, tfgraph.Sub(s, w.Read, qc))
	}
	apply := tfgraph.Group(s, "train", rule.Apply(s, st, optim.Update{
		Vars: []*tfgraph.Variable{w}, Grads: []tfgraph.Tensor{grad}, Rate: tfgraph.Scalarc(s, float32(0.1)),
	})...)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	if _, err := sess.Run(nil, nil, st.Init(s)); err != nil {
		t.Fatal(err)
	}
	for step := range 5 {
		row := func(key string) []float32 { return a[name+"/"+kind+"/"+key].Float32()[step*6 : step*6+6] }
		v, err := tfgraph.NewValue(row("grads"), 6)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sess.Run(tfgraph.Feeds{in: v}, nil, apply); err != nil {
			t.Fatal(err)
		}
		check := func(key, variable string) {
			out, err := sess.Run(nil, []tfgraph.Tensor{st.Lookup(variable).Read})
			if err != nil {
				t.Fatal(err)
			}
			tftest.Near(t, fmt.Sprintf("%s/%s/%s after step %d", name, kind, key, step+1), tftest.Floats(t, out)[0], row(key), 1e-6)
		}
		check("w", "w")
		for key, slot := range slots {
			check(key, "w/"+slot)
		}
	}
}

func TestRulesAgainstTF1(t *testing.T) {
	a := goldenOptim(t)
	for _, kind := range []string{"fixed", "quad"} {
		trace(t, a, "rmsprop", kind, optim.RMSProp{Decay: 0.9, Momentum: 0.9, Epsilon: 1}, map[string]string{"slot_rms": "RMSProp", "slot_momentum": "RMSProp_1"})
		trace(t, a, "momentum", kind, optim.Momentum{Momentum: 0.9}, map[string]string{"slot_momentum": "Momentum"})
		trace(t, a, "nesterov", kind, optim.Momentum{Momentum: 0.9, Nesterov: true}, map[string]string{"slot_momentum": "Momentum"})
	}
}

func TestSGDHasNoSlots(t *testing.T) {
	var st *tfgraph.Store
	got := tftest.Run(t, func(s *tfgraph.Scope) ([]tfgraph.Tensor, tfgraph.Feeds, tfgraph.Operation) {
		st = tfgraph.NewStore(1)
		w := st.Get(s, "w", []int64{2}, true, tfgraph.OnesInit)
		u := optim.Update{Vars: []*tfgraph.Variable{w}, Grads: []tfgraph.Tensor{tfgraph.Vector(s, float32(2), -4)}, Rate: tfgraph.Scalarc(s, float32(0.25))}
		return []tfgraph.Tensor{w.ReadAfter(s.After(optim.SGD{}.Apply(s, st, u)...))}, nil, st.Init(s.Sub("all"))
	})
	tftest.Near(t, "weights", got[0], []float32{0.5, 2}, 0)
	if n := len(st.All()); n != 1 {
		t.Errorf("%d variables, want the weights alone", n)
	}
}

func TestAveragesAgainstTF1(t *testing.T) {
	a := goldenOptim(t)
	for _, name := range []string{"with_num_updates", "without_num_updates"} {
		p := "ema/" + name + "/"
		g := tfgraph.New()
		s, st := g.Root(), tfgraph.NewStore(1)
		w := st.Get(s, "w", []int64{6}, true, func(s *tfgraph.Scope, _ []int64) tfgraph.Tensor {
			return tfgraph.Vector(s, a[p+"shadow_init"].Float32()...)
		})
		value := tfgraph.Placeholder(s, "value", tfgraph.Float32, tfgraph.Shape{6})
		n := tfgraph.Placeholder(s, "n", tfgraph.Int64, tfgraph.Shape{})
		avg := optim.Averages{Decay: float32(a["ema/decay"].Data[0])}
		if name == "with_num_updates" {
			avg.Updates = n
		}
		set := w.Assign(s, value)
		step := tfgraph.Group(s, "step", avg.Apply(s.Sub("avg").After(set), st, []*tfgraph.Variable{w})...)
		sess := tftest.Session(t, g, tfgraph.SessionOptions{})
		if _, err := sess.Run(nil, nil, st.Init(s)); err != nil {
			t.Fatal(err)
		}
		values, shadows := a[p+"values"].Float32(), a[p+"shadow"].Float32()
		for i := range len(values) / 6 {
			v, _ := tfgraph.NewValue(values[i*6:i*6+6], 6)
			feeds := tfgraph.Feeds{value: v, n: tfgraph.Scalar(int64(0))}
			if nums, ok := a[p+"num_updates"]; ok {
				feeds[n] = tfgraph.Scalar(int64(nums.Data[i]))
			}
			if _, err := sess.Run(feeds, nil, step); err != nil {
				t.Fatal(err)
			}
			out, err := sess.Run(nil, []tfgraph.Tensor{st.Lookup("w" + optim.AverageSuffix).Read})
			if err != nil {
				t.Fatal(err)
			}
			tftest.Near(t, fmt.Sprintf("%s update %d", name, i), tftest.Floats(t, out)[0], shadows[i*6:i*6+6], 1e-6)
		}
	}
}

func TestClipAgainstTF1(t *testing.T) {
	a := goldenOptim(t)
	for c := range 5 {
		p := fmt.Sprintf("clip/case%d/", c)
		got := tftest.Run(t, func(s *tfgraph.Scope) ([]tfgraph.Tensor, tfgraph.Feeds, tfgraph.Operation) {
			var grads []tfgraph.Tensor
			for i := range 3 {
				in, ok := a[fmt.Sprintf("%sin%d", p, i)]
				if !ok {
					break
				}
				grads = append(grads, tfgraph.Const(s, in.Float32(), in.Shape...))
			}
			norm := optim.GlobalNorm(s, optim.Norms(s, grads))
			return append(optim.Clip(s, grads, norm, float32(a[p+"clip_norm"].Data[0])), norm), nil, tfgraph.Operation{}
		})
		for i := range len(got) - 1 {
			tftest.Near(t, fmt.Sprintf("case %d, gradient %d", c, i), got[i], a[fmt.Sprintf("%sout%d", p, i)].Float32(), 1e-6)
		}
		want := a[p+"global_norm"].Data[0]
		norm := float64(got[len(got)-1][0])
		if norm != want && math.Abs(norm-want) > 1e-6*math.Max(1, want) {
			t.Errorf("case %d: norm %g, TF1's %g", c, norm, want)
		}
	}
}

func TestSchedulesAgainstTF1(t *testing.T) {
	a := goldenOptim(t)
	cos, exp := a["cosine/params_lr_decaysteps"].Data, a["exponential/params_lr_decaysteps_rate"].Data
	for key, schedule := range map[string]optim.Schedule{
		"cosine/lr_alpha0":          optim.Cosine(cos[0], int64(cos[1]), 0),
		"cosine/lr_alpha0p1":        optim.Cosine(cos[0], int64(cos[1]), 0.1),
		"exponential/lr_staircase":  optim.Exponential(exp[0], int64(exp[1]), exp[2], true),
		"exponential/lr_continuous": optim.Exponential(exp[0], int64(exp[1]), exp[2], false),
	} {
		steps := a[path.Dir(key)+"/steps"].Data
		for i, step := range steps {
			if got, want := schedule(int64(step)), a[key].Data[i]; math.Abs(got-want) > 1e-6*math.Max(1, want) {
				t.Errorf("%s at step %g is %g, TF1's %g", key, step, got, want)
			}
		}
	}
}

func TestWarmupReachesTheSchedule(t *testing.T) {
	s := optim.Warmup(4, optim.Steps(1, []int64{6}, 0.1))
	for step, want := range []float64{0.25, 0.5, 0.75, 1, 1, 1, 0.1} {
		if got := s(int64(step)); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: %g, want %g", step, got, want)
		}
	}
}

func TestDecayTouchesOnlyWhatItShould(t *testing.T) {
	got := tftest.Run(t, func(s *tfgraph.Scope) ([]tfgraph.Tensor, tfgraph.Feeds, tfgraph.Operation) {
		st := tfgraph.NewStore(1)
		w := st.Get(s, "w", []int64{1}, true, tfgraph.FilledInit(3))
		b := st.Get(s, "b", []int64{1}, true, tfgraph.FilledInit(3))
		g := tfgraph.Vector(s, float32(1))
		out := optim.Decay(s, []*tfgraph.Variable{w, b}, []tfgraph.Tensor{g, g}, []*tfgraph.Variable{w}, 0.5)
		return out, nil, st.Init(s)
	})
	tftest.Near(t, "decayed", got[0], []float32{2.5}, 1e-6)
	tftest.Near(t, "not decayed", got[1], []float32{1}, 0)
}

// Each gradient by its own norm: the long one is cut, the short one stays.
func TestClipEach(t *testing.T) {
	got := tftest.Run(t, func(s *tfgraph.Scope) ([]tfgraph.Tensor, tfgraph.Feeds, tfgraph.Operation) {
		grads := []tfgraph.Tensor{tfgraph.Vector(s, float32(6), 8), tfgraph.Vector(s, float32(3), -4)}
		return optim.ClipEach(s, grads, optim.Norms(s, grads), 5), nil, tfgraph.Operation{}
	})
	tftest.Near(t, "norm 10", got[0], []float32{3, 4}, 1e-6)
	tftest.Near(t, "norm 5", got[1], []float32{3, -4}, 1e-6)
}
