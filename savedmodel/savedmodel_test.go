package savedmodel_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/savedmodel"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tftest"
)

// halfPlusTwo writes the model y = a*x + 2 with a = 0.5, as a variable or a
// constant.
func halfPlusTwo(t *testing.T, base string, version int64, frozen bool) (string, error) {
	t.Helper()
	g := tfgraph.New()
	s := g.Root()
	x := tfgraph.Placeholder(s, "x", tfgraph.Float32, tfgraph.Shape{-1})
	st := tfgraph.NewStore(1)
	if frozen {
		st = tfgraph.NewConstants(map[string]*tfgraph.Value{"a": tfgraph.Scalar(float32(0.5))})
	}
	a := st.Get(s, "a", nil, true, tfgraph.FilledInit(0.5))
	y := tfgraph.Identity(s, "y", tfgraph.Add(s, tfgraph.Mul(s, x, a.Read), tfgraph.Scalarc(s, float32(2))))
	c := savedmodel.Content{Graph: g, Signatures: map[string]savedmodel.Signature{"serving_default": {
		Method: savedmodel.PredictMethod, Inputs: map[string]tfgraph.Tensor{"x": x}, Outputs: map[string]tfgraph.Tensor{"y": y},
	}}, Assets: map[string][]byte{savedmodel.ClassesAsset: []byte("cat\ndog\n")}}
	if !frozen {
		c.Variables = tfgraph.NewSaver(s.Sub("save"), []string{"a"}, []*tfgraph.Variable{a})
		c.Session = tftest.Session(t, g, tfgraph.SessionOptions{})
		if _, err := c.Session.Run(nil, nil, st.Init(s)); err != nil {
			t.Fatal(err)
		}
	}
	return savedmodel.Write(base, version, c)
}

func forms(t *testing.T, f func(t *testing.T, frozen bool)) {
	t.Run("variables", func(t *testing.T) { f(t, false) })
	t.Run("constants", func(t *testing.T) { f(t, true) })
}

func TestWriteLoadRun(t *testing.T) {
	forms(t, func(t *testing.T, frozen bool) {
		base := t.TempDir()
		dir, err := halfPlusTwo(t, base, 7, frozen)
		if err != nil {
			t.Fatal(err)
		}
		if dir != filepath.Join(base, "7") {
			t.Errorf("published as %s", dir)
		}
		m, err := savedmodel.Load(dir, tfgraph.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		x, _ := tfgraph.NewValue([]float32{1, 2, 5}, 3)
		names, out, err := m.Run("serving_default", map[string]*tfgraph.Value{"x": x}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(names) != 1 || names[0] != "y" || strings.Join(m.Classes, ",") != "cat,dog" {
			t.Errorf("outputs %v, classes %v", names, m.Classes)
		}
		tftest.Near(t, "y", tftest.Floats(t, out)[0], []float32{2.5, 3, 4.5}, 1e-6)
		if _, _, err := m.Run("nope", nil, nil); err == nil {
			t.Error("an unknown signature ran")
		}
		if _, _, err := m.Run("serving_default", nil, nil); err == nil {
			t.Error("a missing input was accepted")
		}
		left, _ := filepath.Glob(filepath.Join(base, ".tmp-*"))
		if len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestAVersionIsNeverOverwritten(t *testing.T) {
	base := t.TempDir()
	if _, err := halfPlusTwo(t, base, 1, true); err != nil {
		t.Fatal(err)
	}
	if _, err := halfPlusTwo(t, base, 1, true); !errors.Is(err, savedmodel.ErrExists) {
		t.Errorf("writing version 1 again: %v", err)
	}
}

func TestLoadRefusesDamageAndFileOperations(t *testing.T) {
	dir, err := halfPlusTwo(t, t.TempDir(), 1, true)
	if err != nil {
		t.Fatal(err)
	}
	pb := filepath.Join(dir, "saved_model.pb")
	raw, err := os.ReadFile(pb)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < len(raw); cut += 1 + len(raw)/40 {
		if err := os.WriteFile(pb, raw[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := savedmodel.Load(dir, tfgraph.SessionOptions{}); err == nil {
			m.Close()
			if len(m.Signatures) > 0 {
				t.Errorf("a model cut at byte %d of %d loaded with its signature", cut, len(raw))
			}
		}
	}
	g := tfgraph.New()
	name := tfgraph.StringConst(g.Root(), "/etc/hostname")
	text := g.Root().One("ReadFile", nil, name)
	evil, err := savedmodel.Write(t.TempDir(), 1, savedmodel.Content{Graph: g, Signatures: map[string]savedmodel.Signature{
		"serving_default": {Method: savedmodel.PredictMethod, Outputs: map[string]tfgraph.Tensor{"text": text}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := savedmodel.Load(evil, tfgraph.SessionOptions{}); err == nil || !strings.Contains(err.Error(), "ReadFile") {
		t.Errorf("a model that reads files: %v", err)
	}
}

func TestPythonLoadsBothForms(t *testing.T) {
	forms(t, func(t *testing.T, frozen bool) {
		dir, err := halfPlusTwo(t, t.TempDir(), 1, frozen)
		if err != nil {
			t.Fatal(err)
		}
		const script = `
import sys, tensorflow as tf
f = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
print(",".join("%g" % v for v in f(x=tf.constant([1.0, 2.0, 5.0]))["y"].numpy()))`
		if got := reftest.Python(t, script, dir); got != "2.5,3,4.5" {
			t.Errorf("Python's loader computed %q", got)
		}
	})
}
