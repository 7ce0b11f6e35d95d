package data

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/nasnet-go/nasnet/internal/imagegate"
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
	Classes     int64  // a class from here on ends the pipeline; 0: any goes
	JPEG        bool   // all images are JPEGs, of which a part alone can be decoded
	ImageKey    string // of the encoded image; "": slim's image/encoded
	LabelKey    string // "": slim's image/class/label
	// Exclude are the bytes at which records begin that are left out, by file; where
	// a length is broken, all behind it.
	Exclude   map[string][]int64
	MaxPixels int64 // that an image may declare; 0: 50 million
}

// RecordSet is where each example of record files lies.
type RecordSet struct {
	Records
	fileOf  []int32
	offsets []int64
}

// OpenRecords reads where the records lie, not the records. A broken record
// length that is not excluded is a *tfrecord.Fault.
func OpenRecords(r Records) (*RecordSet, error) {
	set := &RecordSet{Records: r}
	for i, path := range r.Files {
		list, err := tfrecord.Index(path)
		bad := r.Exclude[path]
		var fault *tfrecord.Fault
		if err != nil && !(errors.As(err, &fault) && slices.Contains(bad, fault.Offset)) {
			return nil, fmt.Errorf("data: %w", err)
		}
		list = slices.DeleteFunc(list, func(offset int64) bool { return slices.Contains(bad, offset) })
		set.fileOf = append(set.fileOf, slices.Repeat([]int32{int32(i)}, len(list))...)
		set.offsets = append(set.offsets, list...)
	}
	return set, nil
}

// Len returns the number of examples.
func (r *RecordSet) Len() int64 { return int64(len(r.offsets)) }

// where are the files, and the file and the offset of each example, as constants.
func (r *RecordSet) where(s *tfgraph.Scope) []tfgraph.Tensor {
	return []tfgraph.Tensor{tfgraph.StringsConst(s, r.Files), tfgraph.Vector(s, r.fileOf...), tfgraph.Vector(s, r.offsets...)}
}

// Subset are the examples of the given numbers, in that order.
func (r *RecordSet) Subset(ids []int) *RecordSet {
	part := &RecordSet{Records: r.Records}
	for _, id := range ids {
		part.fileOf = append(part.fileOf, r.fileOf[id])
		part.offsets = append(part.offsets, r.offsets[id])
	}
	return part
}

