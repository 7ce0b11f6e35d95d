package serving

import (
	"fmt"
	"math"
	"slices"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"

	"github.com/nasnet-go/nasnet/internal/tensorproto"
)

// rowsOf is a tensor's first dimension and the elements of one row.
func rowsOf(t *tensorpb.TensorProto) (rows, row int, ok bool) {
	dims := t.GetTensorShape().GetDim()
	if len(dims) == 0 || t.GetTensorShape().GetUnknownRank() {
		return 0, 0, false
	}
	n := int64(1)
	for _, d := range dims[1:] {
		if d.GetSize() < 0 || d.GetSize() > math.MaxInt32 {
			return 0, 0, false
		}
		if n *= d.GetSize(); n > math.MaxInt32 {
			return 0, 0, false
		}
	}
	first := dims[0].GetSize()
	if first < 0 || first > math.MaxInt32 {
		return 0, 0, false
	}
	return int(first), int(n), true
}

// withRows is a tensor of t's type and of its shape but for the first dimension.
func withRows(t *tensorpb.TensorProto, rows int) *tensorpb.TensorProto {
	dims := slices.Clone(t.GetTensorShape().GetDim())
	dims[0] = &shapepb.TensorShapeProto_Dim{Size: int64(rows), Name: dims[0].GetName()}
	return &tensorpb.TensorProto{Dtype: t.GetDtype(), TensorShape: &shapepb.TensorShapeProto{Dim: dims}}
}

// sliced holds rows from (inclusive) to to (exclusive) of t, without a copy.
func sliced(t *tensorpb.TensorProto, from, to int) (*tensorpb.TensorProto, error) {
	rows, row, ok := rowsOf(t)
	if !ok || from < 0 || to < from || to > rows {
		return nil, fmt.Errorf("rows %d to %d of a tensor of %d", from, to, rows)
	}
	out := withRows(t, to-from)
	n, lo, hi := rows*row, from*row, to*row
	if c := t.GetTensorContent(); len(c) > 0 {
		if n == 0 || len(c)%n != 0 {
			return nil, fmt.Errorf("%d bytes for %d elements", len(c), n)
		}
		size := len(c) / n
		out.TensorContent = c[lo*size : hi*size]
		return out, nil
	}
	whole := false
	cut := func(length int) bool { whole = whole || length == n; return length == n }
	switch {
	case n == 0:
		whole = true
	case cut(len(t.GetFloatVal())):
		out.FloatVal = t.GetFloatVal()[lo:hi]
	case cut(len(t.GetStringVal())):
		out.StringVal = t.GetStringVal()[lo:hi]
	case cut(len(t.GetInt64Val())):
		out.Int64Val = t.GetInt64Val()[lo:hi]
	case cut(len(t.GetIntVal())):
		out.IntVal = t.GetIntVal()[lo:hi]
	case cut(len(t.GetDoubleVal())):
		out.DoubleVal = t.GetDoubleVal()[lo:hi]
	case cut(len(t.GetBoolVal())):
		out.BoolVal = t.GetBoolVal()[lo:hi]
	case cut(len(t.GetHalfVal())):
		out.HalfVal = t.GetHalfVal()[lo:hi]
	case cut(len(t.GetUint32Val())):
		out.Uint32Val = t.GetUint32Val()[lo:hi]
	case cut(len(t.GetUint64Val())):
		out.Uint64Val = t.GetUint64Val()[lo:hi]
	}
	if !whole {
		return nil, fmt.Errorf("the values of a tensor are not as many as its shape says, %d", n)
	}
	return out, nil
}

// joinRows is one tensor with the rows of all, which differ in their first
// dimension alone.
func joinRows(all []*tensorpb.TensorProto) (*tensorpb.TensorProto, error) {
	if len(all) == 1 {
		return all[0], nil
	}
	rows := 0
	for _, t := range all {
		n, _, ok := rowsOf(t)
		if !ok {
			return nil, fmt.Errorf("a tensor without rows")
		}
		rows += n
	}
	out := withRows(all[0], rows)
	if out.GetDtype() == typespb.DataType_DT_STRING {
		for _, t := range all {
			out.StringVal = append(out.StringVal, t.GetStringVal()...)
		}
		return out, nil
	}
	if listed := sameLists(all, out); listed {
		return out, nil
	}
	for _, t := range all {
		c, err := content(t)
		if err != nil {
			return nil, err
		}
		out.TensorContent = append(out.TensorContent, c...)
	}
	return out, nil
}

// sameLists joins tensors that all hold a list of floats or of int64, the forms
// in which most come.
func sameLists(all []*tensorpb.TensorProto, out *tensorpb.TensorProto) bool {
	floats, ints := true, true
	for _, t := range all {
		n, row, _ := rowsOf(t)
		floats = floats && len(t.GetFloatVal()) == n*row && len(t.GetTensorContent()) == 0
		ints = ints && len(t.GetInt64Val()) == n*row && len(t.GetTensorContent()) == 0
	}
	for _, t := range all {
		switch {
		case floats:
			out.FloatVal = append(out.FloatVal, t.GetFloatVal()...)
		case ints:
			out.Int64Val = append(out.Int64Val, t.GetInt64Val()...)
		}
	}
	return floats || ints
}

// content is a tensor's values as TensorFlow keeps them in memory, as many as its
// shape says.
func content(t *tensorpb.TensorProto) ([]byte, error) {
	rows, row, ok := rowsOf(t)
	raw, err := tensorproto.Numbers(t)
	if want := rows * row * tensorproto.Size(t.GetDtype()); err == nil && (!ok || len(raw) != want) {
		err = fmt.Errorf("%d bytes of type %s for a shape of %d", len(raw), tensorproto.Name(t.GetDtype()), want)
	}
	return raw, err
}
