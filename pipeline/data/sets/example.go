package sets

import (
	"errors"
	"fmt"

	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
	"google.golang.org/protobuf/proto"
)

// The keys of an ImageNet example, as slim's and Inception's converters write
// them (build_imagenet_data.py), and those of TensorFlow Datasets.
const (
	keyEncoded    = "image/encoded"
	keyHeight     = "image/height"
	keyWidth      = "image/width"
	keyColorspace = "image/colorspace"
	keyChannels   = "image/channels"
	keyFormat     = "image/format"
	keyFilename   = "image/filename"
	keyLabel      = "image/class/label"
	keySynset     = "image/class/synset"
	keyText       = "image/class/text"

	keyTFDSImage = "image"
	keyTFDSLabel = "label"
	keyTFDSFile  = "file_name"
)

// keysBoxes are written empty where images have one label.
var keysBoxes = []string{keyXMin, keyXMax, keyYMin, keyYMax}

const keyBoxLabel = "image/object/bbox/label"

// Example is one labelled image of a record file.
type Example struct {
	Encoded       []byte // JPEG or PNG
	Format        string // "JPEG", "PNG", or "" where the record does not say
	Height, Width int    // pixels; 0 where the record does not say
	Filename      string
	Label         int64 // as stored; the manifest has the offset
	Synset, Text  string
}

// Marshal returns the tf.train.Example, the same bytes for the same Example.
func (e Example) Marshal() ([]byte, error) {
	f := map[string]*examplepb.Feature{
		keyEncoded: bytesFeature(e.Encoded), keyFormat: bytesFeature([]byte(e.Format)), keyFilename: bytesFeature([]byte(e.Filename)),
		keyHeight: intFeature(int64(e.Height)), keyWidth: intFeature(int64(e.Width)),
		keyColorspace: bytesFeature([]byte("RGB")), keyChannels: intFeature(3),
		keyLabel: intFeature(e.Label), keySynset: bytesFeature([]byte(e.Synset)), keyText: bytesFeature([]byte(e.Text)),
		keyBoxLabel: intFeature(),
	}
	for _, key := range keysBoxes {
		f[key] = floatFeature()
	}
	return marshalFeatures(e.Filename, f)
}

// marshalFeatures makes a tf.train.Example; name stands for it in errors.
func marshalFeatures(name string, f map[string]*examplepb.Feature) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&examplepb.Example{Features: &examplepb.Features{Feature: f}})
	if err != nil {
		return nil, fmt.Errorf("sets: example %s: %w", name, err)
	}
	return b, nil
}

func bytesFeature(v ...[]byte) *examplepb.Feature {
	return &examplepb.Feature{Kind: &examplepb.Feature_BytesList{BytesList: &examplepb.BytesList{Value: v}}}
}

func floatFeature(v ...float32) *examplepb.Feature {
	return &examplepb.Feature{Kind: &examplepb.Feature_FloatList{FloatList: &examplepb.FloatList{Value: v}}}
}

func intFeature(v ...int64) *examplepb.Feature {
	return &examplepb.Feature{Kind: &examplepb.Feature_Int64List{Int64List: &examplepb.Int64List{Value: v}}}
}

var (
	errNotExample = errors.New("no tf.train.Example")
	errNoImage    = errors.New("neither image/encoded nor image holds an image")
	errNoLabel    = errors.New("neither image/class/label nor label holds a label")
)

// ParseExample reads a tf.train.Example by slim's keys or by those of
// TensorFlow Datasets.
func ParseExample(data []byte) (Example, error) {
	f, err := parseFeatures(data)
	if err != nil {
		return Example{}, err
	}
	image, ok := firstBytes(f, keyEncoded, keyTFDSImage)
	if !ok {
		return Example{}, errNoImage
	}
	label, ok := firstInt(f, keyLabel, keyTFDSLabel)
	if !ok {
		return Example{}, errNoLabel
	}
	e := Example{Encoded: image, Label: label}
	text := func(keys ...string) string { b, _ := firstBytes(f, keys...); return string(b) }
	number := func(key string) int { n, _ := firstInt(f, key); return int(n) }
	e.Format, e.Filename = text(keyFormat), text(keyFilename, keyTFDSFile)
	e.Synset, e.Text = text(keySynset), text(keyText)
	e.Height, e.Width = number(keyHeight), number(keyWidth)
	return e, nil
}

func parseFeatures(data []byte) (map[string]*examplepb.Feature, error) {
	var p examplepb.Example
	if err := proto.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotExample, err)
	}
	return p.GetFeatures().GetFeature(), nil
}

func firstBytes(f map[string]*examplepb.Feature, keys ...string) ([]byte, bool) {
	for _, key := range keys {
		if v := f[key].GetBytesList().GetValue(); len(v) > 0 {
			return v[0], true
		}
	}
	return nil, false
}

func firstInt(f map[string]*examplepb.Feature, keys ...string) (int64, bool) {
	for _, key := range keys {
		if v := f[key].GetInt64List().GetValue(); len(v) > 0 {
			return v[0], true
		}
	}
	return 0, false
}
