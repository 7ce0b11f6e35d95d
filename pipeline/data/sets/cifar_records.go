package sets

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
)

// Records reads single images of CIFAR-10 files in the binary layout. It may be
// used by several goroutines at once.
type Records struct {
	files []*os.File
	ends  []int // number of records up to and including each file
}

// TrainRecords opens the training images, 0..49,999 in the official order.
func (c CIFAR) TrainRecords() (*Records, error) { return OpenRecords(c.Train...) }

// TestRecords opens the test images, 0..9,999 in the official order.
func (c CIFAR) TestRecords() (*Records, error) { return OpenRecords(c.Test) }

// OpenRecords opens files of the binary layout as one list of images.
func OpenRecords(paths ...string) (*Records, error) {
	r := &Records{}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("sets: %w", err), r.Close())
		}
		r.files = append(r.files, f)
		info, err := f.Stat()
		if err == nil && info.Size()%cifarRecord != 0 {
			err = fmt.Errorf("sets: %s: %d bytes are no multiple of %d: %w", path, info.Size(), cifarRecord, ErrDigest)
		}
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.ends = append(r.ends, r.Len()+int(info.Size()/cifarRecord))
	}
	return r, nil
}

// Len returns the number of images.
func (r *Records) Len() int {
	if len(r.ends) == 0 {
		return 0
	}
	return r.ends[len(r.ends)-1]
}

// At reads image i. ErrDigest: its label is none of 0..9.
func (r *Records) At(i int) (Image, error) {
	if i < 0 || i >= r.Len() {
		return Image{}, fmt.Errorf("sets: no image %d among %d", i, r.Len())
	}
	k := 0
	for i >= r.ends[k] {
		k++
	}
	if k > 0 {
		i -= r.ends[k-1]
	}
	var record [cifarRecord]byte
	offset := int64(i) * cifarRecord
	if _, err := r.files[k].ReadAt(record[:], offset); err != nil {
		return Image{}, fmt.Errorf("sets: %s, record %d at byte %d: %w", r.files[k].Name(), i, offset, err)
	}
	if record[0] > 9 {
		return Image{}, fmt.Errorf("sets: %s, record %d at byte %d: label %d: %w", r.files[k].Name(), i, offset, record[0], ErrDigest)
	}
	return Image{Label: int(record[0]), Planes: [3 * cifarPlane]byte(record[1:])}, nil
}

// Counts returns the number of images of each label.
func (r *Records) Counts() (counts [10]int, err error) {
	for i := range r.Len() {
		img, err := r.At(i)
		if err != nil {
			return counts, err
		}
		counts[img.Label]++
	}
	return counts, nil
}

// Close closes the files.
func (r *Records) Close() error {
	var faults []error
	for _, f := range r.files {
		faults = append(faults, f.Close())
	}
	return errors.Join(faults...)
}

// Image is one image of CIFAR-10.
type Image struct {
	Label  int                  // 0..9
	Planes [3 * cifarPlane]byte // [3,32,32]: red, green, blue
}

// Floats returns the image as float32 [32,32,3], values 0..255 (not scaled, not
// standardised).
func (m Image) Floats() []float32 {
	out := make([]float32, 0, len(m.Planes))
	for i := range cifarPlane {
		out = append(out, float32(m.Planes[i]), float32(m.Planes[cifarPlane+i]), float32(m.Planes[2*cifarPlane+i]))
	}
	return out
}

// RGBA returns the image for drawing, 32 x 32 and opaque.
func (m Image) RGBA() *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, cifarSide, cifarSide))
	for i := range cifarPlane {
		copy(out.Pix[4*i:], []byte{m.Planes[i], m.Planes[cifarPlane+i], m.Planes[2*cifarPlane+i], 255})
	}
	return out
}

// PNG returns the image as the bytes of a PNG file, without loss.
func (m Image) PNG() ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, m.RGBA()); err != nil {
		return nil, fmt.Errorf("sets: %w", err)
	}
	return b.Bytes(), nil
}
