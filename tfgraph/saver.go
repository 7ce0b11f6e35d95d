package tfgraph

import "fmt"

// Saver writes variables to, and reads them from, TensorFlow's checkpoint
// format (SaveV2, RestoreV2).
type Saver struct {
	Vars    []*Variable
	Prefix  Tensor    // string scalar, to be fed: PREFIX of PREFIX.index and PREFIX.data-00000-of-00001
	Save    Operation // writes all
	Saved   Tensor    // the prefix, once all is written: what a SaverDef names
	Restore Operation // reads and assigns all
	Verify  Operation // reads all, which checks every tensor's checksum
}

// NewSaver adds the operations that save vars, each under its key, and restore
// them. keys and vars run in parallel.
func NewSaver(s *Scope, keys []string, vars []*Variable) *Saver {
	sv := &Saver{Vars: vars, Prefix: Placeholder(s, "prefix", String, Shape{})}
	if len(keys) != len(vars) || len(keys) == 0 {
		s.Fail("saver: %d keys for %d variables", len(keys), len(vars))
		return sv
	}
	slices := make([]string, len(keys))
	types := make([]DataType, len(vars))
	values := make([]Tensor, len(vars))
	for i, v := range vars {
		types[i] = v.DType
		values[i] = v.ReadAfter(s)
	}
	names, all := StringsConst(s, keys), StringsConst(s, slices)
	sv.Save = s.Add("SaveV2", Attrs{"dtypes": types}, sv.Prefix, names, all, values)
	sv.Saved = Identity(s.After(sv.Save), "saved", sv.Prefix)
	read := s.Add("RestoreV2", Attrs{"dtypes": types}, sv.Prefix, names, all)
	sv.Verify = Group(s.After(read), "verify_all")
	assigns := make([]Operation, len(vars))
	for i, v := range vars {
		assigns[i] = v.Assign(s, read.Output(i))
	}
	sv.Restore = Group(s, "restore_all", assigns...)
	return sv
}

// SaveTo writes the variables of the session under prefix.
func (sv *Saver) SaveTo(sess *Session, prefix string) error {
	return sv.run(sess, prefix, sv.Save, "save")
}

// RestoreFrom reads the variables into the session. A missing or misshapen one
// is an error; then nothing can be said about the session's variables.
func (sv *Saver) RestoreFrom(sess *Session, prefix string) error {
	return sv.run(sess, prefix, sv.Restore, "restore")
}

// VerifyAt reads every tensor under prefix, with its checksum, and assigns none.
func (sv *Saver) VerifyAt(sess *Session, prefix string) error {
	return sv.run(sess, prefix, sv.Verify, "verify")
}

func (sv *Saver) run(sess *Session, prefix string, op Operation, verb string) error {
	v, err := StringScalar(prefix)
	if err != nil {
		return err
	}
	if _, err := sess.Run(Feeds{sv.Prefix: v}, nil, op); err != nil {
		return fmt.Errorf("tfgraph: %s checkpoint %s: %w", verb, prefix, err)
	}
	return nil
}

// ReadCheckpoint reads the named float32 tensors of the checkpoint at prefix,
// by TensorFlow's own RestoreV2, which checks each tensor's checksum and puts
// together what was saved in slices.
func ReadCheckpoint(prefix string, names []string) (map[string]*Value, error) {
	g := New()
	s := g.Root()
	types := make([]DataType, len(names))
	for i := range types {
		types[i] = Float32
	}
	read := s.Add("RestoreV2", Attrs{"dtypes": types}, Reshape(s, StringsConst(s, []string{prefix})), StringsConst(s, names), StringsConst(s, make([]string, len(names))))
	fetch := make([]Tensor, len(names))
	for i := range fetch {
		fetch[i] = read.Output(i)
	}
	sess, err := NewSession(g, SessionOptions{Grappler: GrapplerOff})
	if err != nil {
		return nil, err
	}
	defer sess.Close()
	out, err := sess.Run(nil, fetch)
	if err != nil {
		return nil, fmt.Errorf("tfgraph: read checkpoint %s: %w", prefix, err)
	}
	values := make(map[string]*Value, len(names))
	for i, name := range names {
		values[name] = out[i]
	}
	return values, nil
}

// WriteCheckpoint writes float32 values under their names as the checkpoint at
// prefix, by SaveV2. Nothing is synced to the disk.
func WriteCheckpoint(prefix string, names []string, values []*Value) error {
	g := New()
	s := g.Root()
	types, feeds := make([]DataType, len(names)), Feeds{}
	inputs := make([]Tensor, len(names))
	for i, v := range values {
		types[i] = Float32
		inputs[i] = Placeholder(s, fmt.Sprintf("value_%d", i), Float32, v.Shape())
		feeds[inputs[i]] = v
	}
	save := s.Add("SaveV2", Attrs{"dtypes": types}, Reshape(s, StringsConst(s, []string{prefix})), StringsConst(s, names), StringsConst(s, make([]string, len(names))), inputs)
	sess, err := NewSession(g, SessionOptions{Grappler: GrapplerOff})
	if err != nil {
		return err
	}
	defer sess.Close()
	if _, err := sess.Run(feeds, nil, save); err != nil {
		return fmt.Errorf("tfgraph: write checkpoint %s: %w", prefix, err)
	}
	return nil
}
