package savedmodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	graphpb "github.com/wamuir/graft/tensorflow/core/framework/graph_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	variablepb "github.com/wamuir/graft/tensorflow/core/framework/variable_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// The method names that TensorFlow Serving knows.
const (
	PredictMethod  = "tensorflow/serving/predict"
	ClassifyMethod = "tensorflow/serving/classify"
)

// ErrExists is returned when the version to be written is there already.
var ErrExists = errors.New("this version exists already; versions are never overwritten, choose a higher number")

// Signature is one way of calling the model.
type Signature struct {
	Method  string
	Inputs  map[string]tfgraph.Tensor
	Outputs map[string]tfgraph.Tensor
}

// Content is what a SavedModel holds.
type Content struct {
	Graph      *tfgraph.Graph
	Signatures map[string]Signature
	// Variables are saved from the session; nil where the graph has none.
	Variables *tfgraph.Saver
	Session   *tfgraph.Session
	Assets    map[string][]byte // files of assets/, for people and programs
	Extra     map[string][]byte // files of assets.extra/
	Manifest  *Manifest         // manifest.json, if given; its digest of the graph is filled in
}

// Write publishes the model as base/version and returns that directory.
func Write(base string, version int64, c Content) (string, error) {
	final := filepath.Join(base, strconv.FormatInt(version, 10))
	if version < 1 {
		return "", fmt.Errorf("savedmodel: version %d: want a number from 1", version)
	}
	if _, err := os.Stat(final); err == nil {
		return "", fmt.Errorf("savedmodel: %s: %w", final, ErrExists)
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("savedmodel: %w", err)
	}
	tmp, err := os.MkdirTemp(base, ".tmp-"+strconv.FormatInt(version, 10)+"-")
	if err != nil {
		return "", fmt.Errorf("savedmodel: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := c.write(tmp); err != nil {
		return "", fmt.Errorf("savedmodel: write %s: %w", final, err)
	}
	if err := durable.Rename(tmp, final); err != nil {
		return "", fmt.Errorf("savedmodel: publish %s: %w", final, err)
	}
	return final, nil
}

func (c Content) write(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil { // MkdirTemp's is private; servers run as somebody else
		return err
	}
	pb, err := c.proto()
	if err != nil {
		return err
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(pb)
	if err != nil {
		return err
	}
	files := map[string][]byte{"saved_model.pb": raw}
	if c.Manifest != nil {
		m := *c.Manifest
		m.Format, m.GraphDigest = 1, digest(raw)
		if files[ManifestFile], err = json.MarshalIndent(m, "", "  "); err != nil {
			return err
		}
	}
	for name, data := range c.Assets {
		files[filepath.Join("assets", name)] = data
	}
	for name, data := range c.Extra {
		files[filepath.Join("assets.extra", name)] = data
	}
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := durable.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return c.writeVariables(filepath.Join(dir, "variables"))
}

func (c Content) writeVariables(dir string) error {
	if c.Variables == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := c.Variables.SaveTo(c.Session, filepath.Join(dir, "variables")); err != nil {
		return err
	}
	return durable.SyncTree(dir)
}

// proto builds the SavedModel message.
func (c Content) proto() (*corepb.SavedModel, error) {
	def, err := c.Graph.Definition()
	if err != nil {
		return nil, err
	}
	var graph graphpb.GraphDef
	if err := proto.Unmarshal(def, &graph); err != nil {
		return nil, err
	}
	meta := &corepb.MetaGraphDef{
		MetaInfoDef:  &corepb.MetaGraphDef_MetaInfoDef{Tags: []string{"serve"}, TensorflowVersion: tfgraph.Version()},
		GraphDef:     &graph,
		SignatureDef: map[string]*corepb.SignatureDef{},
	}
	for name, s := range c.Signatures {
		if meta.SignatureDef[name], err = s.proto(); err != nil {
			return nil, fmt.Errorf("signature %s: %w", name, err)
		}
	}
	if c.Variables != nil {
		meta.SaverDef = &corepb.SaverDef{
			FilenameTensorName: c.Variables.Prefix.Name(),
			SaveTensorName:     c.Variables.Saved.Name(),
			RestoreOpName:      c.Variables.Restore.Name(),
			Version:            corepb.SaverDef_V2,
		}
		if meta.CollectionDef, err = collections(c.Variables.Vars); err != nil {
			return nil, err
		}
	}
	return &corepb.SavedModel{SavedModelSchemaVersion: 1, MetaGraphs: []*corepb.MetaGraphDef{meta}}, nil
}

// collections list the variables as TensorFlow's Python looks for them: all, and
// those that an optimizer changes.
func collections(vars []*tfgraph.Variable) (map[string]*corepb.CollectionDef, error) {
	var all, trainable [][]byte
	for _, v := range vars {
		raw, err := proto.Marshal(&variablepb.VariableDef{
			VariableName: v.Handle.Name(), InitializerName: v.Init.Name(), SnapshotName: v.Read.Name(), IsResource: true, Trainable: v.Trainable,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, raw)
		if v.Trainable {
			trainable = append(trainable, raw)
		}
	}
	list := func(raw [][]byte) *corepb.CollectionDef {
		return &corepb.CollectionDef{Kind: &corepb.CollectionDef_BytesList_{BytesList: &corepb.CollectionDef_BytesList{Value: raw}}}
	}
	return map[string]*corepb.CollectionDef{"variables": list(all), "trainable_variables": list(trainable)}, nil
}

func (s Signature) proto() (*corepb.SignatureDef, error) {
	//lint:ignore SA1019 deprecated for TensorFlow 2 writers, but TensorFlow Serving routes by it
	def := &corepb.SignatureDef{MethodName: s.Method}
	var err error
	if def.Inputs, err = infos(s.Inputs); err != nil {
		return nil, err
	}
	def.Outputs, err = infos(s.Outputs)
	return def, err
}

func infos(ts map[string]tfgraph.Tensor) (map[string]*corepb.TensorInfo, error) {
	out := map[string]*corepb.TensorInfo{}
	for name, t := range ts {
		if !t.Valid() {
			return nil, fmt.Errorf("%s is not a tensor of the graph", name)
		}
		shape := &shapepb.TensorShapeProto{UnknownRank: t.Shape() == nil}
		for _, d := range t.Shape() {
			shape.Dim = append(shape.Dim, &shapepb.TensorShapeProto_Dim{Size: d})
		}
		out[name] = &corepb.TensorInfo{
			Encoding:    &corepb.TensorInfo_Name{Name: t.Name()},
			Dtype:       typespb.DataType(t.DType()),
			TensorShape: shape,
		}
	}
	return out, nil
}
