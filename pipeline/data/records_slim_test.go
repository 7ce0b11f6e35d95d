package data_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/data"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// Evaluation tensors of records are those of Decode, which is slim's
// (TestInceptionEvalIsSlims).
func TestEvaluationOfRecordsIsDecodes(t *testing.T) {
	r := photographs(t, 10, 1)
	var files []string
	dir := t.TempDir()
	err := opened(t, r).First(10, func(record []byte) error {
		x, err := sets.ParseExample(record)
		files = append(files, filepath.Join(dir, fmt.Sprint(len(files))))
		return errors.Join(err, os.WriteFile(files[len(files)-1], x.Encoded, 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
	p := data.InceptionEval(16, 16)
	var got []float32
	for _, b := range readRecords(t, r, data.RecordOptions{Batch: 4, Eval: p}, 0, 0) {
		got = append(got, b.pixels...)
	}
	if !slices.Equal(got, decoded(t, p, files)) {
		t.Error("the pictures differ from those of Decode")
	}
}

// The central one of five crops is the only one's; the mirrored half of ten is the
// mirror of the first.
func TestCrops(t *testing.T) {
	r := photographs(t, 4, 1)
	of := func(crops int64) []float32 {
		p := data.InceptionEval(16, 16)
		p.Crops = crops
		return readRecords(t, r, data.RecordOptions{Batch: 1, Eval: p}, 0, 1)[0].pixels
	}
	one, five, ten := of(1), of(5), of(10)
	if !slices.Equal(one, five[:len(one)]) || len(five) != 5*len(one) || !slices.Equal(five, ten[:len(five)]) {
		t.Fatal("the views are not those of fewer crops")
	}
	for i := range five {
		row, column, channel := i/48, i/3%16, i%3
		if mirror := len(five) + row*48 + (15-column)*3 + channel; five[i] != ten[mirror] {
			t.Fatalf("value %d is not mirrored", i)
		}
	}
	if slices.Equal(five[len(one):2*len(one)], one) {
		t.Error("a corner's view is the central one's")
	}
}

// bombs declare 20,000 x 20,000 pixels.
func bombs(t *testing.T) map[string][]byte {
	t.Helper()
	first, err := os.ReadFile(photographs(t, 1, 1).Files[0])
	if err != nil {
		t.Fatal(err)
	}
	x, err := sets.ParseExample(first[12 : len(first)-4])
	if err != nil {
		t.Fatal(err)
	}
	jpeg := bytes.Clone(x.Encoded)
	frame := bytes.Index(jpeg, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(jpeg[frame+5:], 20000)
	binary.BigEndian.PutUint16(jpeg[frame+7:], 20000)
	png := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x4e\x20\x00\x00\x4e\x20\x08\x02\x00\x00\x00"), make([]byte, 40)...)
	gif := append([]byte("GIF89a\x20\x4e\x20\x4e\x00\x00\x00"), make([]byte, 20)...)
	bmp := make([]byte, 80)
	copy(bmp, "BM")
	binary.LittleEndian.PutUint32(bmp[14:], 40)
	binary.LittleEndian.PutUint32(bmp[18:], 20000)
	binary.LittleEndian.PutUint32(bmp[22:], 20000)
	return map[string][]byte{"JPEG": jpeg, "PNG": png, "GIF": gif, "BMP": bmp}
}
