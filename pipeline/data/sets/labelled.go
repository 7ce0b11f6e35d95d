package sets

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	examplepb "github.com/wamuir/graft/tensorflow/core/example/example_protos_go_proto"
)

// The keys of a detection example, as the Object Detection API writes and reads
// them (dataset_tools/create_coco_tf_record.py, data_decoders/tf_example_decoder.py).
const (
	keySourceID    = "image/source_id"
	keyDigest      = "image/key/sha256"
	keyXMin        = "image/object/bbox/xmin"
	keyXMax        = "image/object/bbox/xmax"
	keyYMin        = "image/object/bbox/ymin"
	keyYMax        = "image/object/bbox/ymax"
	keyObjectLabel = "image/object/class/label"
	keyObjectText  = "image/object/class/text"
	keyArea        = "image/object/area"
	keyCrowd       = "image/object/is_crowd"
)

// Labelled is one image of a detection set with what is on it.
type Labelled struct {
	Encoded       []byte // JPEG or PNG
	Format        string // "jpeg" or "png", "" where the record does not say
	Height, Width int    // pixels
	Filename      string
	SourceID      string // the image's id in the annotations
	Objects       []Object
}

// Object is one box on an image, as shares of its width and height.
type Object struct {
	XMin, XMax, YMin, YMax float32 // 0..1
	Label                  int64   // from 1; 0 where the record does not say
	Text                   string  // name of the category
	Area                   float32 // of the object's mask where one was known, else of its box; square pixels of the image
	Crowd                  bool    // a region of many objects
}

// Marshal returns the tf.train.Example, the same bytes for the same Labelled.
func (l Labelled) Marshal() ([]byte, error) {
	sum := sha256.Sum256(l.Encoded)
	var sides [4][]float32
	var labels, crowds []int64
	var texts [][]byte
	var areas []float32
	for _, o := range l.Objects {
		for i, v := range []float32{o.XMin, o.XMax, o.YMin, o.YMax} {
			sides[i] = append(sides[i], v)
		}
		crowd := int64(0)
		if o.Crowd {
			crowd = 1
		}
		labels, crowds = append(labels, o.Label), append(crowds, crowd)
		texts, areas = append(texts, []byte(o.Text)), append(areas, o.Area)
	}
	f := map[string]*examplepb.Feature{
		keyEncoded: bytesFeature(l.Encoded), keyFormat: bytesFeature([]byte(l.Format)), keyHeight: intFeature(int64(l.Height)), keyWidth: intFeature(int64(l.Width)),
		keyFilename: bytesFeature([]byte(l.Filename)), keySourceID: bytesFeature([]byte(l.SourceID)), keyDigest: bytesFeature([]byte(hex.EncodeToString(sum[:]))),
		keyObjectLabel: intFeature(labels...), keyObjectText: bytesFeature(texts...), keyArea: floatFeature(areas...), keyCrowd: intFeature(crowds...),
	}
	for i, key := range keysBoxes {
		f[key] = floatFeature(sides[i]...)
	}
	return marshalFeatures(l.Filename, f)
}

var (
	errNoBoxes = errors.New("no list of boxes (image/object/bbox)")
	errLists   = errors.New("lists of objects differ in length")
	errBox     = errors.New("no box within the image")
)

// ParseLabelled reads the tf.train.Example of a detection set. Labels, names,
// areas and crowds may be missing as a whole.
func ParseLabelled(data []byte) (Labelled, error) {
	f, err := parseFeatures(data)
	if err != nil {
		return Labelled{}, err
	}
	image, ok := firstBytes(f, keyEncoded)
	if !ok {
		return Labelled{}, errNoImage
	}
	text := func(key string) string { b, _ := firstBytes(f, key); return string(b) }
	number := func(key string) int { n, _ := firstInt(f, key); return int(n) }
	l := Labelled{
		Encoded: image, Format: text(keyFormat), Height: number(keyHeight), Width: number(keyWidth),
		Filename: text(keyFilename), SourceID: text(keySourceID),
	}
	l.Objects, err = parseObjects(f)
	return l, err
}

func parseObjects(f map[string]*examplepb.Feature) ([]Object, error) {
	if f[keyXMin].GetFloatList() == nil {
		return nil, errNoBoxes
	}
	var sides [4][]float32
	for i, key := range keysBoxes {
		sides[i] = f[key].GetFloatList().GetValue()
	}
	n := len(sides[0])
	labels, texts := f[keyObjectLabel].GetInt64List().GetValue(), f[keyObjectText].GetBytesList().GetValue()
	areas, crowds := f[keyArea].GetFloatList().GetValue(), f[keyCrowd].GetInt64List().GetValue()
	for key, length := range map[string]int{keyObjectLabel: len(labels), keyObjectText: len(texts), keyArea: len(areas), keyCrowd: len(crowds)} {
		if length != 0 && length != n {
			return nil, fmt.Errorf("%w: %d boxes, %d of %s", errLists, n, length, key)
		}
	}
	for i, key := range keysBoxes {
		if len(sides[i]) != n {
			return nil, fmt.Errorf("%w: %d of %s, %d of %s", errLists, n, keyXMin, len(sides[i]), key)
		}
	}
	objects := make([]Object, n)
	for i := range objects {
		o := Object{XMin: sides[0][i], XMax: sides[1][i], YMin: sides[2][i], YMax: sides[3][i]}
		if labels != nil {
			o.Label = labels[i]
		}
		if texts != nil {
			o.Text = string(texts[i])
		}
		if areas != nil {
			o.Area = areas[i]
		}
		o.Crowd = crowds != nil && crowds[i] != 0
		objects[i] = o
	}
	return objects, nil
}

// check judges the values of an object.
func (o Object) check() error {
	within := func(from, to float32) bool { return 0 <= from && from < to && to <= 1 } // false for NaN too
	if !within(o.XMin, o.XMax) || !within(o.YMin, o.YMax) {
		return fmt.Errorf("%w: x %v to %v, y %v to %v", errBox, o.XMin, o.XMax, o.YMin, o.YMax)
	}
	if o.Label < 0 || (o.Label == 0 && o.Text == "") {
		return fmt.Errorf("label %d, name %q: %w", o.Label, o.Text, errNoLabel)
	}
	if !(o.Area >= 0) || math.IsInf(float64(o.Area), 1) {
		return fmt.Errorf("area is %v: %w", o.Area, errBox)
	}
	return nil
}
