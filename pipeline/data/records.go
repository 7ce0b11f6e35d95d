package data

import (
	"fmt"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tfdata"
)

// Records are labelled images in record files (TFRecord of tf.train.Example).
type Records struct {
	Files []string
	// LabelOffset is taken off a stored label to make a class from 0: 1 for
	// slim's ImageNet, whose 0 is the background.
	LabelOffset int64
	JPEG        bool   // all images are JPEGs, of which a part alone can be decoded
	ImageKey    string // of the encoded image; "": slim's image/encoded
	LabelKey    string // "": slim's image/class/label
}

// RecordOptions configures a pipeline over record files.
type RecordOptions struct {
	Batch   int64
	Shuffle bool  // another order of all examples each epoch; otherwise as stored
	Repeat  bool  // go on for ever; otherwise once through, last batch smaller
	Seed    int64 // of order and augmentation
	// Replica of Replicas takes every so-many-th example of the common order;
	// 0 Replicas: all.
	Replica, Replicas int64
	Eval              Preparation // how images are prepared, without Train; zero size: decoded alone, to a scalar, for timing
	Train             *Distortion // how they are prepared for training
	Threads           int64       // of the pipeline; 0: one a core
}

// RecordInput is a pipeline over record files. Which example stands at a
// position, and how it is augmented, is a function of seed and position alone,
// so a training resumes with exactly the examples it had left: a record is
// looked up by its offset instead of reading files from their beginning.
type RecordInput struct {
	Images tfgraph.Tensor // [B,H,W,3] float32
	Labels tfgraph.Tensor // [B] int64
	Len    int64          // examples

	start, stop tfgraph.Tensor
	iterator    tfdata.Iterator
	repeat      bool
}

// NewRecordInput reads where the records lie and adds the pipeline's nodes to
// the graph, below s. name is unique there. A broken record length is a
// *tfrecord.Fault.
func NewRecordInput(s *tfgraph.Scope, name string, r Records, o RecordOptions) (*RecordInput, error) {
	var fileOf []int32
	var offsets []int64
	for i, path := range r.Files {
		list, err := tfrecord.Index(path)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		for range list {
			fileOf = append(fileOf, int32(i))
		}
		offsets = append(offsets, list...)
	}
	in := &RecordInput{Len: int64(len(offsets)), repeat: o.Repeat}
	if in.Len == 0 || o.Batch < 1 {
		return nil, fmt.Errorf("data: pipeline %s: %d examples in batches of %d", name, in.Len, o.Batch)
	}
	s = s.Sub("%s", name).On("/device:CPU:0")
	in.start = tfgraph.Placeholder(s, "start", tfgraph.Int64, tfgraph.Shape{})
	in.stop = tfgraph.Placeholder(s, "stop", tfgraph.Int64, tfgraph.Shape{})
	where := []tfgraph.Tensor{tfgraph.StringsConst(s, r.Files), tfgraph.Vector(s, fileOf...), tfgraph.Vector(s, offsets...)}
	replicas := max(1, o.Replicas)
	first := tfgraph.Add(s, in.start, tfgraph.Scalarc(s, o.Replica))
	positions := tfdata.RangeBy(s, first, in.stop, replicas)
	examples := positions.Map(s, tfdata.Autotune, where, func(s *tfgraph.Scope, element, where []tfgraph.Tensor) []tfgraph.Tensor {
		return r.example(s, tfgraph.Reshape(s, element[0], 1), where, in.Len, o)
	})
	in.iterator = examples.Batch(s, o.Batch, o.Repeat).Prefetch(s, 4).Options(s, o.Threads).Iterate(s, s.Path())
	in.Images, in.Labels = in.iterator.Next[0], in.iterator.Next[1]
	return in, nil
}

// Start begins at a position: the number of examples that all replicas together
// have consumed, a multiple of their number.
func (in *RecordInput) Start(sess *tfgraph.Session, position int64) error {
	stop := in.Len
	if in.repeat {
		stop = 1 << 62
	}
	if position < 0 || position > stop {
		return fmt.Errorf("data: position %d lies outside of 0..%d", position, stop)
	}
	_, err := sess.Run(tfgraph.Feeds{in.start: tfgraph.Scalar(position), in.stop: tfgraph.Scalar(stop)}, nil, in.iterator.Start)
	return err
}

// example reads, parses and prepares the example at position [1].
func (r Records) example(s *tfgraph.Scope, position tfgraph.Tensor, where []tfgraph.Tensor, n int64, o RecordOptions) []tfgraph.Tensor {
	index := tfgraph.FloorMod(s, position, tfgraph.Scalarc(s, n))
	if o.Shuffle {
		index = shuffled(s.Sub("shuffle"), position, n, o.Seed)
	}
	file := tfgraph.Gather(s, where[0], tfgraph.Gather(s, where[1], index)) // [1]
	record := tfdata.RecordAt(s, file, tfgraph.Gather(s, where[2], index))
	encoded, label := r.parse(s, record)
	class := tfgraph.Sub(s, label, tfgraph.Scalarc(s, r.LabelOffset))
	var x tfgraph.Tensor // [H,W,3]
	if o.Train != nil {
		x = o.Train.image(s, encoded, tfgraph.Concat(s, 0, tfgraph.Vector(s, o.Seed), position), r.JPEG)
	} else if o.Eval.Height == 0 {
		x = s.One("Max", nil, tfgraph.Cast(s, decodeRGB(s, encoded), tfgraph.Float32), tfgraph.Vector(s, int32(0), 1, 2))
	} else {
		h, w := o.Eval.Height, o.Eval.Width
		prepared := tfgraph.Reshape(s, o.Eval.image(s, decodeRGB(s, encoded)), 1, h, w, 3)
		x = tfgraph.Reshape(s, standardize(s, prepared, o.Eval.Standardize), h, w, 3)
	}
	return []tfgraph.Tensor{x, class}
}

// parse takes the encoded image and the label from a tf.train.Example.
func (r Records) parse(s *tfgraph.Scope, record tfgraph.Tensor) (encoded, label tfgraph.Tensor) {
	image, class := r.ImageKey, r.LabelKey
	if image == "" {
		image = "image/encoded"
	}
	if class == "" {
		class = "image/class/label"
	}
	op := s.Add("ParseSingleExample", tfgraph.Attrs{
		"num_sparse": 0, "sparse_keys": []string{}, "dense_keys": []string{image, class}, "sparse_types": []tfgraph.DataType{},
		"Tdense": []tfgraph.DataType{tfgraph.String, tfgraph.Int64}, "dense_shapes": []tfgraph.Shape{{}, {}},
	}, record, []tfgraph.Tensor{tfgraph.StringsConst(s, []string{}), tfgraph.Const(s, []int64{}, 0)})
	return op.Output(0), op.Output(1)
}
