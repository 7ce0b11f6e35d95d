package data

import (
	"fmt"

	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/tfdata"
)

// Images are labelled pictures in memory.
type Images struct {
	Pixels []uint8 // [N,H,W,C], row-major
	Labels []int64 // [N]
	Size   [3]int64
}

// Len returns the number of pictures.
func (im Images) Len() int64 { return int64(len(im.Labels)) }

// Standardize says how pixel values are brought to zero mean and unit variance.
type Standardize string

const (
	// PerImage uses each picture's own mean and deviation, the latter at least
	// 1/sqrt(elements): slim's per_image_standardization.
	PerImage Standardize = "image"
	// PerChannel uses the data set's mean and deviation of each channel.
	PerChannel Standardize = "channel"
	// Unscaled only divides by 255.
	Unscaled Standardize = "none"
	// Inception brings pixels to -1..1: slim's ImageNet networks and Keras'.
	Inception Standardize = "inception"
)

// CIFAR10Mean and CIFAR10Deviation are those of the 50,000 training pictures,
// by channel, with pixels in 0..1.
var (
	CIFAR10Mean      = [3]float32{0.49139968, 0.48215841, 0.44653091}
	CIFAR10Deviation = [3]float32{0.24703223, 0.24348513, 0.26158784}
)

// Augment is what training changes at random in a picture. The zero value
// changes nothing.
type Augment struct {
	CropPad int64 // pad so many pixels on each side and crop back; 0: no crop. Paper: 4
	Flip    bool  // mirror left-right every second picture
	Cutout  int64 // side of the square set to zero, in pixels; 0: none
}

// MemoryOptions configures a pipeline over pictures in memory.
type MemoryOptions struct {
	Batch       int64
	Shuffle     bool  // another order each epoch; otherwise as stored
	Repeat      bool  // go on for ever; otherwise once through, last batch smaller
	Seed        int64 // of order and augmentation
	Standardize Standardize
	Augment     Augment
	Threads     int64 // of the pipeline; 0: one a core
}

// Memory is a pipeline over pictures in memory.
type Memory struct {
	Images tfgraph.Tensor // [B,H,W,C] float32
	Labels tfgraph.Tensor // [B] int64

	data                         Images
	start, stop, pixels, classes tfgraph.Tensor
	iterator                     tfdata.Iterator
	repeat                       bool
}

// NewMemory adds the pipeline's nodes to the graph, below s. name is unique there.
func NewMemory(s *tfgraph.Scope, name string, im Images, o MemoryOptions) *Memory {
	n := im.Len()
	m := &Memory{data: im, repeat: o.Repeat}
	if n == 0 || o.Batch < 1 {
		s.Fail("pipeline %s: %d pictures in batches of %d", name, n, o.Batch)
		return m
	}
	// tf.data runs on the host whatever device the network is on.
	s = s.Sub("%s", name).On("/device:CPU:0")
	m.start = tfgraph.Placeholder(s, "start", tfgraph.Int64, tfgraph.Shape{})
	m.stop = tfgraph.Placeholder(s, "stop", tfgraph.Int64, tfgraph.Shape{})
	m.pixels = tfgraph.Placeholder(s, "pixels", tfgraph.Uint8, tfgraph.Shape{n, im.Size[0], im.Size[1], im.Size[2]})
	m.classes = tfgraph.Placeholder(s, "classes", tfgraph.Int64, tfgraph.Shape{n})
	batches := tfdata.Range(s, m.start, m.stop).Batch(s, o.Batch, o.Repeat)
	examples := batches.Map(s, 2, []tfgraph.Tensor{m.pixels, m.classes},
		func(s *tfgraph.Scope, element, captured []tfgraph.Tensor) []tfgraph.Tensor {
			return prepare(s, element[0], captured[0], captured[1], n, o)
		})
	m.iterator = examples.Prefetch(s, 4).Options(s, o.Threads).Iterate(s, s.Path())
	m.Images, m.Labels = m.iterator.Next[0], m.iterator.Next[1]
	return m
}

// Start begins at a position, the number of examples already consumed.
func (m *Memory) Start(sess *tfgraph.Session, position int64) error {
	stop := m.data.Len()
	if m.repeat {
		stop = 1 << 62
	}
	if position < 0 || position > stop {
		return fmt.Errorf("data: position %d lies outside of 0..%d", position, stop)
	}
	pixels, err := tfgraph.NewValue(m.data.Pixels, append([]int64{m.data.Len()}, m.data.Size[:]...)...)
	if err != nil {
		return err
	}
	classes, err := tfgraph.NewValue(m.data.Labels, m.data.Len())
	if err != nil {
		return err
	}
	_, err = sess.Run(tfgraph.Feeds{
		m.start: tfgraph.Scalar(position), m.stop: tfgraph.Scalar(stop), m.pixels: pixels, m.classes: classes,
	}, nil, m.iterator.Start)
	return err
}

