package savedmodel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	graphpb "github.com/wamuir/graft/tensorflow/core/framework/graph_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// Model is a loaded SavedModel, ready to run. It may be run by many goroutines
// at once.
type Model struct {
	Dir        string
	Signatures map[string]*corepb.SignatureDef
	Classes    []string // of assets/classes.txt; nil where there are none

	// OneRunAtATime says that runs at the same time may corrupt the heap
	// (sumsConvolutions). Exports of ours do not.
	OneRunAtATime bool

	graph   *tfgraph.Graph
	session *tfgraph.Session
}

// forbidden are operations by which a model could touch files or processes.
// Restoring variables and initialising tables read files that lie in the model.
var forbidden = map[string]bool{
	"ReadFile": true, "WriteFile": true, "PyFunc": true, "PyFuncStateless": true, "EagerPyFunc": true,
	"MatchingFiles": true, "TFRecordDataset": true, "TFRecordDatasetV2": true, "TextLineDataset": true,
	"FixedLengthRecordDataset": true, "FixedLengthRecordDatasetV2": true, "PrintV2": true, "Save": true, "SaveSlices": true,
	"TextLineReaderV2": true, "TFRecordReaderV2": true, "WholeFileReaderV2": true, "DebugIdentityV2": true,
}

// Load reads the SavedModel in dir and opens a session on it.
func Load(dir string, o tfgraph.SessionOptions) (*Model, error) {
	meta, err := read(dir)
	if err != nil {
		return nil, fmt.Errorf("savedmodel: %s: %w", dir, err)
	}
	if err := admissible(meta.GetGraphDef()); err != nil {
		return nil, fmt.Errorf("savedmodel: %s: %w", dir, err)
	}
	m := &Model{Dir: dir, Signatures: meta.GetSignatureDef(), OneRunAtATime: sumsConvolutions(meta.GetGraphDef()), graph: tfgraph.New()}
	m.Classes, err = classNames(dir)
	if err != nil {
		return nil, fmt.Errorf("savedmodel: %s: %w", dir, err)
	}
	def, err := proto.Marshal(meta.GetGraphDef())
	if err != nil {
		return nil, fmt.Errorf("savedmodel: %s: %w", dir, err)
	}
	if err := m.graph.Import(def); err != nil {
		return nil, fmt.Errorf("savedmodel: %s: %w", dir, err)
	}
	if m.session, err = tfgraph.NewSession(m.graph, o); err != nil {
		return nil, fmt.Errorf("savedmodel: %s: %w", dir, err)
	}
	if err := m.restore(meta.GetSaverDef()); err != nil {
		return nil, errors.Join(fmt.Errorf("savedmodel: %s: %w", dir, err), m.session.Close())
	}
	return m, nil
}

// read parses saved_model.pb and picks the graph tagged "serve".
func read(dir string) (*corepb.MetaGraphDef, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "saved_model.pb"))
	if err != nil {
		return nil, fmt.Errorf("not a SavedModel: %w", err)
	}
	var pb corepb.SavedModel
	if err := proto.Unmarshal(raw, &pb); err != nil {
		return nil, fmt.Errorf("saved_model.pb is damaged: %w", err)
	}
	for _, meta := range pb.GetMetaGraphs() {
		for _, tag := range meta.GetMetaInfoDef().GetTags() {
			if tag == "serve" {
				return meta, nil
			}
		}
	}
	return nil, fmt.Errorf("no graph with the tag %q in saved_model.pb", "serve")
}

// admissible refuses a graph, its functions included, with an operation that
// has no business in a served model.
func admissible(g *graphpb.GraphDef) error {
	for _, n := range g.GetNode() {
		if forbidden[n.GetOp()] {
			return fmt.Errorf("node %s: operation %s reaches outside of the model and is refused", n.GetName(), n.GetOp())
		}
	}
	for _, f := range g.GetLibrary().GetFunction() {
		for _, n := range f.GetNodeDef() {
			if forbidden[n.GetOp()] {
				return fmt.Errorf("function %s: operation %s reaches outside of the model and is refused", f.GetSignature().GetName(), n.GetOp())
			}
		}
	}
	return nil
}

func classNames(dir string) ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "assets", ClassesAsset))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(string(raw), "\n"), "\n"), nil
}

// ClassesAsset is the asset that holds one class name a line.
const ClassesAsset = "classes.txt"

// restore reads the variables, if the model has any.
func (m *Model) restore(saver *corepb.SaverDef) error {
	if saver.GetRestoreOpName() == "" {
		return nil
	}
	name, index := splitName(saver.GetFilenameTensorName())
	prefix, ok := m.graph.Lookup(name, index)
	op, found := m.graph.LookupOperation(saver.GetRestoreOpName())
	if !ok || !found {
		return fmt.Errorf("saved_model.pb names restore operations that its graph lacks")
	}
	v, err := tfgraph.StringScalar(filepath.Join(m.Dir, "variables", "variables"))
	if err != nil {
		return err
	}
	_, err = m.session.Run(tfgraph.Feeds{prefix: v}, nil, op)
	return err
}

func splitName(name string) (string, int) {
	head, tail, ok := strings.Cut(name, ":")
	if !ok {
		return name, 0
	}
	i, err := strconv.Atoi(tail)
	if err != nil {
		return name, 0
	}
	return head, i
}

// Run computes the named outputs (all, in the order of their names, if nil) of
// a signature and returns them with their names.
func (m *Model) Run(signature string, inputs map[string]*tfgraph.Value, want []string) ([]string, []*tfgraph.Value, error) {
	def, ok := m.Signatures[signature]
	if !ok {
		return nil, nil, fmt.Errorf("savedmodel: %s has no signature %q", m.Dir, signature)
	}
	feeds := tfgraph.Feeds{}
	for name, info := range def.GetInputs() {
		v, ok := inputs[name]
		if !ok {
			return nil, nil, fmt.Errorf("savedmodel: signature %s: input %q is missing", signature, name)
		}
		t, err := m.tensor(info)
		if err != nil {
			return nil, nil, err
		}
		feeds[t] = v
	}
	if want == nil {
		for name := range def.GetOutputs() {
			want = append(want, name)
		}
		sort.Strings(want)
	}
	fetches := make([]tfgraph.Tensor, len(want))
	for i, name := range want {
		info, ok := def.GetOutputs()[name]
		if !ok {
			return nil, nil, fmt.Errorf("savedmodel: signature %s has no output %q", signature, name)
		}
		var err error
		if fetches[i], err = m.tensor(info); err != nil {
			return nil, nil, err
		}
	}
	out, err := m.session.Run(feeds, fetches)
	return want, out, err
}

func (m *Model) tensor(info *corepb.TensorInfo) (tfgraph.Tensor, error) {
	name, index := splitName(info.GetName())
	t, ok := m.graph.Lookup(name, index)
	if !ok {
		return t, fmt.Errorf("savedmodel: %s: the graph lacks tensor %s of its signature", m.Dir, info.GetName())
	}
	return t, nil
}

// Close ends the session.
func (m *Model) Close() error { return m.session.Close() }
