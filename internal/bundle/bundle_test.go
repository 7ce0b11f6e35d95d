package bundle

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"

	"github.com/nasnet-go/nasnet/internal/reftest"
)

const (
	tiny      = "testdata/tiny" // written by TensorFlow: see testdata/make.py
	dataFile  = ".data-00000-of-00001"
	indexFile = ".index"
)

func open(t testing.TB, prefix string) *Bundle {
	t.Helper()
	b, err := Open(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadsWhatTensorFlowWrote(t *testing.T) {
	b := open(t, tiny)
	if n := len(b.Entries()); n != 65 {
		t.Errorf("%d entries, want 65", n)
	}
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
	w, err := b.Float32("cell_0/1x1/weights")
	if err != nil || len(w) != 24 || w[0] != -1 || w[23] != 23.0/8-1 {
		t.Errorf("weights %v, %v", w, err)
	}
	if e, ok := b.Lookup("cell_0/1x1/weights"); !ok || fmt.Sprint(e.Shape) != "[2 3 4]" || e.Elements() != 24 {
		t.Errorf("entry %+v", e)
	}
	if step, err := b.Int64("global_step"); err != nil || step[0] != 12345678901 {
		t.Errorf("step %v, %v", step, err)
	}
	if empty, err := b.Float32("empty"); err != nil || len(empty) != 0 {
		t.Errorf("empty %v, %v", empty, err)
	}
	names, err := b.Strings("names")
	if err != nil || string(bytes.Join(names, []byte("|"))) != "a||"+strings.Repeat("b", 300)+"|żółw" {
		t.Errorf("names %q, %v", names, err)
	}
}

func TestNamesWhatIsWrong(t *testing.T) {
	b := open(t, tiny)
	if _, err := b.Float32("cell_9/weights"); !errors.Is(err, ErrAbsent) {
		t.Errorf("absent: %v", err)
	}
	if _, err := b.Float32("global_step"); err == nil || !strings.Contains(err.Error(), "DT_INT64") {
		t.Errorf("type: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// copyOf puts the fixture into a directory where it can be harmed.
func copyOf(t *testing.T) string {
	t.Helper()
	prefix := filepath.Join(t.TempDir(), "model.ckpt")
	for _, ext := range []string{dataFile, indexFile} {
		raw, err := os.ReadFile(tiny + ext)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(prefix+ext, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return prefix
}

// verify reads all of a checkpoint.
func verify(prefix string) error {
	b, err := Open(prefix)
	if err != nil {
		return err
	}
	return b.Verify()
}

// Cut at any byte or with any bit flipped, either file is refused.
func TestEveryDamageIsSeen(t *testing.T) {
	prefix := copyOf(t)
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	for _, ext := range []string{dataFile, indexFile} {
		whole, err := os.ReadFile(prefix + ext)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 600 {
			at := r.IntN(len(whole))
			harmed, what := bytes.Clone(whole), "flipped"
			harmed[at] ^= 1 << r.IntN(8)
			if i%2 == 0 {
				harmed, what = whole[:at], "cut"
			}
			if err := os.WriteFile(prefix+ext, harmed, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := verify(prefix); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s %s at %d (seed %d): %v", ext, what, at, seed, err)
			}
		}
		if err := os.WriteFile(prefix+ext, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := verify(prefix); err != nil {
		t.Errorf("put right again: %v", err)
	}
}

func TestFinite(t *testing.T) {
	bits := func(x float32) []byte {
		u := math.Float32bits(x)
		return []byte{byte(u), byte(u >> 8), byte(u >> 16), byte(u >> 24)}
	}
	e := Entry{DType: typespb.DataType_DT_FLOAT}
	for _, x := range []float32{0, -1, math.MaxFloat32, math.SmallestNonzeroFloat32} {
		if !Finite(e, append(bits(1), bits(x)...)) {
			t.Errorf("%g is finite", x)
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if Finite(e, append(bits(1), bits(float32(x))...)) {
			t.Errorf("%g is not finite", x)
		}
	}
	if Finite(Entry{DType: typespb.DataType_DT_DOUBLE}, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x7f}) {
		t.Error("an infinite double")
	}
	if !Finite(Entry{DType: typespb.DataType_DT_INT32}, []byte{255, 255, 255, 255}) {
		t.Error("an integer is always finite")
	}
}

// Every variable of slim's own checkpoints, with its shape.
func TestReadsSlimsCheckpoints(t *testing.T) {
	for _, name := range []string{"a1-cifar", "a2-mobile", "a3-large"} {
		f, err := os.Open(reftest.Shared(t, "golden", "slim", name, "variables.csv"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		b := open(t, reftest.Shared(t, "golden", "slim", name)+"/model.ckpt")
		if err := b.Verify(); err != nil {
			t.Error(err)
		}
		if len(b.Entries()) != len(rows)-1 {
			t.Errorf("%s: %d tensors, want %d", name, len(b.Entries()), len(rows)-1)
		}
		for _, row := range rows[1:] {
			e, ok := b.Lookup(row[1])
			if shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(e.Shape), "[]"), " ", "x"); !ok || shape != row[2] {
				t.Errorf("%s: %s has shape %s, want %s", name, row[1], shape, row[2])
			}
		}
	}
}

// No index makes the reader panic or believe in more bytes than there are.
func FuzzIndex(f *testing.F) {
	index, err := os.ReadFile(tiny + indexFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(index)
	f.Add(index[len(index)-footerSize:])
	f.Fuzz(func(t *testing.T, file []byte) {
		b, err := parse(file)
		if err != nil {
			return
		}
		for _, e := range b.Entries() {
			if e.Size < 0 || e.offset < 0 {
				t.Errorf("entry %+v", e)
			}
		}
	})
}

// No data of a string tensor does either.
func FuzzStrings(f *testing.F) {
	f.Add([]byte{1, 2, 3}, int64(2))
	f.Fuzz(func(t *testing.T, data []byte, n int64) {
		list, _, err := splitStrings(data, max(0, n))
		if err == nil && int64(len(list)) != max(0, n) {
			t.Errorf("%d strings of %d", len(list), n)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	cp, err := Open(tiny)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := cp.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}
