package tfgraph

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
)

// Initializer returns a variable's first value.
type Initializer func(s *Scope, shape []int64) Tensor

// Variable is a trainable or moving value that lives in a session.
type Variable struct {
	Name      string // full name, the key in checkpoints
	Shape     []int64
	DType     DataType
	Trainable bool
	Handle    Tensor    // the resource
	Read      Tensor    // its value at the start of a run
	Init      Operation // assigns the first value
}

// Store holds a graph's variables by full name, in the order of creation. It
// is apart from Scope on purpose: names of nodes may change with the graph,
// names of variables are those of the checkpoint.
type Store struct {
	seed   int64
	byName map[string]*Variable
	list   []*Variable
	shared bool
	suffix string            // of the names that a shared view prefers
	values map[string]*Value // not nil: constants
}

// NewStore returns an empty store. First values drawn at random are a pure
// function of seed and the variable's name.
func NewStore(seed int64) *Store { return &Store{seed: seed, byName: map[string]*Variable{}} }

// NewConstants returns a store whose "variables" are constants with the given
// values, by name: for graphs that are only ever run forward, where constants
// are 1.2 to 1.4 times as fast as variables. A name without a value is an error.
// A value of another floating type than the variable's is stored as it is, and cast.
func NewConstants(values map[string]*Value) *Store {
	st := NewStore(0)
	st.values = values
	return st
}

// Shared returns a view of the store in which Get answers with the variable
// that is there already: for an evaluation tower beside the training one.
// Without it a name asked for twice is an error, so nothing is shared by accident.
func (st *Store) Shared() *Store {
	return &Store{seed: st.seed, byName: st.byName, shared: true, suffix: st.suffix}
}

// SharedAs is Shared with NAME+suffix in place of NAME where there is one: for
// an evaluation tower that runs on moving averages.
func (st *Store) SharedAs(suffix string) *Store {
	view := st.Shared()
	view.suffix = suffix
	return view
}

// All returns the variables in the order of creation.
func (st *Store) All() []*Variable { return st.list }

// Trainable returns those that the optimizer changes.
func (st *Store) Trainable() []*Variable {
	var list []*Variable
	for _, v := range st.list {
		if v.Trainable {
			list = append(list, v)
		}
	}
	return list
}

// Lookup returns the named variable, nil if there is none.
func (st *Store) Lookup(name string) *Variable { return st.byName[name] }

// Get makes the named float32 variable (or finds it, in a shared view).
func (st *Store) Get(s *Scope, name string, shape []int64, trainable bool, init Initializer) *Variable {
	return st.GetTyped(s, name, Float32, shape, trainable, init)
}

// GetTyped is Get for any element type.
func (st *Store) GetTyped(s *Scope, name string, dtype DataType, shape []int64, trainable bool, init Initializer) *Variable {
	inert := &Variable{Name: name, Shape: shape, DType: dtype}
	old := st.byName[name]
	if other := st.byName[name+st.suffix]; st.shared && other != nil {
		old = other
	}
	switch {
	case !s.OK():
		return inert
	case st.shared && old == nil:
		s.Fail("variable %s is shared but does not exist", name)
		return inert
	case st.shared && fmt.Sprint(old.Shape) != fmt.Sprint(shape):
		s.Fail("variable %s has shape %v, asked for %v", name, old.Shape, shape)
		return inert
	case st.shared:
		return old
	case old != nil:
		s.Fail("variable %s exists already; use Store.Shared to use it again", name)
		return inert
	}
	v := st.constant(s, name, dtype, shape)
	if st.values == nil {
		v = st.create(s, name, dtype, shape, trainable, init)
	}
	st.byName[name] = v
	st.list = append(st.list, v)
	return v
}

// constant is a variable that cannot change: only its Read is valid.
func (st *Store) constant(s *Scope, name string, dtype DataType, shape []int64) *Variable {
	v := &Variable{Name: name, Shape: shape, DType: dtype}
	if st.values == nil {
		return v
	}
	value, ok := st.values[name]
	switch {
	case !ok:
		s.Fail("no value for %s", name)
	case !slices.Equal(value.Shape(), shape):
		s.Fail("value of %s has shape %v, want %v", name, value.Shape(), shape)
	default:
		stored := s.g.Root().AddNamed(name, "Const", Attrs{"dtype": value.DataType(), "value": value}).Output(0)
		v.Read = Cast(s.g.Root().Sub("%s", name), stored, dtype)
	}
	return v
}

