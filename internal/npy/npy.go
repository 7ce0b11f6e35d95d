package npy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// maxElements bounds what is read: 4 GiB of float32.
const maxElements = 1 << 30

// Write writes data, row-major in shape, to a file, atomically.
func Write(path string, data []float32, shape ...int64) error {
	out, err := encode(data, shape)
	if err != nil {
		return fmt.Errorf("npy: %s: %w", path, err)
	}
	return durable.WriteFile(path, out, 0o644)
}

func encode(data []float32, shape []int64) ([]byte, error) {
	dims, n := "", int64(1)
	for _, d := range shape {
		dims += strconv.FormatInt(d, 10) + "," // a comma ends a tuple of one
		n *= d
	}
	if n != int64(len(data)) {
		return nil, fmt.Errorf("%d elements do not fill shape %v", len(data), shape)
	}
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", dims)
	pad := 64 - (10+len(text)+1)%64
	text += strings.Repeat(" ", pad%64) + "\n"
	out := make([]byte, 0, 10+len(text)+4*len(data))
	out = append(out, "\x93NUMPY\x01\x00"...)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(text)))
	out = append(out, text...)
	for _, x := range data {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out, nil
}

var header = regexp.MustCompile(`'descr': '([^']+)'.*'fortran_order': (\w+).*'shape': \(([^)]*)\)`)

var sizes = map[string]int{"<f4": 4, "<f8": 8, "<i8": 8, "|u1": 1}

var errNotNpy = errors.New("this is not a .npy file")

// Read reads a file as float32 with its shape.
func Read(path string) (data []float32, shape []int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("npy: %w", err)
	}
	defer f.Close()
	data, shape, err = Decode(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return nil, nil, fmt.Errorf("npy: %s: %w", path, err)
	}
	return data, shape, nil
}

// Decode reads one array from r.
func Decode(r io.Reader) ([]float32, []int64, error) {
	descr, shape, n, err := decodeHeader(r)
	if err != nil {
		return nil, nil, err
	}
	data := make([]float32, 0, min(n, 1<<20)) // the header may claim more than the file holds
	buf := make([]byte, sizes[descr])
	for range n {
		if _, err := io.ReadFull(r, buf); err != nil {
			return nil, nil, fmt.Errorf("the file is cut off: %d of %d elements", len(data), n)
		}
		data = append(data, element(descr, buf))
	}
	return data, shape, nil
}

// decodeHeader reads up to the first element.
func decodeHeader(r io.Reader) (descr string, shape []int64, n int64, err error) {
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:6]) != "\x93NUMPY" {
		return "", nil, 0, errNotNpy
	}
	if head[6] != 1 {
		return "", nil, 0, fmt.Errorf("version %d of the .npy format is not read; save it with numpy.save", head[6])
	}
	text := make([]byte, binary.LittleEndian.Uint16(head[8:]))
	if _, err := io.ReadFull(r, text); err != nil {
		return "", nil, 0, fmt.Errorf("the header is cut off")
	}
	m := header.FindSubmatch(text)
	if m == nil {
		return "", nil, 0, fmt.Errorf("the header %q is not understood", text)
	}
	if _, ok := sizes[string(m[1])]; !ok || string(m[2]) != "False" {
		return "", nil, 0, fmt.Errorf("elements of type %s (Fortran order: %s); want float32 in C order: a.astype('float32')", m[1], m[2])
	}
	shape, n, err = parseShape(string(m[3]))
	return string(m[1]), shape, n, err
}

func parseShape(text string) ([]int64, int64, error) {
	shape, n := []int64{}, int64(1)
	for _, d := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		size, err := strconv.ParseInt(d, 10, 64)
		if err != nil || size < 0 || size > maxElements || n*size > maxElements {
			return nil, 0, fmt.Errorf("the shape (%s) is not one of at most %d elements", text, maxElements)
		}
		shape, n = append(shape, size), n*size
	}
	return shape, n, nil
}

func element(descr string, b []byte) float32 {
	switch descr {
	case "<f4":
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	case "<f8":
		return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	case "<i8":
		return float32(int64(binary.LittleEndian.Uint64(b)))
	}
	return float32(b[0])
}
