package data

import (
	"fmt"
	"math/rand/v2"
	"os"
)

// A record of CIFAR-10's binary files: the class, then 32x32 red, green and
// blue values.
const (
	cifarSide   = 32
	cifarPlane  = cifarSide * cifarSide
	cifarRecord = 1 + 3*cifarPlane
)

// CIFARFile is how many records a file has.
const CIFARFile = 10000

// LoadCIFAR reads records of CIFAR-10's binary files, numbered through all the
// files in their order; all of them if pick is nil.
func LoadCIFAR(files []string, pick []int) (Images, error) {
	if pick == nil {
		pick = make([]int, CIFARFile*len(files))
		for i := range pick {
			pick[i] = i
		}
	}
	im := Images{
		Pixels: make([]uint8, len(pick)*3*cifarPlane),
		Labels: make([]int64, len(pick)),
		Size:   [3]int64{cifarSide, cifarSide, 3},
	}
	open := make([]*os.File, len(files))
	for i, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return Images{}, fmt.Errorf("cifar10: %w", err)
		}
		defer f.Close()
		open[i] = f
	}
	record := make([]byte, cifarRecord)
	for i, p := range pick {
		if p < 0 || p >= CIFARFile*len(files) {
			return Images{}, fmt.Errorf("cifar10: record %d of %d asked for", p, CIFARFile*len(files))
		}
		f := open[p/CIFARFile]
		if _, err := f.ReadAt(record, int64(p%CIFARFile)*cifarRecord); err != nil {
			return Images{}, fmt.Errorf("cifar10: %s, record %d: %w; `nasnet data verify` checks the files", f.Name(), p%CIFARFile, err)
		}
		if record[0] > 9 {
			return Images{}, fmt.Errorf("cifar10: %s, record %d: class %d is not in 0..9", f.Name(), p%CIFARFile, record[0])
		}
		im.Labels[i] = int64(record[0])
		interleave(im.Pixels[i*3*cifarPlane:], record[1:])
	}
	return im, nil
}

// Shrink averages squares of n pixels a side, rounded to the nearest; n below 2
// changes nothing. Sides must be multiples of n.
func (im Images) Shrink(n int) Images {
	if n < 2 {
		return im
	}
	side := int64(n)
	h, w, c := im.Size[0], im.Size[1], im.Size[2]
	out := Images{Labels: im.Labels, Size: [3]int64{h / side, w / side, c}, Pixels: make([]uint8, 0, int64(len(im.Pixels))/side/side)}
	for at := int64(0); at < int64(len(im.Pixels)); at += h * w * c {
		for i := int64(0); i < h; i += side {
			for j := int64(0); j < w; j += side {
				for k := range c {
					sum := side * side / 2
					for y := i; y < i+side; y++ {
						for x := j; x < j+side; x++ {
							sum += int64(im.Pixels[at+(y*w+x)*c+k])
						}
					}
					out.Pixels = append(out.Pixels, uint8(sum/(side*side)))
				}
			}
		}
	}
	return out
}

// interleave turns three colour planes into pixels of three values.
func interleave(dst, planes []byte) {
	for i := range cifarPlane {
		dst[3*i] = planes[i]
		dst[3*i+1] = planes[cifarPlane+i]
		dst[3*i+2] = planes[2*cifarPlane+i]
	}
}

// Split draws train and held-out record numbers out of n, disjoint, by seed:
// the paper holds out 5,000 of CIFAR-10's training images (appendix A.1). The
// held-out records of a seed do not depend on how many are trained on.
func Split(n, train, heldOut int, seed uint64) (trainIDs, heldOutIDs []int, err error) {
	if train < 0 || heldOut < 0 || train+heldOut > n {
		return nil, nil, fmt.Errorf("data: %d training and %d held-out images asked for, %d are there", train, heldOut, n)
	}
	order := rand.New(rand.NewPCG(seed, 0x5f1d)).Perm(n)
	return order[heldOut : heldOut+train], order[:heldOut], nil
}
