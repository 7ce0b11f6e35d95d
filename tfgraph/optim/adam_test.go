package optim_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// The adaptive rules run on two variables, of which only the first decays.
const (
	adaptiveSteps = 6
	adaptiveRate  = 0.05
	adaptiveDecay = 0.1
)

var adaptiveStart = map[string][]float32{"w": {0.7, -1.2, 0.3, 2}, "b": {0.5, -0.25, 0, 1}}

// adaptiveGrad is the gradient at step n of element i, fixed in advance.
func adaptiveGrad(name string, n, i int) float32 {
	g := float32(math.Sin(float64(3*n+i))) * float32(1+i)
	if name == "b" {
		g = -g / 4
	}
	return g
}

// follow runs a rule and returns the weights after the last step.
func follow(t *testing.T, rule optim.Rule) map[string][]float32 {
	t.Helper()
	g := tfgraph.New()
	s, st := g.Root(), tfgraph.NewStore(1)
	count := tfgraph.Placeholder(s, "count", tfgraph.Int64, tfgraph.Shape{})
	u := optim.Update{Rate: tfgraph.Scalarc(s, float32(adaptiveRate)), Count: count, Decay: adaptiveDecay}
	for _, name := range []string{"w", "b"} {
		u.Vars = append(u.Vars, st.Get(s, name, []int64{4}, true, func(s *tfgraph.Scope, _ []int64) tfgraph.Tensor {
			return tfgraph.Vector(s, adaptiveStart[name]...)
		}))
		u.Grads = append(u.Grads, tfgraph.Placeholder(s, name+"_grad", tfgraph.Float32, tfgraph.Shape{4}))
	}
	u.Decayed = u.Vars[:1]
	apply := tfgraph.Group(s, "train", rule.Apply(s, st, u)...)
	sess := tftest.Session(t, g, tfgraph.SessionOptions{})
	if _, err := sess.Run(nil, nil, st.Init(s)); err != nil {
		t.Fatal(err)
	}
	for n := range adaptiveSteps {
		feeds := tfgraph.Feeds{count: tfgraph.Scalar(int64(n))}
		for k, v := range u.Vars {
			grad := make([]float32, 4)
			for i := range grad {
				grad[i] = adaptiveGrad(v.Name, n, i)
			}
			value, err := tfgraph.NewValue(grad, 4)
			if err != nil {
				t.Fatal(err)
			}
			feeds[u.Grads[k]] = value
		}
		if _, err := sess.Run(feeds, nil, apply); err != nil {
			t.Fatal(err)
		}
	}
	out, err := sess.Run(nil, []tfgraph.Tensor{u.Vars[0].Read, u.Vars[1].Read})
	if err != nil {
		t.Fatal(err)
	}
	f := tftest.Floats(t, out)
	return map[string][]float32{"w": f[0], "b": f[1]}
}

// papers computes the same in float64 from the formulas of the papers.
func papers(kind string, b1, b2, eps float64) map[string][]float32 {
	result := map[string][]float32{}
	for name, start := range adaptiveStart {
		decay := 0.0
		if name == "w" && kind != "adam" {
			decay = adaptiveDecay
		}
		w, m, v := make([]float64, 4), make([]float64, 4), make([]float64, 4)
		for i := range w {
			w[i] = float64(start[i])
		}
		for n := range adaptiveSteps {
			step := make([]float64, 4)
			var size, length float64
			for i := range w {
				g := float64(adaptiveGrad(name, n, i))
				m[i], v[i] = b1*m[i]+(1-b1)*g, b2*v[i]+(1-b2)*g*g
				fix1, fix2 := 1-math.Pow(b1, float64(n+1)), 1-math.Pow(b2, float64(n+1))
				if kind == "lamb" {
					step[i] = m[i]/fix1/(math.Sqrt(v[i]/fix2)+eps) + decay*w[i]
				} else { // TF1's epsilon is added to the biased root
					step[i] = m[i]*math.Sqrt(fix2)/fix1/(math.Sqrt(v[i])+eps) + decay*w[i]
				}
				size, length = size+w[i]*w[i], length+step[i]*step[i]
			}
			ratio := 1.0
			if kind == "lamb" && size > 0 && length > 0 {
				ratio = math.Sqrt(size / length)
			}
			for i := range w {
				w[i] -= adaptiveRate * ratio * step[i]
			}
		}
		for _, x := range w {
			result[name] = append(result[name], float32(x))
		}
	}
	return result
}

func TestAdaptiveRulesFollowTheirPapers(t *testing.T) {
	const b1, b2, eps = 0.9, 0.99, 1e-3
	for kind, rule := range map[string]optim.Rule{
		"adam": optim.Adam{Beta1: b1, Beta2: b2, Epsilon: eps}, "adamw": optim.AdamW{Beta1: b1, Beta2: b2, Epsilon: eps},
		"lamb": optim.LAMB{Beta1: b1, Beta2: b2, Epsilon: eps},
	} {
		got, want := follow(t, rule), papers(kind, b1, b2, eps)
		for name := range want {
			tftest.Near(t, kind+" "+name, got[name], want[name], 2e-6)
		}
	}
}

func TestAdaptiveRulesAgainstKeras(t *testing.T) {
	const b1, b2, eps = 0.9, 0.99, 1e-7
	grads := map[string][][]float32{}
	for name := range adaptiveStart {
		for n := range adaptiveSteps {
			row := make([]float32, 4)
			for i := range row {
				row[i] = adaptiveGrad(name, n, i)
			}
			grads[name] = append(grads[name], row)
		}
	}
	in, err := json.Marshal(map[string]any{"start": adaptiveStart, "grads": grads})
	if err != nil {
		t.Fatal(err)
	}
	out := reftest.Python(t, `
import sys, json, keras, tensorflow as tf
j, a = json.loads(sys.argv[1]), dict(learning_rate=0.05, beta_1=0.9, beta_2=0.99, epsilon=1e-7)
result = {}
for kind, o in dict(adam=keras.optimizers.Adam(**a), adamw=keras.optimizers.AdamW(weight_decay=0.1, **a), lamb=keras.optimizers.Lamb(**a)).items():
    v = [keras.Variable(j['start'][n], name=n) for n in ('w', 'b')]
    if kind == 'adamw': o.exclude_from_weight_decay(var_list=[v[1]])
    o.build(v)
    for n in range(len(j['grads']['w'])): o.apply([tf.constant(j['grads'][x.name][n]) for x in v], v)
    result[kind] = {x.name: x.numpy().tolist() for x in v}
print(json.dumps(result))`, string(in))
	var want map[string]map[string][]float32
	if err := json.Unmarshal([]byte(out), &want); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rules := map[string]optim.Rule{"adam": optim.Adam{Beta1: b1, Beta2: b2, Epsilon: eps}, "adamw": optim.AdamW{Beta1: b1, Beta2: b2, Epsilon: eps}}
	for kind, rule := range rules {
		got := follow(t, rule)
		for name := range got {
			tftest.Near(t, fmt.Sprintf("%s %s", kind, name), got[name], want[kind][name], 2e-6)
		}
	}
	got := follow(t, optim.LAMB{Beta1: b1, Beta2: b2, Epsilon: eps}) // Keras's has no decay: the second variable only
	tftest.Near(t, "lamb b", got["b"], want["lamb"]["b"], 2e-6)
}
