package network_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// slimConfig is a config.json of the golden folder.
type slimConfig struct {
	Style          string  `json:"style"`
	InputSize      int     `json:"input_size"`
	NumCells       int     `json:"num_cells"`
	Filters        int     `json:"num_conv_filters"`
	Classes        int     `json:"num_classes"`
	Skip           int     `json:"skip_reduction_layer_input"`
	StemMultiplier float64 `json:"stem_multiplier"`
	Scaling        float64 `json:"filter_scaling_rate"`
	BNDecay        float64 `json:"batch_norm_decay"`
	BNEpsilon      float64 `json:"batch_norm_epsilon"`
	WeightDecay    float64 `json:"weight_decay"`
	AuxWeight      float64 `json:"aux_loss_weight"`
	Smoothing      float64 `json:"label_smoothing"`
}

// golden is one folder of slim's numbers with the network built beside it.
type golden struct {
	dir    string
	config slimConfig
	plan   *model.Plan
	images tftest.Array
	labels []int64
}

func load(t *testing.T, name string) golden {
	t.Helper()
	g := golden{dir: reftest.Shared(t, "golden", "slim", name)}
	raw, err := os.ReadFile(filepath.Join(g.dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &g.config); err != nil {
		t.Fatal(err)
	}
	c := g.config
	cell, err := cells.Lookup("nasnet-a")
	if err != nil {
		t.Fatal(err)
	}
	style := "cifar"
	if c.Style != "cifar" {
		style = "imagenet"
	}
	m := model.Model{
		Cell: cell, Style: model.Style(style), NormalCells: c.NumCells, Filters: c.Filters, StemMultiplier: c.StemMultiplier,
		FilterScaling: c.Scaling, SkipReductionInput: c.Skip == 1, Input: [3]int{c.InputSize, c.InputSize, 3}, Classes: c.Classes,
		AuxHead: true, DropPathKeep: 1, DropoutKeep: 1, BatchNorm: model.BatchNormConfig{Decay: c.BNDecay, Epsilon: c.BNEpsilon}, Pooling: model.PoolSame,
	}
	if g.plan, err = model.Build(m); err != nil {
		t.Fatal(err)
	}
	g.images = tftest.Npy(t, filepath.Join(g.dir, "input.npy"))
	for _, l := range tftest.Npy(t, filepath.Join(g.dir, "labels.npy")).Data {
		g.labels = append(g.labels, int64(l))
	}
	return g
}

// restored opens a session whose variables are those of slim's checkpoint.
func (g golden) restored(t *testing.T, s *tfgraph.Scope, st *tfgraph.Store) *tfgraph.Session {
	t.Helper()
	var names []string
	for _, v := range st.All() {
		names = append(names, v.Name)
	}
	sv := tfgraph.NewSaver(s.Sub("save"), names, st.All())
	sess := tftest.Session(t, s.Graph(), tfgraph.SessionOptions{Grappler: tfgraph.GrapplerOff})
	if err := sv.RestoreFrom(sess, filepath.Join(g.dir, "model.ckpt")); err != nil {
		t.Fatal(err)
	}
	return sess
}

var goldenFolders = []string{"a1-cifar", "a2-mobile", "a3-large"}

func TestSlimInference(t *testing.T) {
	for _, name := range goldenFolders {
		t.Run(name, func(t *testing.T) {
			g := load(t, name)
			graph := tfgraph.New()
			s, st := graph.Root(), tfgraph.NewStore(1)
			out := network.Build(s, st, g.plan, tfgraph.Const(s, g.images.Float32(), g.images.Shape...), network.Options{})
			want := tftest.Npz(t, filepath.Join(g.dir, "eval.npz"))
			sess := g.restored(t, s, st)
			compareEndPoints(t, sess, out, want, 1e-5, 1e-5)
		})
	}
}

// compareEndPoints checks logits relative to the largest logit, and every
// stored end point relative to its largest value. Big maps are stored for the
// first example only.
func compareEndPoints(t *testing.T, sess *tfgraph.Session, out network.Output, want map[string]tftest.Array, tolLogits, tolMaps float64) {
	t.Helper()
	var names []string
	var fetches []tfgraph.Tensor
	for key := range want {
		x := map[string]tfgraph.Tensor{"logits": out.Logits, "aux_logits": out.AuxLogits}[key]
		if name, ok := strings.CutPrefix(key, "end_points/"); ok {
			x = out.EndPoints[name]
		} else if key != "logits" && key != "aux_logits" {
			continue
		}
		if !x.Valid() {
			t.Errorf("%s was not built", key)
			continue
		}
		names, fetches = append(names, key), append(fetches, x)
	}
	values, err := sess.Run(nil, fetches)
	if err != nil {
		t.Fatal(err)
	}
	worst := map[string]float64{}
	for i, got := range tftest.Floats(t, values) {
		a, tol := want[names[i]], tolMaps
		if strings.HasSuffix(names[i], "logits") {
			tol = tolLogits
		}
		if len(got) < len(a.Data) {
			t.Errorf("%s has %d elements, slim's %d", names[i], len(got), len(a.Data))
			continue
		}
		scale := largest(a)
		tftest.Near(t, names[i], got[:len(a.Data)], a.Float32(), tol*scale)
		kind := "end points"
		if strings.HasSuffix(names[i], "logits") {
			kind = names[i]
		}
		for j, x := range a.Data {
			worst[kind] = math.Max(worst[kind], math.Abs(float64(got[j])-x)/scale)
		}
	}
	for kind, d := range worst {
		t.Logf("%s: largest difference %.2g of the largest value", kind, d)
	}
}

func largest(a tftest.Array) float64 {
	m := 0.0
	for _, x := range a.Data {
		m = math.Max(m, math.Abs(x))
	}
	return m
}

func TestSlimTraining(t *testing.T) {
	for _, name := range goldenFolders {
		for _, plain := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/plain_pointwise=%v", name, plain), func(t *testing.T) { slimTraining(t, load(t, name), plain) })
		}
	}
}

