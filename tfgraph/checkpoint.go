package tfgraph

import (
	"errors"
	"fmt"
)

// ReadCheckpoint reads float32 tensors of a checkpoint by their keys.
func ReadCheckpoint(prefix string, keys []string) (values map[string]*Value, err error) {
	g := New()
	s := g.Root()
	types := make([]DataType, len(keys))
	for i := range types {
		types[i] = Float32
	}
	read := s.Add("RestoreV2", Attrs{"dtypes": types}, StringConst(s, prefix), StringsConst(s, keys), StringsConst(s, make([]string, len(keys))))
	sess, err := NewSession(g, SessionOptions{Grappler: GrapplerOff})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sess.Close()) }()
	fetches := make([]Tensor, len(keys))
	for i := range keys {
		fetches[i] = read.Output(i)
	}
	out, err := sess.Run(nil, fetches)
	if err != nil {
		return nil, fmt.Errorf("tfgraph: read checkpoint %s: %w", prefix, err)
	}
	values = make(map[string]*Value, len(keys))
	for i, k := range keys {
		values[k] = out[i]
	}
	return values, nil
}
