package bundle

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
)

// widths are the bytes of an element; strings have none of their own.
var widths = map[typespb.DataType]int64{
	typespb.DataType_DT_BOOL: 1, typespb.DataType_DT_INT8: 1, typespb.DataType_DT_UINT8: 1,
	typespb.DataType_DT_INT16: 2, typespb.DataType_DT_UINT16: 2, typespb.DataType_DT_HALF: 2, typespb.DataType_DT_BFLOAT16: 2,
	typespb.DataType_DT_INT32: 4, typespb.DataType_DT_UINT32: 4, typespb.DataType_DT_FLOAT: 4,
	typespb.DataType_DT_INT64: 8, typespb.DataType_DT_UINT64: 8, typespb.DataType_DT_DOUBLE: 8, typespb.DataType_DT_COMPLEX64: 8,
	typespb.DataType_DT_COMPLEX128: 16,
}

// Float32 returns the elements of a float32 tensor, row-major.
func (b *Bundle) Float32(name string) ([]float32, error) {
	data, err := b.typed(name, typespb.DataType_DT_FLOAT)
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out, nil
}

// Int64 returns the elements of an int64 tensor, row-major.
func (b *Bundle) Int64(name string) ([]int64, error) {
	data, err := b.typed(name, typespb.DataType_DT_INT64)
	if err != nil {
		return nil, err
	}
	out := make([]int64, len(data)/8)
	for i := range out {
		out[i] = int64(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return out, nil
}

// Strings returns the elements of a string tensor, row-major.
func (b *Bundle) Strings(name string) ([][]byte, error) {
	data, err := b.typed(name, typespb.DataType_DT_STRING)
	if err != nil {
		return nil, err
	}
	e, _ := b.Lookup(name)
	list, _, err := splitStrings(data, e.Elements())
	return list, err
}

func (b *Bundle) typed(name string, want typespb.DataType) ([]byte, error) {
	if e, ok := b.Lookup(name); ok && e.DType != want {
		return nil, fmt.Errorf("bundle: %s: %s is of type %s, not %s", b.prefix, name, e.DType, want)
	}
	return b.Read(name)
}

// Finite reports whether all elements of a float tensor's data are finite
// numbers; tensors of other types always are.
func Finite(e Entry, data []byte) bool {
	switch e.DType {
	case typespb.DataType_DT_FLOAT:
		for ; len(data) >= 4; data = data[4:] {
			if binary.LittleEndian.Uint32(data)&0x7f800000 == 0x7f800000 {
				return false
			}
		}
	case typespb.DataType_DT_DOUBLE:
		for ; len(data) >= 8; data = data[8:] {
			if binary.LittleEndian.Uint64(data)&(0x7ff<<52) == 0x7ff<<52 {
				return false
			}
		}
	}
	return true
}

// splitStrings takes a string tensor's bytes apart: the lengths as varints,
// their masked checksum, the strings. The checksum of the whole runs over the
// lengths as fixed integers, the stored checksum and the strings.
func splitStrings(data []byte, n int64) (list [][]byte, crc uint32, err error) {
	if n > int64(len(data)) {
		return nil, 0, fmt.Errorf("%d strings in %d bytes: %w", n, len(data), ErrDamaged)
	}
	lengths := make([]uint64, n)
	for i := range lengths {
		length, k := binary.Uvarint(data)
		if k <= 0 {
			return nil, 0, fmt.Errorf("length of string %d: %w", i, ErrDamaged)
		}
		lengths[i], data = length, data[k:]
		fixed := binary.LittleEndian.AppendUint64(nil, length)
		if length <= math.MaxUint32 {
			fixed = fixed[:4]
		}
		crc = crc32.Update(crc, castagnoli, fixed)
	}
	if len(data) < 4 || mask(crc) != binary.LittleEndian.Uint32(data) {
		return nil, 0, fmt.Errorf("the checksum of the strings' lengths does not match: %w", ErrDamaged)
	}
	crc = crc32.Update(crc, castagnoli, data)
	data = data[4:]
	for _, length := range lengths {
		if length > uint64(len(data)) {
			return nil, 0, fmt.Errorf("a string of %d bytes with %d left: %w", length, len(data), ErrDamaged)
		}
		list = append(list, data[:length])
		data = data[length:]
	}
	return list, crc, nil
}
