package sets

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"maps"
	"path/filepath"
	"slices"
	"testing"
)

// picture draws w x h pixels that no two seeds share.
func picture(w, h, seed int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, color.NRGBA{uint8(40 * seed), uint8(i * 3), uint8(seed*7 + i), 255})
	}
	return img
}

func encodeJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodeGIF(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gif.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// cmykJPEG builds a JPEG of 8 x 8 pixels of one CMYK colour as Adobe's programs
// write it: four channels, inverted, flat (DC coefficients only; ITU-T T.81).
func cmykJPEG(c, m, y, k byte) []byte {
	segment := func(marker byte, body ...byte) []byte {
		return append([]byte{0xff, marker, 0, byte(len(body) + 2)}, body...)
	}
	quant := append([]byte{0}, bytes.Repeat([]byte{8}, 64)...) // step 8: DC = value - 128
	dc := append([]byte{0x00, 0, 0, 0, 12}, make([]byte, 12)...)
	dc = append(dc, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11) // twelve codes of four bits: code = category
	ac := append([]byte{0x10, 1}, make([]byte, 15)...)
	ac = append(ac, 0) // one code of one bit: end of block
	out := []byte{0xff, 0xd8}
	out = append(out, segment(0xee, append([]byte("Adobe"), 0, 100, 0, 0, 0, 0, 0)...)...)
	out = append(out, segment(0xdb, quant...)...)
	out = append(out, segment(0xc0, 8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0)...)
	out = append(out, segment(0xc4, dc...)...)
	out = append(out, segment(0xc4, ac...)...)
	out = append(out, segment(0xda, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0)...)
	out = append(out, flatBlocks(255-c, 255-m, 255-y, 255-k)...)
	return append(out, 0xff, 0xd9)
}

// flatBlocks entropy-codes one block of each value with cmykJPEG's tables.
func flatBlocks(values ...byte) []byte {
	var bits []byte
	put := func(v, n int) {
		for i := n - 1; i >= 0; i-- {
			bits = append(bits, byte(v>>i&1))
		}
	}
	for _, v := range values {
		diff, size := int(v)-128, 0
		for a := max(diff, -diff); a > 0; a >>= 1 {
			size++
		}
		put(size, 4)
		if diff < 0 {
			diff += 1<<size - 1
		}
		put(diff, size)
		put(0, 1) // no AC
	}
	var out []byte
	for len(bits)%8 != 0 {
		bits = append(bits, 1)
	}
	for b := range slices.Chunk(bits, 8) {
		v := byte(0)
		for _, bit := range b {
			v = v<<1 | bit
		}
		if out = append(out, v); v == 0xff {
			out = append(out, 0)
		}
	}
	return out
}

// bombPNG is a PNG of a few bytes that declares 20,000 x 20,000 pixels.
func bombPNG(t testing.TB) []byte {
	b := encodePNG(t, picture(2, 2, 0))
	binary.BigEndian.PutUint32(b[16:], 20_000)
	binary.BigEndian.PutUint32(b[20:], 20_000)
	binary.BigEndian.PutUint32(b[29:], crcIEEE(b[12:29]))
	return b
}

// tree is a data set by path.
type tree map[string][]byte

func (tr tree) write(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for name, data := range tr {
		write(t, filepath.Join(root, filepath.FromSlash(name)), data)
	}
	return root
}

// tar packs the tree; with classes, each top folder is a tar of its own in it.
func (tr tree) tar(t testing.TB, nested bool) string {
	t.Helper()
	flat := tree{}
	inner := map[string]tree{}
	for name, data := range tr {
		dir, base := filepath.Split(name)
		if !nested || dir == "" {
			flat[name] = data
			continue
		}
		class := filepath.Clean(dir)
		if inner[class] == nil {
			inner[class] = tree{}
		}
		inner[class][base] = data
	}
	for class, files := range inner {
		flat[class+".tar"] = files.pack(t)
	}
	path := filepath.Join(t.TempDir(), "images.tar")
	write(t, path, flat.pack(t))
	return path
}

func (tr tree) pack(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(tr)) {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(tr[name]))})
		if err == nil {
			_, err = w.Write(tr[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// synsets are three of ImageNet's.
var synsets = []string{"n01440764", "n01443537", "n01484850"}

// smallImageNet has n images of each of three synsets.
func smallImageNet(t testing.TB, n int) tree {
	tr := tree{}
	for c, s := range synsets {
		for i := range n {
			tr[fmt.Sprintf("%s/%s_%d.JPEG", s, s, i)] = encodeJPEG(t, picture(10+i, 8+c, 10*c+i))
		}
	}
	return tr
}

func contents(t testing.TB, dir string, m Manifest) []Example {
	t.Helper()
	var all []Example
	for _, s := range m.Splits {
		for _, path := range s.Paths(dir) {
			all = append(all, readShard(t, path)...)
		}
	}
	return all
}

func mustFail(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}
