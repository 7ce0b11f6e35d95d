package tfgraph

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime"
	"sync"

	tf "github.com/wamuir/graft/tensorflow"
)

// FromBytes returns a value of numbers that lie in raw, row-major and in the
// machine's (little-endian) order. It takes bool, all sizes of integers, half,
// bfloat16, float and double, and fails if raw does not fill the shape.
func FromBytes(dtype DataType, raw []byte, shape ...int64) (*Value, error) {
	size, ok := numberSizes[dtype]
	if !ok {
		return nil, fmt.Errorf("tfgraph: values of type %d are not made of numbers", dtype)
	}
	if n := elements(shape); int64(len(raw)) != n*size {
		return nil, fmt.Errorf("tfgraph: %d bytes do not fill shape %v of type %d", len(raw), shape, dtype)
	}
	switch dtype {
	case tf.Uint32: // graft's reader knows these two only as Go numbers
		return fromNumbers(raw, shape, 4, binary.LittleEndian.Uint32)
	case tf.Uint64:
		return fromNumbers(raw, shape, 8, binary.LittleEndian.Uint64)
	case Half, Bfloat16:
		v, err := FromBytes(tf.Uint16, raw, shape...)
		if err != nil {
			return nil, err
		}
		return bitcast(v, dtype)
	}
	v, err := tf.ReadTensor(dtype, shape, bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("tfgraph: value of shape %v: %w", shape, err)
	}
	return v, nil
}

// numberSizes are the bytes of one number.
var numberSizes = map[DataType]int64{
	Bool: 1, tf.Int8: 1, Uint8: 1, tf.Int16: 2, tf.Uint16: 2, Half: 2, Bfloat16: 2, Int32: 4, tf.Uint32: 4, Float32: 4, Int64: 8, tf.Uint64: 8, Float64: 8,
}

func fromNumbers[T any](raw []byte, shape []int64, size int, get func([]byte) T) (*Value, error) {
	if len(shape) == 0 {
		return tf.NewTensor(get(raw))
	}
	list := make([]T, len(raw)/size)
	for i := range list {
		list[i] = get(raw[i*size:])
	}
	v, err := tf.NewTensor(list)
	if err != nil {
		return nil, err
	}
	return v, v.Reshape(shape)
}

// casts are sessions that give the bits of uint16 another type, by that type:
// graft cannot make such a value itself.
var casts struct {
	sync.Mutex
	of map[DataType]*cast
}

type cast struct {
	session *Session
	in, out Tensor
}

func bitcast(v *Value, to DataType) (*Value, error) {
	casts.Lock()
	c := casts.of[to]
	if c == nil {
		g := New()
		c = &cast{in: Placeholder(g.Root(), "bits", tf.Uint16, nil)}
		c.out = g.Root().One("Bitcast", Attrs{"type": to}, c.in)
		var err error
		if c.session, err = NewSession(g, SessionOptions{Grappler: GrapplerOff, InterOp: 1, IntraOp: 1}); err != nil {
			casts.Unlock()
			return nil, err
		}
		if casts.of == nil {
			casts.of = map[DataType]*cast{}
		}
		casts.of[to] = c
	}
	casts.Unlock()
	out, err := c.session.Run(Feeds{c.in: v}, []Tensor{c.out})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// ToBytes returns a copy of a value's numbers, as FromBytes takes them.
func ToBytes(v *Value) ([]byte, error) {
	defer runtime.KeepAlive(v) // see Data
	size, ok := numberSizes[v.DataType()]
	if !ok {
		return nil, fmt.Errorf("tfgraph: a value of type %d is not made of numbers", v.DataType())
	}
	raw := make([]byte, elements(v.Shape())*size)
	if len(raw) == 0 {
		return raw, nil
	}
	if t := v.DataType(); t == tf.Uint32 || t == tf.Uint64 {
		_, err := binary.Encode(raw, binary.LittleEndian, flat(v.Value()))
		return raw, err
	}
	if _, err := v.WriteContentsTo(&fill{raw}); err != nil {
		return nil, fmt.Errorf("tfgraph: read value: %w", err)
	}
	return raw, nil
}

// flat is the one list of all elements that lie in nested ones, or a scalar.
func flat(value any) any {
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.Slice {
		return value
	}
	all := reflect.MakeSlice(v.Type().Elem(), 0, v.Len())
	for i := range v.Len() {
		all = reflect.AppendSlice(all, v.Index(i))
	}
	return flat(all.Interface())
}

// StringsOf returns a string value of any shape without a size of zero. It
// fails if list does not fill it.
func StringsOf(list []string, shape ...int64) (*Value, error) {
	if n := elements(shape); n != int64(len(list)) || n == 0 {
		return nil, fmt.Errorf("tfgraph: %d strings do not fill shape %v, or are none", len(list), shape)
	}
	if len(shape) == 0 {
		return tf.NewTensor(list[0])
	}
	v := reflect.ValueOf(list)
	for i := len(shape) - 1; i > 0; i-- {
		size := int(shape[i])
		outer := reflect.MakeSlice(reflect.SliceOf(v.Type()), v.Len()/size, v.Len()/size)
		for k := range outer.Len() {
			outer.Index(k).Set(v.Slice(k*size, (k+1)*size))
		}
		v = outer
	}
	return tf.NewTensor(v.Interface())
}

// StringList returns a string value's elements, row-major.
func StringList(v *Value) ([]string, error) {
	defer runtime.KeepAlive(v) // see Data
	if v.DataType() != String {
		return nil, fmt.Errorf("tfgraph: value is of type %d, not of strings", v.DataType())
	}
	if elements(v.Shape()) == 0 {
		return nil, nil
	}
	switch list := flat(v.Value()).(type) {
	case string:
		return []string{list}, nil
	case []string:
		return list, nil
	}
	return nil, fmt.Errorf("tfgraph: a string value of shape %v cannot be read", v.Shape())
}