// prepare turns positions [B] into pictures [B,H,W,C] and classes [B].
func prepare(s *tfgraph.Scope, positions, pixels, classes tfgraph.Tensor, n int64, o MemoryOptions) []tfgraph.Tensor {
	index := positions
	if o.Shuffle {
		index = shuffled(s.Sub("shuffle"), positions, n, o.Seed)
	}
	first := tfgraph.Slice(s, positions, []int32{0}, []int32{1}) // [1]
	r := random{s.Sub("random"), o.Seed, first, tfgraph.ShapeOf(s, positions)}
	x := window(s.Sub("crop"), pixels, index, o.Augment, r, o.Standardize) // [B,H,W,C] float32
	if o.Augment.Cutout > 0 {
		x = tfgraph.Mul(s, x, cutout(s.Sub("cutout"), x, o.Augment.Cutout, r))
	}
	return []tfgraph.Tensor{x, tfgraph.Gather(s, classes, index)}
}

// shuffled maps positions to examples: within each epoch of n positions a
// permutation of the examples that depends on seed and epoch alone.
func shuffled(s *tfgraph.Scope, positions tfgraph.Tensor, n, seed int64) tfgraph.Tensor {
	size := tfgraph.Scalarc(s, n)
	epoch := tfgraph.FloorDiv(s, positions, size)
	within := tfgraph.FloorMod(s, positions, size)
	key := tfgraph.Stack(s, 1, tfgraph.Add(s, s.One("ZerosLike", nil, epoch), tfgraph.Scalarc(s, seed)), epoch,
		s.One("ZerosLike", nil, epoch)) // [B,3]
	return s.One("RandomIndexShuffle", tfgraph.Attrs{"rounds": 4}, within, key, tfgraph.Scalarc(s, n-1))
}

// random draws one number an example, keyed by seed, site and the position of
// the batch's first example.
type random struct {
	s     *tfgraph.Scope
	seed  int64
	first tfgraph.Tensor // int64 [1]
	shape tfgraph.Tensor // int64 [1]: the batch size
}

// ints are uniform int32 [B] in [0, high).
func (r random) ints(site int64, high int64) tfgraph.Tensor {
	key := tfgraph.Concat(r.s, 0, tfgraph.Vector(r.s, r.seed*31+site), r.first) // [2]
	return tfgraph.StatelessInts(r.s, r.shape, key, 0, int32(high))
}

const (
	siteRow = iota + 1
	siteColumn
	siteFlip
	siteCutRow
	siteCutColumn
)

// window gathers the pictures at index [B], shifted and mirrored at random, with
// zeros beyond the border, and standardized. One gather does it all: that is
// several times faster than padding, cropping and flipping one by one.
func window(s *tfgraph.Scope, pixels, index tfgraph.Tensor, a Augment, r random, std Standardize) tfgraph.Tensor {
	h, w := pixels.Dim(1), pixels.Dim(2)
	if a.CropPad == 0 && !a.Flip {
		return standardize(s, tfgraph.Cast(s, tfgraph.Gather(s, pixels, index), tfgraph.Float32), std) // [B,H,W,C]
	}
	rows, columns := iota32(s, h), iota32(s, w) // [1,H], [1,W]
	if a.Flip {
		flip := tfgraph.ExpandDims(s, tfgraph.Equal(s, r.ints(siteFlip, 2), tfgraph.Scalarc(s, int32(1))), 1) // [B,1]
		columns = tfgraph.Select(s, flip, tfgraph.Sub(s, tfgraph.Scalarc(s, int32(w-1)), columns), columns)   // [B,W]
	}
	if a.CropPad > 0 {
		shift := func(site int64) tfgraph.Tensor {
			d := tfgraph.Sub(s, r.ints(site, 2*a.CropPad+1), tfgraph.Scalarc(s, int32(a.CropPad)))
			return tfgraph.ExpandDims(s, d, 1) // [B,1]
		}
		rows = tfgraph.Add(s, rows, shift(siteRow))          // [B,H]
		columns = tfgraph.Add(s, columns, shift(siteColumn)) // [B,W]
	}
	x := tfgraph.Cast(s, gatherWindow(s, pixels, index, rows, columns), tfgraph.Float32)
	inside := tfgraph.Mul(s, tfgraph.ExpandDims(s, within(s, rows, h), 2), tfgraph.ExpandDims(s, within(s, columns, w), 1))
	inside = tfgraph.ExpandDims(s, inside, 3) // [B or 1,H,W,1]
	if std == PerImage {                      // slim pads before it standardizes
		return standardize(s, tfgraph.Mul(s, x, inside), std)
	}
	return tfgraph.Mul(s, standardize(s, x, std), inside)
}

