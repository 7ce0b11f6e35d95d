package data

import (
	"fmt"
	"math"
	"slices"

	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tfdata"
)

// The keys of a detection example (tensorflow/models object_detection
// data_decoders/tf_example_decoder.py).
const (
	keyEncoded = "image/encoded"
	keyYMin    = "image/object/bbox/ymin"
	keyXMin    = "image/object/bbox/xmin"
	keyYMax    = "image/object/bbox/ymax"
	keyXMax    = "image/object/bbox/xmax"
	keyLabel   = "image/object/class/label"
	keyWeight  = "image/object/weight" // 1 where it is missing
)

// BoxOptions configures a pipeline of images with boxes.
type BoxOptions struct {
	Height, Width int64 // of the images, whose aspect is not kept
	Classes       int64 // labels 1 to this are known; boxes of others are dropped
	Objects       int64 // boxes of an image; more are cut off
	Batch         int64
	Flip          bool  // left to right, half of the images
	Seed          int64 // of order and flips
	Threads       int64 // of the pipeline; 0: one a core

	Exclude map[string][]int64 // bytes at which records begin that are left out, by file
}

// BoxColumns are the numbers of a box in BoxInput.Boxes: ymin, xmin, ymax and
// xmax as shares of the image, the class from 0, the weight.
const BoxColumns = 6

// BoxInput is a pipeline of images with boxes to train on: all examples in another
// order each epoch, for ever. As with RecordInput, what stands at a position is a
// function of seed and position alone.
type BoxInput struct {
	Images tfgraph.Tensor // [B,H,W,3] float32 in -1..1
	Boxes  tfgraph.Tensor // [B,Objects,BoxColumns] float32; rows that are not there are zero
	Len    int64          // examples

	start    tfgraph.Tensor
	iterator tfdata.Iterator
}

// NewBoxInput reads where the records lie and adds the pipeline's nodes to the
// graph, below s. name is unique there. A broken record length is a
// *tfrecord.Fault.
func NewBoxInput(s *tfgraph.Scope, name string, files []string, o BoxOptions) (*BoxInput, error) {
	records, err := OpenRecords(Records{Files: files, Exclude: o.Exclude})
	if err != nil {
		return nil, err
	}
	in := &BoxInput{Len: records.Len()}
	if in.Len == 0 || o.Batch < 1 {
		return nil, fmt.Errorf("data: pipeline %s: %d examples in batches of %d", name, in.Len, o.Batch)
	}
	s = s.Sub("%s", name).On("/device:CPU:0")
	in.start = tfgraph.Placeholder(s, "start", tfgraph.Int64, tfgraph.Shape{})
	where := records.where(s)
	examples := tfdata.Range(s, in.start, tfgraph.Scalarc(s, int64(math.MaxInt64))).Map(s, tfdata.Autotune, where, func(s *tfgraph.Scope, element, where []tfgraph.Tensor) []tfgraph.Tensor {
		return o.example(s, tfgraph.Reshape(s, element[0], 1), where, in.Len)
	})
	in.iterator = examples.Batch(s, o.Batch, true).Prefetch(s, 4).Options(s, o.Threads).Iterate(s, s.Path())
	in.Images, in.Boxes = in.iterator.Next[0], in.iterator.Next[1]
	return in, nil
}

// Start begins at a position: the number of examples consumed.
func (in *BoxInput) Start(sess *tfgraph.Session, position int64) error {
	if position < 0 {
		return fmt.Errorf("data: position %d is negative", position)
	}
	_, err := sess.Run(tfgraph.Feeds{in.start: tfgraph.Scalar(position)}, nil, in.iterator.Start)
	return err
}

// example reads and prepares the example at position [1].
func (o BoxOptions) example(s *tfgraph.Scope, position tfgraph.Tensor, where []tfgraph.Tensor, n int64) []tfgraph.Tensor {
	index := shuffled(s.Sub("shuffle"), position, n, o.Seed)
	file := tfgraph.Gather(s, where[0], tfgraph.Gather(s, where[1], index))
	x := parseBoxes(s, tfdata.RecordAt(s, file, tfgraph.Gather(s, where[2], index)))
	image, boxes := decodeRGB(s, x.encoded), x.list(s, o.Classes) // [h,w,3], [n,6]
	if o.Flip {
		key := tfgraph.Concat(s, 0, tfgraph.Vector(s, o.Seed), position)
		image, boxes = flipped(s.Sub("flip"), image, boxes, key)
	}
	image = Preparation{Height: o.Height, Width: o.Width, Legacy: true}.image(s, image)
	image = standardize(s, tfgraph.ExpandDims(s, image, 0), Inception)
	boxes = tfgraph.Slice(s, tfgraph.Concat(s, 0, boxes, tfgraph.Zeros(s, o.Objects, BoxColumns)), []int32{0, 0}, []int32{int32(o.Objects), BoxColumns})
	return []tfgraph.Tensor{tfgraph.Reshape(s, image, o.Height, o.Width, 3), tfgraph.Reshape(s, boxes, o.Objects, BoxColumns)}
}

