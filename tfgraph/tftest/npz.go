package tftest

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Array is one array of an .npz or .npy file, converted to float64.
type Array struct {
	Shape []int64
	Data  []float64
}

// Float32 returns the elements as float32.
func (a Array) Float32() []float32 {
	out := make([]float32, len(a.Data))
	for i, x := range a.Data {
		out[i] = float32(x)
	}
	return out
}

// Npz reads all arrays of an .npz file, by name without ".npy".
func Npz(t testing.TB, file string) map[string]Array {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	arrays := map[string]Array{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		a, err := readNpy(r)
		r.Close()
		if err != nil {
			continue // arrays of strings are not for comparison
		}
		arrays[strings.TrimSuffix(f.Name, ".npy")] = a
	}
	return arrays
}

// Npy reads one .npy file.
func Npy(t testing.TB, file string) Array {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := readNpy(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return a
}

var npyHeader = regexp.MustCompile(`'descr': '([^']+)'.*'fortran_order': (\w+).*'shape': \(([^)]*)\)`)

func readNpy(r io.Reader) (Array, error) {
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil {
		return Array{}, err
	}
	text := make([]byte, binary.LittleEndian.Uint16(head[8:]))
	if _, err := io.ReadFull(r, text); err != nil {
		return Array{}, err
	}
	m := npyHeader.FindSubmatch(text)
	if m == nil || string(m[2]) != "False" {
		return Array{}, fmt.Errorf("npy header %q", text)
	}
	var a Array
	n := int64(1)
	for _, d := range strings.FieldsFunc(string(m[3]), func(r rune) bool { return r == ',' || r == ' ' }) {
		size, err := strconv.ParseInt(d, 10, 64)
		if err != nil {
			return a, err
		}
		a.Shape = append(a.Shape, size)
		n *= size
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return a, err
	}
	a.Data, err = decode(string(m[1]), raw, int(n))
	return a, err
}

func decode(descr string, raw []byte, n int) ([]float64, error) {
	out := make([]float64, n)
	le := binary.LittleEndian
	size := map[string]int{"<f4": 4, "<f8": 8, "<i4": 4, "<i8": 8, "|u1": 1, "|b1": 1}[descr]
	if size == 0 || len(raw) < n*size {
		return nil, fmt.Errorf("npy type %s with %d bytes for %d elements", descr, len(raw), n)
	}
	for i := range out {
		b := raw[i*size:]
		switch descr {
		case "<f4":
			out[i] = float64(math.Float32frombits(le.Uint32(b)))
		case "<f8":
			out[i] = math.Float64frombits(le.Uint64(b))
		case "<i4":
			out[i] = float64(int32(le.Uint32(b)))
		case "<i8":
			out[i] = float64(int64(le.Uint64(b)))
		default:
			out[i] = float64(b[0])
		}
	}
	return out, nil
}