func slimTraining(t *testing.T, g golden, plain bool) {
	graph := tfgraph.New()
	s, st := graph.Root(), tfgraph.NewStore(1)
	images := tfgraph.Const(s, g.images.Float32(), g.images.Shape...)
	out := network.Build(s, st, g.plan, images, network.Options{Training: true, Plain: plain})
	c := g.config
	targets := nn.Targets(s, tfgraph.Vector(s, g.labels...), int32(c.Classes), float32(c.Smoothing))
	ce := nn.CrossEntropy(s, out.Logits, targets)
	aux := tfgraph.Scale(s, nn.CrossEntropy(s, out.AuxLogits, targets), float32(c.AuxWeight))
	var decayed []tfgraph.Tensor
	for _, v := range out.Decayed {
		decayed = append(decayed, v.Read)
	}
	l2 := tfgraph.Scale(s, nn.L2(s, decayed), float32(c.WeightDecay))
	total := tfgraph.Sum(s, ce, aux, l2)
	var read []tfgraph.Tensor
	for _, v := range st.Trainable() {
		read = append(read, v.Read)
	}
	grads := tfgraph.Gradients(s, []tfgraph.Tensor{total}, read)
	want := tftest.Npz(t, filepath.Join(g.dir, "train.npz"))
	sess := g.restored(t, s, st)
	compareEndPoints(t, sess, out, want, 2e-5, 5e-5)
	losses, err := sess.Scalars(nil, []tfgraph.Tensor{ce, aux, l2, total})
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"loss_ce", "loss_aux", "loss_l2", "loss_total"} {
		w := want[key].Data[0]
		if math.Abs(float64(losses[i])-w) > 1e-5*math.Abs(w) {
			t.Errorf("%s is %g, slim's %g", key, losses[i], w)
		}
	}
	compareGradients(t, sess, g, st.Trainable(), grads, want)
	compareMoving(t, sess, g, st, out, want)
}

// rows reads variables.csv: index by name.
func (g golden) rows(t *testing.T) map[string]int {
	t.Helper()
	f, err := os.Open(filepath.Join(g.dir, "variables.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	index := map[string]int{}
	for i, row := range all[1:] {
		index[row[1]] = i
	}
	return index
}

func compareGradients(t *testing.T, sess *tfgraph.Session, g golden, vars []*tfgraph.Variable, grads []tfgraph.Tensor, want map[string]tftest.Array) {
	t.Helper()
	values, err := sess.Run(nil, grads)
	if err != nil {
		t.Fatal(err)
	}
	index, got := g.rows(t), tftest.Floats(t, values)
	worst := 0.0
	for i, v := range vars {
		row, ok := index[v.Name]
		if !ok {
			t.Errorf("slim has no variable %s", v.Name)
			continue
		}
		norm := want["grad_l2"].Data[row]
		if full, ok := want[fmt.Sprintf("grads/%04d", row)]; ok {
			diff := 0.0
			for j, x := range full.Data {
				d := float64(got[i][j]) - x
				diff += d * d
			}
			worst = math.Max(worst, math.Sqrt(diff)/norm)
			if math.Sqrt(diff) > 2e-4*norm {
				t.Errorf("gradient of %s: off by %.2g of its norm", v.Name, math.Sqrt(diff)/norm)
			}
			continue
		}
		if d := math.Abs(l2(got[i]) - norm); d > 2e-4*norm {
			t.Errorf("gradient of %s: norm %g, slim's %g", v.Name, l2(got[i]), norm)
		}
	}
	t.Logf("%d gradients, the worst off by %.2g of its norm", len(vars), worst)
}

func l2(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

func compareMoving(t *testing.T, sess *tfgraph.Session, g golden, st *tfgraph.Store, out network.Output, want map[string]tftest.Array) {
	t.Helper()
	if _, err := sess.Run(nil, nil, out.Updates...); err != nil {
		t.Fatal(err)
	}
	index := g.rows(t)
	var vars []*tfgraph.Variable
	var fetches []tfgraph.Tensor
	for _, v := range st.All() {
		if !v.Trainable {
			vars, fetches = append(vars, v), append(fetches, v.Read)
		}
	}
	values, err := sess.Run(nil, fetches)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range tftest.Floats(t, values) {
		a, ok := want[fmt.Sprintf("moving/%04d", index[vars[i].Name])]
		if !ok {
			t.Errorf("slim's dump lacks %s", vars[i].Name)
			continue
		}
		tftest.Near(t, vars[i].Name, got, a.Float32(), 1e-5*math.Max(1, largest(a)))
	}
}