// boxRecord is a parsed example.
type boxRecord struct {
	encoded         tfgraph.Tensor    // scalar
	corners         [4]tfgraph.Tensor // [n]: ymin, xmin, ymax, xmax
	labels, weights tfgraph.Tensor    // [n]; weights may be empty
}

func parseBoxes(s *tfgraph.Scope, record tfgraph.Tensor) boxRecord {
	lists := []string{keyYMin, keyXMin, keyYMax, keyXMax, keyWeight, keyLabel}
	types := append(slices.Repeat([]tfgraph.DataType{tfgraph.Float32}, 5), tfgraph.Int64)
	op := s.Add("ParseSingleExample", tfgraph.Attrs{
		"num_sparse": len(lists), "sparse_keys": lists, "sparse_types": types,
		"dense_keys": []string{keyEncoded}, "Tdense": []tfgraph.DataType{tfgraph.String}, "dense_shapes": []tfgraph.Shape{{}},
	}, record, []tfgraph.Tensor{tfgraph.StringsConst(s, []string{})})
	k := len(lists)
	r := boxRecord{encoded: op.Output(3 * k)}
	for i := range r.corners {
		r.corners[i] = op.Output(k + i)
	}
	r.weights, r.labels = op.Output(k+4), op.Output(k+5)
	return r
}

// list are the record's boxes [n,6], without those of unknown classes and of
// corners that are no numbers.
func (r boxRecord) list(s *tfgraph.Scope, classes int64) tfgraph.Tensor {
	one := tfgraph.Scalarc(s, float32(1))
	known := tfgraph.LogicalAnd(s, tfgraph.GreaterEqual(s, r.labels, tfgraph.Scalarc(s, int64(1))), tfgraph.Less(s, r.labels, tfgraph.Scalarc(s, classes+1)))
	for _, c := range r.corners {
		known = tfgraph.LogicalAnd(s, known, tfgraph.Equal(s, c, c))
	}
	class := tfgraph.Sub(s, tfgraph.Cast(s, r.labels, tfgraph.Float32), one) // [n]
	ones := s.One("Fill", nil, tfgraph.ShapeOf(s, class), one)
	weights := s.One("Slice", nil, tfgraph.Concat(s, 0, r.weights, ones), tfgraph.Vector(s, int64(0)), tfgraph.ShapeOf(s, class))
	columns := append(slices.Clone(r.corners[:]), class, weights)
	rows := tfgraph.Stack(s, 1, columns...) // [n,6]
	at := tfgraph.Reshape(s, s.One("Where", nil, known), -1)
	return tfgraph.Gather(s, rows, at)
}

// flipped mirrors an image [h,w,3] and its boxes [n,6] left to right, if a draw
// of key [2] is above one half.
func flipped(s *tfgraph.Scope, image, boxes, key tfgraph.Tensor) (flippedImage, flippedBoxes tfgraph.Tensor) {
	seed := tfgraph.Add(s, tfgraph.Mul(s, key, tfgraph.Vector(s, int64(31), 1)), tfgraph.Vector(s, int64(siteMirror), 0))
	draw := tfgraph.Reshape(s, tfgraph.StatelessUniform(s, tfgraph.Vector(s, int32(1)), seed))
	flip := tfgraph.Greater(s, draw, tfgraph.Scalarc(s, float32(0.5)))
	// xmin' = 1 - xmax and xmax' = 1 - xmin, as a product and a sum.
	mirror := tfgraph.Const(s, []float32{
		1, 0, 0, 0, 0, 0,
		0, 0, 0, -1, 0, 0,
		0, 0, 1, 0, 0, 0,
		0, -1, 0, 0, 0, 0,
		0, 0, 0, 0, 1, 0,
		0, 0, 0, 0, 0, 1,
	}, BoxColumns, BoxColumns)
	mirrored := tfgraph.Add(s, tfgraph.MatMul(s, boxes, mirror), tfgraph.Vector(s, float32(0), 1, 0, 1, 0, 0))
	turned := s.One("ReverseV2", nil, image, tfgraph.Vector(s, int32(1)))
	return tfgraph.Select(s, flip, turned, image), tfgraph.Select(s, flip, mirrored, boxes)
}