func (st *Store) create(s *Scope, name string, dtype DataType, shape []int64, trainable bool, init Initializer) *Variable {
	vs := s.g.Root().Sub("%s", name)
	v := &Variable{Name: name, Shape: shape, DType: dtype, Trainable: trainable}
	v.Handle = s.g.Root().AddNamed(name, "VarHandleOp", Attrs{
		"dtype": dtype, "shape": Shape(shape), "shared_name": name,
	}).Output(0)
	v.Read = vs.One("ReadVariableOp", Attrs{"dtype": dtype}, v.Handle)
	is := vs.Sub("init")
	v.Init = v.Assign(is, init(is.seeded(st.seed, name), shape))
	return v
}

// Assign sets the variable.
func (v *Variable) Assign(s *Scope, x Tensor) Operation {
	return v.at(s).Add("AssignVariableOp", nil, v.Handle, x)
}

// AssignAdd adds to the variable.
func (v *Variable) AssignAdd(s *Scope, x Tensor) Operation {
	return v.at(s).Add("AssignAddVariableOp", nil, v.Handle, x)
}

// AssignSub subtracts from the variable.
func (v *Variable) AssignSub(s *Scope, x Tensor) Operation {
	return v.at(s).Add("AssignSubVariableOp", nil, v.Handle, x)
}

// ReadAfter reads the variable again, once the scope's control dependencies
// have run.
func (v *Variable) ReadAfter(s *Scope) Tensor {
	return v.at(s).One("ReadVariableOp", Attrs{"dtype": v.DType}, v.Handle)
}

// at is the scope on the variable's machine, for operations on its handle.
func (v *Variable) at(s *Scope) *Scope {
	if s.g.device == "" {
		return s
	}
	return s.On(s.g.device)
}

// Init returns the operation that gives every variable its first value.
func (st *Store) Init(s *Scope) Operation {
	ops := make([]Operation, len(st.list))
	for i, v := range st.list {
		ops[i] = v.Init
	}
	return Group(s, "init", ops...)
}

// seeded returns the scope with a seed for random initializers.
func (s *Scope) seeded(seed int64, name string) *Scope {
	h := fnv.New64a()
	h.Write([]byte(name))
	t := *s
	t.seed = [2]int64{seed, int64(h.Sum64() >> 1)}
	return &t
}

// ZerosInit is a first value of zeros.
func ZerosInit(s *Scope, shape []int64) Tensor { return Filled(s, 0, shape...) }

// OnesInit is a first value of ones.
func OnesInit(s *Scope, shape []int64) Tensor { return Filled(s, 1, shape...) }

// FilledInit is a constant first value.
func FilledInit(x float32) Initializer {
	return func(s *Scope, shape []int64) Tensor { return Filled(s, x, shape...) }
}

// FanOutInit is slim's variance_scaling_initializer(factor=2, mode=FAN_OUT,
// uniform=False): truncated normal with standard deviation
// sqrt(1.3 * 2 / fan_out), fan_out = last size times the receptive field
// (tf_slim layers/initializers.py; reference nasnet.md section 3).
func FanOutInit(s *Scope, shape []int64) Tensor {
	fanOut := float64(1)
	for i, d := range shape {
		if i != len(shape)-2 {
			fanOut *= float64(d)
		}
	}
	return truncatedNormal(s, shape, float32(math.Sqrt(1.3*2/fanOut)))
}

// TruncatedNormalInit draws normal noise of a deviation, cut off at two of them.
func TruncatedNormalInit(stddev float32) Initializer {
	return func(s *Scope, shape []int64) Tensor { return truncatedNormal(s, shape, stddev) }
}

// GlorotUniformInit is uniform in -l..l, l = sqrt(6 / (fan_in + fan_out)), for
// matrices [fan_in,fan_out]: slim's variance scaling by FAN_AVG, factor 1.
func GlorotUniformInit(s *Scope, shape []int64) Tensor {
	fans := float64(0)
	for _, d := range shape {
		fans += float64(d)
	}
	limit := float32(math.Sqrt(6 / fans))
	u := StatelessUniform(s, Vector(s, shape...), Vector(s, s.seed[:]...))
	return Sub(s, Scale(s, u, 2*limit), Scalarc(s, limit))
}

// truncatedNormal draws normal noise cut off at two standard deviations.
func truncatedNormal(s *Scope, shape []int64, stddev float32) Tensor {
	noise := s.One("StatelessTruncatedNormal", Attrs{"dtype": Float32}, Vector(s, shape...), Vector(s, s.seed[:]...))
	return Scale(s, noise, stddev)
}
