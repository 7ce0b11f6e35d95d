package model_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The model file of the design document is nasnet-a-cifar.
const cifarFile = `
cell: nasnet-a
style: cifar
normal_cells: 18
filters: 32
stem_multiplier: 3
filter_scaling: 2
skip_reduction_input: false
input: [32, 32, 3]
classes: 10
aux_head: true
drop_path_keep: 0.6
dropout_keep: 1.0
batch_norm: {decay: 0.9, epsilon: 1.0e-5}
pooling: same
`

func TestLoadReadsTheDesignsFile(t *testing.T) {
	got, err := model.Load(write(t, t.TempDir(), "mine.yaml", cifarFile))
	if err != nil {
		t.Fatal(err)
	}
	want, err := model.Preset("nasnet-a-cifar")
	if err != nil {
		t.Fatal(err)
	}
	want.Name = "mine"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLoadFindsACellBesideTheFile(t *testing.T) {
	dir := t.TempDir()
	g := cells.NASNetA()
	g.Name = "found"
	write(t, dir, "found.yaml", g.String())
	m, err := model.Load(write(t, dir, "m.yaml", "cell: found.yaml\nstyle: imagenet\n"))
	if err != nil || m.Cell.Name != "found" || m.Input != [3]int{224, 224, 3} {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestLoadNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"nonsense: 1":                 "nonsense",
		"normal_cells: 7":             "normal_cells",
		"cell: nosuch":                "nosuch",
		strings.Repeat("# \n", 40000): "at most",
	} {
		if _, err := model.Load(write(t, dir, "bad.yaml", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}