// First visits the first n records, as stored, in this set's order.
func (r *RecordSet) First(n int, visit func(record []byte) error) error {
	for id := range min(n, len(r.offsets)) {
		record, err := tfrecord.ReadAt(r.Files[r.fileOf[id]], r.offsets[id])
		if err != nil {
			return fmt.Errorf("data: %w", err)
		}
		if err := visit(record); err != nil {
			return fmt.Errorf("data: %s, byte %d: %w", r.Files[r.fileOf[id]], r.offsets[id], err)
		}
	}
	return nil
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
//
//	positions ─► order, in groups ─► one by one: read, parse, decode, augment ─► batches
//
// A record that cannot be read, parsed or decoded, declares too many pixels or
// has a class out of range ends the run with TensorFlow's message, which does
// not know the place; sets.Vet finds it.
type RecordInput struct {
	Images tfgraph.Tensor // [B,H,W,3] float32; [B,K,H,W,3] of K crops
	Labels tfgraph.Tensor // [B] int64
	Len    int64          // examples

	start, stop tfgraph.Tensor
	iterator    tfdata.Iterator
	repeat      bool
}

// NewRecordInput adds the pipeline's nodes to the graph, below s. name is unique
// there.
func NewRecordInput(s *tfgraph.Scope, name string, r *RecordSet, o RecordOptions) *RecordInput {
	in := &RecordInput{Len: r.Len(), repeat: o.Repeat}
	if in.Len == 0 || o.Batch < 1 {
		s.Fail("pipeline %s: %d examples in batches of %d", name, in.Len, o.Batch)
		return in
	}
	s = s.Sub("%s", name).On("/device:CPU:0")
	in.start = tfgraph.Placeholder(s, "start", tfgraph.Int64, tfgraph.Shape{})
	in.stop = tfgraph.Placeholder(s, "stop", tfgraph.Int64, tfgraph.Shape{})
	first := tfgraph.Add(s, in.start, tfgraph.Scalarc(s, o.Replica))
	// The order is computed for many examples at once: operations on single
	// numbers would cost a tenth of the whole.
	groups := tfdata.RangeBy(s, first, in.stop, max(1, o.Replicas)).Batch(s, 64, false)
	places := groups.Map(s, 1, r.where(s), func(s *tfgraph.Scope, element, where []tfgraph.Tensor) []tfgraph.Tensor {
		return places(s, element[0], where, in.Len, o)
	}).Unbatch(s)
	examples := places.Map(s, inFlight(o.Threads), nil, func(s *tfgraph.Scope, element, _ []tfgraph.Tensor) []tfgraph.Tensor {
		return r.example(s, element[0], element[1], element[2], o)
	})
	in.iterator = examples.Batch(s, o.Batch, o.Repeat).Prefetch(s, 4).OneThreadEach(s).Options(s, o.Threads).Iterate(s, s.Path())
	in.Images, in.Labels = in.iterator.Next[0], in.iterator.Next[1]
	return in
}

// inFlight is how many examples are worked at together: more than there are
// threads, so that none waits where one batch ends and the next begins. Left to
// itself TensorFlow takes one a thread, which costs 4 % with two.
func inFlight(threads int64) int64 {
	if threads <= 0 {
		threads = int64(runtime.GOMAXPROCS(0))
	}
	return 4 * threads
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

// places maps positions [G] to the files [G] and offsets [G] of their examples;
// the positions come along.
func places(s *tfgraph.Scope, positions tfgraph.Tensor, where []tfgraph.Tensor, n int64, o RecordOptions) []tfgraph.Tensor {
	index := tfgraph.FloorMod(s, positions, tfgraph.Scalarc(s, n))
	if o.Shuffle {
		index = shuffled(s.Sub("shuffle"), positions, n, o.Seed)
	}
	return []tfgraph.Tensor{
		positions, tfgraph.Gather(s, where[0], tfgraph.Gather(s, where[1], index)), tfgraph.Gather(s, where[2], index),
	}
}

// example reads, parses and prepares the example at a position; all are scalars.
func (r *RecordSet) example(s *tfgraph.Scope, position, file, offset tfgraph.Tensor, o RecordOptions) []tfgraph.Tensor {
	record := tfdata.RecordAt(s, tfgraph.Reshape(s, file, 1), tfgraph.Reshape(s, offset, 1))
	encoded, label := r.parse(s, record)
	class := r.class(s, label)
	switch {
	case o.Train != nil:
		encoded, shape := gated(s, encoded, r.JPEG, r.maxPixels())
		return []tfgraph.Tensor{o.Train.image(s, encoded, shape, o.Seed, position), class}
	case o.Eval.Height == 0:
		x := tfgraph.Cast(s, decodeRGB(s, encoded), tfgraph.Float32)
		return []tfgraph.Tensor{s.One("Max", nil, x, tfgraph.Vector(s, int32(0), 1, 2)), class}
	}
	encoded, _ = gated(s, encoded, r.JPEG, r.maxPixels())
	return []tfgraph.Tensor{o.Eval.prepared(s, decodeRGB(s, encoded)), class}
}

func (r *RecordSet) maxPixels() int64 {
	if r.MaxPixels == 0 {
		return imagegate.DefaultMaxPixels
	}
	return r.MaxPixels
}

// class takes the offset off a label; one out of range fails.
func (r *RecordSet) class(s *tfgraph.Scope, label tfgraph.Tensor) tfgraph.Tensor {
	class := tfgraph.Sub(s, label, tfgraph.Scalarc(s, r.LabelOffset))
	if r.Classes == 0 {
		return class
	}
	all := make([]int64, r.Classes)
	for i := range all {
		all[i] = int64(i)
	}
	return tfgraph.Gather(s, tfgraph.Vector(s, all...), class) // itself, or an error
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