// gatherWindow picks pixels[index[b], rows[b,i], columns[b,j]] -> [B,H,W,C];
// rows and columns beyond the border are clipped to it.
func gatherWindow(s *tfgraph.Scope, pixels, index, rows, columns tfgraph.Tensor) tfgraph.Tensor {
	clip := func(x tfgraph.Tensor, size int64) tfgraph.Tensor {
		return tfgraph.Minimum(s, tfgraph.Maximum(s, x, tfgraph.Scalarc(s, int32(0))), tfgraph.Scalarc(s, int32(size-1)))
	}
	h, w := pixels.Dim(1), pixels.Dim(2)
	batch := tfgraph.Reshape(s, tfgraph.Cast(s, index, tfgraph.Int32), -1, 1, 1)                 // [B,1,1]
	row := tfgraph.ExpandDims(s, tfgraph.Mul(s, clip(rows, h), tfgraph.Scalarc(s, int32(w))), 2) // [B,H,1]
	column := tfgraph.ExpandDims(s, clip(columns, w), 1)                                         // [B,1,W]
	flat := tfgraph.Add(s, tfgraph.Add(s, row, column), tfgraph.Mul(s, batch, tfgraph.Scalarc(s, int32(h*w))))
	return tfgraph.Gather(s, tfgraph.Reshape(s, pixels, -1, pixels.Dim(3)), flat) // [B,H,W,C]
}

// within is 1 where 0 <= x < size, else 0.
func within(s *tfgraph.Scope, x tfgraph.Tensor, size int64) tfgraph.Tensor {
	low := tfgraph.GreaterEqual(s, x, tfgraph.Scalarc(s, int32(0)))
	high := tfgraph.Less(s, x, tfgraph.Scalarc(s, int32(size)))
	return tfgraph.Cast(s, tfgraph.LogicalAnd(s, low, high), tfgraph.Float32)
}

// cutout is 0 in a square around a random point of each picture, else 1;
// [B,H,W,1]. The square may hang over the border (Cutout, arXiv 1708.04552).
func cutout(s *tfgraph.Scope, x tfgraph.Tensor, side int64, r random) tfgraph.Tensor {
	h, w := x.Dim(1), x.Dim(2)
	span := func(site, size int64) tfgraph.Tensor {
		centre := tfgraph.ExpandDims(s, r.ints(site, size), 1) // [B,1]
		from := tfgraph.Sub(s, iota32(s, size), tfgraph.Sub(s, centre, tfgraph.Scalarc(s, int32(side/2))))
		return within(s, from, side) // [B,size]
	}
	hole := tfgraph.Mul(s, tfgraph.ExpandDims(s, span(siteCutRow, h), 2), tfgraph.ExpandDims(s, span(siteCutColumn, w), 1))
	return tfgraph.ExpandDims(s, tfgraph.Sub(s, tfgraph.Scalarc(s, float32(1)), hole), 3)
}

// standardize scales float32 pixels 0..255, [B,H,W,C].
func standardize(s *tfgraph.Scope, x tfgraph.Tensor, how Standardize) tfgraph.Tensor {
	switch how {
	case PerImage:
		count := float32(x.Dim(1) * x.Dim(2) * x.Dim(3))
		mean := tfgraph.MeanKeep(s, x, 1, 2, 3)
		centred := tfgraph.Sub(s, x, mean)
		deviation := tfgraph.Sqrt(s, tfgraph.MeanKeep(s, tfgraph.Square(s, centred), 1, 2, 3))
		floor := tfgraph.Rsqrt(s, tfgraph.Scalarc(s, count))
		return tfgraph.Div(s, centred, tfgraph.Maximum(s, deviation, floor))
	case PerChannel:
		scale, shift := make([]float32, 3), make([]float32, 3)
		for i := range scale {
			scale[i] = 1 / (255 * CIFAR10Deviation[i])
			shift[i] = CIFAR10Mean[i] / CIFAR10Deviation[i]
		}
		return tfgraph.Sub(s, tfgraph.Mul(s, x, tfgraph.Vector(s, scale...)), tfgraph.Vector(s, shift...))
	case Unscaled:
		return tfgraph.Scale(s, x, 1.0/255)
	case Inception:
		return tfgraph.Sub(s, tfgraph.Scale(s, x, 2.0/255), tfgraph.Scalarc(s, float32(1)))
	}
	return s.Fail("unknown standardization %q: want image, channel, inception or none", how)
}

// iota32 is 0, 1, … size-1 as int32 [1,size].
func iota32(s *tfgraph.Scope, size int64) tfgraph.Tensor {
	data := make([]int32, size)
	for i := range data {
		data[i] = int32(i)
	}
	return tfgraph.Const(s, data, 1, size)
}
